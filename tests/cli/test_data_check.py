"""`defectbench data check`: what it finds, and what it says of bad input; and stand-ins through the front door."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import fingerprint
from tests.conftest import Run

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1647097112\n".format(
    "0" * 64
)


def test_found_stands_beside_published(run: Run, data: Path) -> None:
    told = run("data", "check", "mvtec_ad", "--data", data, "--json")
    assert told.code == 0
    assert told.err == ""
    found = told.json
    assert (found["usable"], found["images"], found["problems"]) == (True, 15, [])
    assert (found["licence"], found["commercial_use"]) == ("CC BY-NC-SA 4.0", False)
    counts = {(c["split"], c["defect"]): (c["found"], c["expected"]) for c in found["counts"]}
    assert counts["train", "good"] == (6, 247)
    assert counts["test", "hole"] == (4, 10)
    assert counts["test", "liquid"] == (0, 10)
    assert {c["product"] for c in found["counts"]} == {"wood"}
    assert "counts differ from the published ones" in found["notes"][0]


def test_a_person_reads_licence_counts_and_differences(run: Run, data: Path) -> None:
    told = run("data", "check", "mvtec_ad", "--data", data / "mvtec_ad")  # its own folder will do
    assert told.code == 0
    assert "licence: CC BY-NC-SA 4.0" in told.out
    assert "commercial use: not allowed" in told.out
    row = next(line for line in told.out.splitlines() if "scratch" in line and "wood" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("wood", "test", "scratch"),
        *("3", "21", "-18"),
    ]
    assert "note: counts differ" in told.out


def test_every_broken_file_is_listed_and_the_rest_is_not_touched(run: Run, data: Path) -> None:
    wood = data / "mvtec_ad" / "wood"
    (wood / "ground_truth/hole/000_mask.png").unlink()
    (wood / "train/good/004.png").write_text(LFS)
    before = fingerprint(data)
    told = run("data", "check", "mvtec_ad", "--data", data)
    assert told.code == 2
    lines = told.err.splitlines()
    assert lines[0] == f"error: MVTec AD at {data / 'mvtec_ad'}: 2 problems"
    assert any("test/hole/000.png: has no mask; expected" in line for line in lines)
    assert next(line for line in lines if "004.png" in line).count("LFS") == 1
    told = run("data", "check", "mvtec_ad", "--data", data, "--json")
    assert (told.code, told.json["usable"], len(told.json["problems"])) == (2, False, 2)
    assert fingerprint(data) == before


def test_names_and_folders_that_are_not_there(run: Run, data: Path, tmp_path: Path) -> None:
    cases = {
        ("mvtec", "--data", data): "no dataset 'mvtec'; did you mean 'mvtec_ad'? known: codebrim",
        ("mtd", "--data", tmp_path / "nowhere"): f"{tmp_path / 'nowhere'}: no such folder",
        ("mtd", "--data", data): f"{data}: holds mvtec_ad but no mtd/. Run `defectbench data fetch",
        ("mtd",): "--data is missing: the folder that holds mtd/",
        ("mtd", "--data", data / "mvtec_ad"): "expected the folders MT_Blowhole",
        (
            "mvtec_ad",
            "--data",
            data,
            "--product",
            "woods",
        ): "no product 'woods'; did you mean 'wood'?",
        ("mvtec_ad", "--data", data, "--product", "tile"): "tile: no such folder",
    }
    for arguments, words in cases.items():
        told = run("data", "check", *arguments)
        assert told.code == 2, arguments
        assert words in told.err


def test_a_data_root_may_come_from_the_environment(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTBENCH_DATA", str(data))
    assert run("data", "check", "mvtec_ad", "--quick", "--json").json["images"] == 15


def test_a_contact_sheet_outlines_masks_outside_of_the_dataset(
    run: Run, data: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "new folder" / "sheet.png"
    told = run("data", "check", "mvtec_ad", "--data", data, "--sheet", sheet, "--json")
    assert told.json["sheet"] == str(sheet)
    with Image.open(sheet) as image:
        pixels = np.array(image)
    assert (pixels == (255, 0, 0)).all(axis=2).sum() > 7 * 100
    for place, words in (
        (data / "mvtec_ad" / "sheet.png", "where nothing is ever written"),
        (tmp_path / "sheet.txt", "expected a name that ends in"),
    ):
        told = run("data", "check", "mvtec_ad", "--data", data, "--sheet", place)
        assert (told.code, place.exists()) == (2, False)
        assert words in told.err


def test_help_has_examples_and_no_command_imports_torch(data: Path) -> None:
    """In a process of its own, since others here have torch already."""
    script = (
        "import sys; sys.argv = ['defectbench', 'data', *sys.argv[1:]]\n"
        "from defectbench.cli import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, "check", "mvtec_ad", "--data", str(data / "none")],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.splitlines()[1:] == ["False"]


@pytest.mark.parametrize("command", ["check", "standin", "prepare", "fetch"])
def test_every_command_says_how_it_is_used(run: Run, command: str) -> None:
    told = run("data", command, "--help")
    assert told.code == 0
    assert f"defectbench data {command} " in told.out


def test_a_stand_in_is_drawn_once_and_checked(run: Run, tmp_path: Path) -> None:
    """LOCO, whose masks may be folders of files, through every command."""
    draw = ("data", "standin", "mvtec_loco", "--out", tmp_path, "--product", "pushpins")
    draw = (*draw, "--size", 48, "--normals", 2, "--defective", 2)
    told = run(*draw, "--json")
    assert told.code == 0
    assert told.json["folder"] == str(tmp_path / "mvtec_loco")
    before = fingerprint(tmp_path / "mvtec_loco")
    told = run(
        *("data", "check", "mvtec_loco", "--data", tmp_path, "--sheet", tmp_path / "s.png"),
        "--json",
    )
    assert told.code == 0
    assert told.json["stand_in"] is True
    assert "this is a stand-in" in told.json["notes"][0]
    assert all(count["found"] and count["expected"] for count in told.json["counts"])
    cache = tmp_path / "cache"
    told = run(
        *("data", "prepare", "mvtec_loco", "--data", tmp_path, "--size", 16, "--out", cache),
        "--json",
    )
    assert told.json["splits"]["test"]["defective"] == 4
    assert told.json["stand_in"] is True
    told = run("export", "mvtec_loco", "--data", tmp_path, "--to", "coco", "--out", tmp_path / "c")
    assert told.code == 0
    assert "Stand-ins drawn by defectbench" in told.out
    assert fingerprint(tmp_path / "mvtec_loco") == before
    told = run(*draw, "--seed", 1)
    assert told.code == 2
    assert "holds a stand-in drawn with other options" in told.err
