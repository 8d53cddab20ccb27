"""What a user gets wrong: one line or one list that names file or key, expectation and cure; exit code 2; no traceback."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from defectbench.config import UserError
from defectbench.plan.job import Job
from defectbench.stages import execute as stages
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.standin import write_standin
from defectbench.standin.order import Order
from defectbench.store.jobs import Store
from tests.conftest import Outcome


def refused(done, *words: str) -> None:
    """One line or one list, exit code 2, no traceback; of a command run in this process or in one of its own."""
    code, told = (
        (done.code, done.err) if isinstance(done, Outcome) else (done.returncode, done.stderr)
    )
    assert code == 2, told
    assert "Traceback" not in told
    for word in words:
        assert word in told, told


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: Tiny", "titel: Tiny", ["titel", "unknown key", "did you mean 'title'"]),
        (
            "size: 32\n    seeds: [0, 1]",
            "size: many\n    seeds: [0, 1]",
            ["presets.smoke.size", "'many'"],
        ),
        (
            "steps: 6, batch: 4",
            "steps: 6, batsch: 4",
            ["presets.smoke.task.batsch", "did you mean 'batch'"],
        ),
        ("title: Tiny", "title: Tiny\ntitle: Tiny", ["line 3", "duplicate key", "remove one"]),
        (
            "generator: memoriser",
            "generator: memorizer",
            ["no generator 'memorizer'", "did you mean 'memoriser'"],
        ),
        ("dataset: mvtec_ad", "dataset: mvtec", ["no dataset 'mvtec'", "did you mean 'mvtec_ad'"]),
        (
            "task: segmentation",
            "task: segmentatoin",
            ["no task 'segmentatoin'", "did you mean 'segmentation'"],
        ),
        ("base: 4,", "bass: 4,", ["no argument 'bass'", "did you mean 'base'"]),
        ("base: 4,", "base: wide,", ["expected int", "'wide'"]),
        ("products: [wood]", "products: [woods]", ["'woods'", "did you mean 'wood'"]),
        ("method: Memoriser", "method: Memory", ["entries[2]", "Memory"]),
        ("title: Tiny", "title: [Tiny", ["not valid YAML"]),
        # A seed given twice would be two equal results, and an interval of no width.
        ("seeds: [0, 1]", "seeds: [1, 1]", ["seeds", "each once; found 1, 1"]),
        ("seeds: [0, 1]", "seeds: []", ["seeds", "give one or more"]),
        # Names of tables are names of files: these would lie outside --out.
        ("paper: tiny", "paper: ../../tiny", ["paper", "'../../tiny'"]),
        ("paper: tiny", 'paper: ""', ["paper", "''"]),
        ('table: "1"', "table: a/../../b", ["table", "'a/../../b'"]),
        (
            "[hole, liquid]}\nsplit",
            "[hole, hole]}\nsplit",
            ["defects.wood", "'hole' stands there twice"],
        ),
        ("metrics: [pixel_auc, pixel_f1]", "metrics: [pixel_f1, pixel_f1]", ["metrics", "twice"]),
        ("select: best}", "select: best, ratio: -1.0}", ["task.ratio", "-1.0"]),
        ("select: best}", "select: best, normals: -3}", ["task.normals", "-3"]),
    ],
)
def test_a_wrong_table_is_refused(run, table, old, new, words):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    refused(run("plan", table), str(table), *words)


@pytest.mark.parametrize(
    ("generator", "old", "new", "told"),
    [
        (
            "stylegan2",
            "size: 32\n    seeds",
            "size: 48\n    seeds",
            "size is 48; wants a power of two",
        ),
        ("dfmgan", "images: 48, batch: 4", "images: 48, batch: 1", "batch is 1; wants at least 2"),
    ],
)
def test_a_table_is_refused_where_its_sizes_do_not_suit_a_generator(
    run, table, generator, old, new, told
):
    text = table.read_text()
    assert old in text
    text = text.replace("generator: memoriser", f"generator: {generator}").replace(old, new, 1)
    table.write_text(text)
    refused(run("plan", table), table.stem, generator, told)


def test_scores_that_ask_an_inspector_need_a_table_that_trains_one(run, table):
    text = table.read_text().replace("task: segmentation", "task: classification")
    text = text.replace("[pixel_auc, pixel_f1]", "[accuracy]")
    table.write_text("".join(x for x in text.splitlines(keepends=True) if "encoder:" not in x))
    told = "mask_iou_raw_segmentation looks through a segmentation network"
    refused(run("plan", table), told, "task segmentation")


def test_unknown_names_and_presets(run, table):
    refused(run("plan", "dcdgan_c/table55"), "did you mean 'dcdgan_c/table5'")
    refused(run("plan", table, "--preset", "smok"), "did you mean 'smoke'")
    refused(run("show", "stargan"), "did you mean 'star_gan'")
    refused(run("list", "generator"), "did you mean 'generators'")
    refused(run("run", table, "--on", "cloud"), "expected inline, local or slurm")
    refused(run("run", table, "--only", "methods=x"), "did you mean 'method'")
    refused(run("compare", "a.csv", "b.csv"), "a.csv", "no such file")


def test_a_fit_that_cannot_be_is_refused_before_anything_is_written(run, tmp_path):
    for words, expected in (
        (["star_gam"], "did you mean 'star_gan'"),
        (["star_gan", "--dataset", "mvtec"], "did you mean 'mvtec_ad'"),
        (["star_gan", "--product", "woods"], "did you mean 'wood'"),
        (["star_gan", "--set", "bass=4"], "did you mean 'base'"),
        (["star_gan", "--set", "base=wide"], "expected int"),
        (["star_gan", "--set", "base"], "expected NAME=VALUE"),
        (["star_gan", "--view", "half"], "expected full or contents"),
        (["star_gan", "--background", "white"], "expected auto or a grey value"),
        (["star_gan", "--data", tmp_path / "gone"], "no such folder"),
        (["cycle_gan"], "cycle_gan learns one defect type per model"),
        (["defect_gan", "--size", "50"], "defect_gan: size is 50; wants a multiple of 4"),
        (["dfmgan", "--size", "48", "--defect", "hole"], "size is 48; wants a power of two"),
        (["dfmgan", "--batch", "1", "--defect", "hole"], "batch is 1; wants at least 2"),
    ):
        refused(run("fit", *words, "--out", tmp_path / "fit"), expected)
    assert not (tmp_path / "fit").exists()


def test_missing_data(run, table, tmp_path):
    refused(run("plan", table, "--data", tmp_path / "nowhere"), "nowhere", "no such folder")
    refused(run("plan", table, "--preset", "real"), "needs the real MVTec AD", "--data ROOT")
    (tmp_path / "empty").mkdir()
    refused(
        run("plan", table, "--preset", "real", "--data", tmp_path / "empty"),
        "mvtec_ad does not exist",
    )


def test_a_folder_that_is_not_the_dataset(run, table, tmp_path):
    (tmp_path / "data" / "mvtec_ad" / "wood").mkdir(parents=True)
    refused(run("plan", table, "--data", tmp_path / "data"), "mvtec_ad")


def test_every_damaged_file_is_listed_at_once(run, table, tmp_path):
    wood = tmp_path / "data" / "mvtec_ad" / "wood"
    write_standin(
        "mvtec_ad", wood.parent, Order(size=48, normals=4, defective=4, seed=0, products=["wood"])
    )
    masks = sorted((wood / "ground_truth" / "hole").iterdir())
    masks[0].unlink()
    Image.new("L", (20, 20), 255).save(masks[1])
    torn = wood / "test" / "liquid" / "001.png"
    torn.write_bytes(torn.read_bytes()[:-40])
    (wood / "test" / "scratch" / "000.png").write_bytes(b"")
    before = {p: p.stat().st_mtime_ns for p in wood.rglob("*")}
    for command in ("plan", "run"):
        done = run(command, table, "--data", tmp_path / "data", "--out", tmp_path / "out")
        refused(
            done,
            "4 problems",
            "000.png",
            masks[1].name,
            "20x20",
            "liquid/001.png",
            "scratch/000.png",
        )
    assert {p: p.stat().st_mtime_ns for p in wood.rglob("*")} == before
    assert not list(tmp_path.glob("out/jobs/*/result.json"))


def test_an_empty_category_is_named(run, table, tmp_path):
    wood = tmp_path / "data" / "mvtec_ad" / "wood"
    write_standin(
        "mvtec_ad", wood.parent, Order(size=48, normals=4, defective=4, seed=0, products=["wood"])
    )
    for path in (wood / "test" / "hole").iterdir():
        path.unlink()
    refused(run("plan", table, "--data", tmp_path / "data"), "wood/test/hole", "no image")


def test_output_that_cannot_be_written(run, table, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    refused(run("run", table, "--out", blocked / "out"), "cannot be written", "--out")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if (
        os.geteuid() == 0
    ):  # root may write everywhere; a read-only file system would stop it like this
        write = Path.write_text

        def read_only(path: Path, *content: str, **options: str) -> int:
            if path.is_relative_to(closed):
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return write(path, *content, **options)

        monkeypatch.setattr(Path, "write_text", read_only)
    refused(run("run", table, "--out", closed / "out"), str(closed), "cannot be written", "--out")


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_run_in_a_line_and_the_next_one_goes_on(
    run, finished, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    victims = [
        p.parent for p in out.glob("jobs/*/job.json") if '"stage": "sample"' in p.read_text()
    ]
    for victim in victims:
        shutil.rmtree(victim)
    kept = {p: p.stat().st_mtime_ns for p in out.glob("jobs/*/result.json")}
    save = Image.Image.save

    def full(image, target, *rest, **options):
        if "images" in Path(target).parts:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return save(image, target, *rest, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    done = run("run", finished.parent / "tiny.yaml", "--out", out)
    refused(done, "No space left on device", "free space", "finished jobs are kept")
    monkeypatch.setattr(Image.Image, "save", save)
    assert {p: p.stat().st_mtime_ns for p in out.glob("jobs/*/result.json")} == kept
    assert run("run", finished.parent / "tiny.yaml", "--out", out).code == 0
    name = "tiny/table1.smoke.csv"
    assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_a_full_disk_leaves_the_job_to_be_done(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "images.npy")

    monkeypatch.setattr(stages, "STAGES", {**stages.STAGES, "fit": full})
    store, job = Store(tmp_path / "jobs"), Job("fit", {})
    with pytest.raises(UserError, match=r"images\.npy: No space left.*finished jobs are kept"):
        execute(job, Context(store))
    assert store.state(job.id) == "waiting"


def test_checkpoints_that_are_not(run, tmp_path):
    refused(run("sample", tmp_path / "none.ckpt", "--label", "hole"), "no such checkpoint")
    torn = tmp_path / "torn.ckpt"
    torn.write_bytes(b"PK\x03\x04 not a checkpoint")
    refused(run("sample", torn, "--label", "hole"), "torn.ckpt", "not a checkpoint")
