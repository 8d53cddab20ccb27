"""What a user gets wrong: one line or one list that names file or key, expectation and cure; exit code 2; no traceback."""

from __future__ import annotations

import os

import pytest

from tests.bench.conftest import call


def refused(done, *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


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
    ],
)
def test_a_wrong_table_is_refused(table, old, new, words):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    refused(call("plan", table), str(table), *words)


def test_scores_that_ask_an_inspector_need_a_table_that_trains_one(table):
    text = table.read_text().replace("task: segmentation", "task: classification")
    text = text.replace("[pixel_auc, pixel_f1]", "[accuracy]")
    table.write_text("".join(x for x in text.splitlines(keepends=True) if "encoder:" not in x))
    told = "mask_iou_raw_segmentation looks through a segmentation network"
    refused(call("plan", table), told, "task segmentation")


def test_unknown_names_and_presets(table):
    refused(call("plan", "dcdgan_c/table55"), "did you mean 'dcdgan_c/table5'")
    refused(call("plan", table, "--preset", "smok"), "did you mean 'smoke'")
    refused(call("show", "stargan"), "did you mean 'star_gan'")
    refused(call("list", "generator"), "did you mean 'generators'")
    refused(call("run", table, "--on", "cloud"), "expected inline or local")
    refused(call("run", table, "--only", "methods=x"), "did you mean 'method'")
    refused(call("compare", "a.csv", "b.csv"), "a.csv", "no such file")


def test_missing_data(table, tmp_path):
    refused(call("plan", table, "--data", tmp_path / "nowhere"), "nowhere", "no such folder")
    refused(call("plan", table, "--preset", "real"), "needs the real MVTec AD", "--data ROOT")
    (tmp_path / "empty").mkdir()
    refused(
        call("plan", table, "--preset", "real", "--data", tmp_path / "empty"),
        "mvtec_ad does not exist",
    )


def test_a_folder_that_is_not_the_dataset(table, tmp_path):
    (tmp_path / "data" / "mvtec_ad" / "wood").mkdir(parents=True)
    refused(call("plan", table, "--data", tmp_path / "data"), "mvtec_ad")


def test_output_that_cannot_be_written(table, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    refused(call("run", table, "--out", blocked / "out"), "cannot be written", "--out")
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused(call("run", table, "--out", closed / "out"), "cannot be written", "--out")


def test_a_full_disk_keeps_what_is_finished(finished, tmp_path, monkeypatch):
    import errno
    import json

    from defectbench.bench import stages
    from defectbench.bench.job import Job
    from defectbench.bench.stages import Context, execute
    from defectbench.bench.store import Store
    from defectbench.config import UserError

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "images.npy")

    monkeypatch.setattr(stages, "STAGES", {**stages.STAGES, "fit": full})
    content = next(
        json.loads(p.read_text())
        for p in finished.glob("jobs/*/job.json")
        if '"stage": "fit"' in p.read_text()
    )
    store = Store(tmp_path / "jobs")
    job = Job.from_json(content)
    with pytest.raises(UserError, match=r"images\.npy: No space left.*finished jobs are kept"):
        execute(job, Context(store))
    assert store.state(job.id) == "waiting"


@pytest.mark.slow
def test_checkpoints_that_are_not(tmp_path):
    refused(call("sample", tmp_path / "none.ckpt", "--label", "hole"), "no such checkpoint")
    torn = tmp_path / "torn.ckpt"
    torn.write_bytes(b"PK\x03\x04 not a checkpoint")
    refused(call("sample", torn, "--label", "hole"), "torn.ckpt", "not a checkpoint")
