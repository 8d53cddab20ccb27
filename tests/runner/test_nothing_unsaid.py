"""What was asked is what is done, or the command says so: data that are not used, folders in use, failures, exit codes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench import cli
from defectbench.config import UserError
from defectbench.executors.inline import Inline
from defectbench.files import read_rows
from defectbench.metrics import pixel
from defectbench.report.collect import published, read_csv
from tests.cli.test_sample import checkpoint
from tests.runner.test_bad_input import refused
from tests.runner.test_own_images import own_table, write

ROOT = Path(__file__).parents[2]


# --- Kind 5: rows that look right and are not --------------------------------------------------------


def test_data_that_are_not_used_are_refused(run, table, tmp_path):
    data, *_ = write("flat", tmp_path)
    words = ("--data", str(data), "not used", "mvtec_ad", "--dataset folder")
    refused(run("fit", "dcdgan_c", "--data", data, "--out", tmp_path / "fit"), *words)
    words = ("--data", str(data), "not used", "mvtec_ad", "dataset: folder")
    refused(run("run", table, "--data", data, "--out", tmp_path / "out"), *words)
    refused(run("plan", table, "--data", data, "--out", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_results_inside_the_data_are_refused(run, tmp_path):
    data, product, _ = write("flat", tmp_path)
    table = own_table(tmp_path / "own.yaml", product)
    words = (f"--out {data / 'images' / 'x'}", "lies in")
    inside = ("--data", data, "--out", data / "images" / "x")
    refused(run("run", table, *inside), *words)
    refused(run("fit", "dcdgan_c", "--dataset", "folder", *inside), *words)
    assert not list(data.rglob("*.ckpt"))


def test_a_sample_goes_into_a_folder_of_its_own(run, tmp_path):
    model = checkpoint(tmp_path, "stylegan2")
    asked = ("sample", model, "--label", "hole", "--out")
    good = tmp_path / "data" / "images" / "good"
    good.mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(good / "1.png")
    refused(run(*asked, good), f"--out {good}", "1.png", "new or empty")
    assert [path.name for path in good.iterdir()] == ["1.png"]
    out = tmp_path / "samples"
    for count in (12, 3):
        done = run(*asked, out, "--count", count)
        assert done.code == 0, done.err
        assert len(list((out / "images").iterdir())) == count
        with (out / "manifest.csv").open() as file:
            assert len(list(csv.DictReader(file))) == count
    (out / "images" / "mine.png").write_bytes((out / "images" / "000000.png").read_bytes())
    refused(run(*asked, out), "images/mine.png", "no earlier sample")
    assert len(list((out / "images").iterdir())) == 4


def test_a_folder_of_samples_is_no_folder_of_images(run, tmp_path):
    out = tmp_path / "samples"
    model = checkpoint(tmp_path, "stylegan2")
    assert run("sample", model, "--label", "hole", "--count", 9, "--out", out).code == 0
    real = out / "images"
    told = run("score", "--real", real, "--fake", out, "--out", tmp_path / "out")
    refused(told, f"--fake {out / 'images'}")


def test_average_precision_without_normal_images_is_undefined():
    assert np.isnan(pixel.image_average_precision([0.1, 0.7, 0.2], [1, 1, 1]))
    assert pixel.image_average_precision([0.1, 0.7, 0.2], [0, 1, 0]) == 1.0


class Undefined(Inline):
    """Does nothing but find that every job fails."""

    def __init__(self, undefined: bool) -> None:
        self.undefined = undefined

    def run(self, jobs, context, board):
        for job in jobs.values():
            if context.store.state(job.id) == "waiting":
                context.store.fail(job, "no reason", repeats=True, undefined=self.undefined)
                board.ended(job, "undefined" if self.undefined else "failed", "no reason")


@pytest.mark.parametrize(("undefined", "code"), [(False, 1), (True, 0)])
def test_a_run_whose_jobs_failed_says_so_in_its_exit_code(
    undefined, code, run, table, tmp_path, monkeypatch
):
    monkeypatch.setattr("defectbench.executors.make_executor", lambda *_: Undefined(undefined))
    for _ in range(2):  # also when there is nothing left to try
        done = run("run", table, "--out", tmp_path / "out")
        assert done.code == code, done.err
    word = "undefined" if undefined else "failed"
    with next((tmp_path / "out" / "tiny").glob("*.smoke.csv")).open() as file:
        assert {row["status"] for row in csv.DictReader(file)} == {word}


def test_log_and_csv_say_one_word(run, table, tmp_path, monkeypatch):
    from defectbench.data.streams.arms import NothingToAdd
    from defectbench.stages import execute

    def nothing(*_: object) -> None:
        raise NothingToAdd("no image has a mask")

    stages = {**execute.STAGES, "task": nothing}
    monkeypatch.setattr(execute, "STAGES", stages)
    done = run("run", table, "--out", tmp_path / "out", "--only", "arm=raw")
    assert done.code == 0
    assert "U-Net wood none raw seed 0: undefined: no image has a mask" in done.out.replace(
        "\n", " "
    )
    with (tmp_path / "out/tiny/table1.smoke.csv").open() as file:
        raw = [row for row in csv.DictReader(file) if row["arm"] == "raw"]
    assert {row["status"] for row in raw} == {"undefined"}


# --- Kind 6: terminals, shells and spreadsheets ------------------------------------------------------

STRANGE = 'o\'clock "Riß" 划痕 $HOME `x`'


@pytest.fixture
def make(tmp_path):
    """Run a target of the Makefile with a `defectbench` that writes down its arguments."""
    told = tmp_path / "told.json"
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    command = venv / "bin" / "defectbench"
    command.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"with open({str(told)!r}, 'w') as f: json.dump(sys.argv[1:], f)\n"
    )
    command.chmod(0o755)
    (venv / ".ready").write_text("")

    def go(target: str, *, environment: dict[str, str] | None = None, **given: str) -> list[str]:
        names = {"VENV": str(venv), **given}
        arguments = [f"{name}={value.replace('$', '$$')}" for name, value in names.items()]
        subprocess.run(
            ["make", "-s", target, *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", **(environment or {})},
        )
        return json.loads(told.read_text())

    return go


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_quotes_what_users_give(make):
    said = make("reproduce-table5", DATA=f"/d/{STRANGE}", OUT=f"/o/{STRANGE}")
    assert said[said.index("--data") + 1] == f"/d/{STRANGE}".replace("$", "$$")
    assert said[said.index("--out") + 1] == f"/o/{STRANGE}".replace("$", "$$")
    said = make("results", OUT=f"/o/{STRANGE}")
    assert said == ["collect", "--out", f"/o/{STRANGE}".replace("$", "$$")]
    said = make("reproduce", PAPER="house", TABLE="o'clock Riß", OUT="a b")
    assert said[-1] == "house/o'clock Riß"
    said = make("reproduce", PAPER="dcdgan_c", TABLE="5")
    assert said[-1] == "dcdgan_c/table5"
    assert "--data" not in said
    said = make("reproduce-table5", environment={"DEFECTBENCH_DATA": "/d/a 'b'"})
    assert said[said.index("--data") + 1] == "/d/a 'b'"


def test_a_terminal_of_another_encoding_gets_replaced_characters(finished, tmp_path, monkeypatch):
    strange = tmp_path / "划痕 é"
    shutil.copytree(finished, strange)
    shutil.copy(finished.parent / "tiny.yaml", strange / "é.yaml")
    table, csv_ = strange / "é.yaml", strange / "tiny/table1.smoke.csv"
    commands = [
        ["--help"],
        ["run", "--help"],
        ["list", "generators"],
        ["list", "metrics"],
        ["list", "tables"],
        ["show", "dcdgan_c"],
        ["show", "mvtec_ad"],
        ["show", "划痕"],
        ["doctor", "--data", strange],
        ["plan", table, "--out", strange],
        ["run", table, "--out", strange],
        ["collect", "--out", strange],
        ["compare", csv_, csv_],
        ["fit", "划痕"],
        ["sample", strange / "划痕.ckpt"],
        ["score", "--real", strange, "--fake", strange],
        ["data", "check", "folder", "--data", strange],
        ["export", strange, "--out", tmp_path / "é"],
    ]
    for arguments in commands:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["defectbench", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        for stream in streams:
            stream.flush()
        said = b"".join(stream.buffer.getvalue() for stream in streams).decode("ascii")
        monkeypatch.undo()
        assert code in {0, None, 2}, (arguments, said)
        assert "Traceback" not in said, arguments
        assert said


ROWS = [
    {"image": "a, b.png", "defects": "Riß", "value": "0.5"},
    {"image": "c.png", "defects": "", "value": "-1e-3"},
]
SPREADSHEETS = {
    "plain": 'image,defects,value\n"a, b.png",Riß,0.5\nc.png,,-1e-3\n'.encode(),
    "mark and Windows' line ends": '\ufeffimage,defects,value\r\n"a, b.png",Riß,0.5\r\nc.png,,-1e-3\r\n'.encode(),
    "semicolons and decimal commas": "image;defects;value\na, b.png;Riß;0,5\nc.png;;-1e-3\n".encode(),
    "tabs in UTF-16": "image\tdefects\tvalue\r\na, b.png\tRiß\t0.5\r\nc.png\t\t-1e-3\r\n".encode("utf-16"),
    "Excel's hint": "sep=;\r\nimage;defects;value\r\na, b.png;Riß;0,5\r\nc.png;;-1e-3\r\n;;\r\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("saved", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_a_csv_that_went_through_a_spreadsheet_program_is_read(saved, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(saved)
    assert read_rows(path) == ROWS


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        ("image,defects\na.png,Riß\n".encode("latin-1"), "UTF-8"),
        (b"image,defects,metric,table\na.png\n", "row 2 has more or fewer cells"),
        (b"image,image\na.png,b.png\n", "twice"),
        (b"image,defects\n\0,\0\n", "zero bytes"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_with_the_reason(saved, why, tmp_path, run):
    path = tmp_path / "rows.csv"
    path.write_bytes(saved)
    for read in (read_rows, read_csv, published):
        with pytest.raises(UserError, match=why):
            read(path)
    refused(run("data", "check", "folder", "--data", path), why)
