"""Scores at the test masks' own size (`score_size: own`): the predictions are enlarged, the masks read again."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.data.cache.own_masks import own_masks
from defectbench.data.cache.prepared import Prepared
from defectbench.executors.inline import Inline
from defectbench.plan.job import Job
from defectbench.runner.run import Options, plan_table, run_table
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.stages.prepare import scan_images
from defectbench.store.jobs import Store
from defectbench.tasks.parts.own_size import at_own_size, own_pixel_scores
from tests.runner.test_own_images import own_table
from tests.runner.test_real_folders import scratches
from tests.running import TABLE, Quiet


def columns(*wanted: int) -> np.ndarray:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, list(wanted)] = 1
    return mask


def test_scores_of_enlarged_predictions_as_computed_by_hand():
    """A map of two columns, 0 and 1, is 0, 0.25, 0.75, 1 over the four columns of its mask."""
    maps = np.tile(np.array([[0.0, 1.0]]), (1, 2, 1))
    values, truth = at_own_size(maps, [columns(2, 3)])
    assert values.reshape(4, 4).tolist() == [[0.0, 0.25, 0.75, 1.0]] * 4
    assert truth.sum() == 8
    scores = own_pixel_scores(maps, [columns(2, 3)], threshold=0.5)
    assert scores == {"pixel_ap_own": 1.0, "pixel_f1_own": 1.0}
    scores = own_pixel_scores(maps, [columns(1, 3)], threshold=0.5)
    assert scores["pixel_ap_own"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert scores["pixel_f1_own"] == 0.5, "one column found, one missed, one too many"
    assert own_pixel_scores(maps, [columns(1, 3)])["pixel_auc_own"] == 0.75
    assert math.isnan(own_pixel_scores(maps, [columns(1)], math.nan)["pixel_f1_own"])
    assert math.isnan(own_pixel_scores(maps, [columns()], 0.5)["pixel_ap_own"])
    with pytest.raises(ValueError, match="1 maps and 2 masks"):
        at_own_size(maps, [columns(1)] * 2)


def test_images_of_several_sizes_are_pooled_pixel_by_pixel():
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    values, truth = at_own_size(maps, [np.ones((3, 5), np.uint8), np.zeros((1, 2), np.uint8)])
    assert values.tolist() == [0.0] * 15 + [1.0] * 2
    assert truth.tolist() == [True] * 15 + [False] * 2


def small(text: str, size: str = "own", rule: str = "nearest") -> str:
    """A table of `raw` alone, trained for one step at 64 px."""
    text = text[: text.index("scores:")] + text[text.index("presets:") :]
    text = text.replace("  - {arm: enlarge, method: DCDGANc}\n", "")
    text = text.replace("  - {arm: enlarge, method: Memoriser}\n", "")
    text = text.replace("size: 32\n", f"size: 64\n    masks: {rule}\n").replace("[0, 1]", "[0]")
    asked = f"steps: 1, batch: 4, evaluate_every: 1, select: last, score_size: {size}"
    return text.replace("steps: 6, batch: 4, evaluate_every: 3, select: best", asked)


def test_the_masks_are_those_before_shrinking_and_must_be_the_same_files(tmp_path):
    data = scratches(tmp_path / "plates")
    table = own_table(tmp_path / "own.yaml", "plates")
    table.write_text(small(table.read_text()))
    jobs = plan_table(str(table), Options(data=data, out=tmp_path), lambda _: None).jobs.values()
    made = next(job for job in jobs if job.stage == "prepare")
    context = Context(Store(tmp_path / "jobs"), data)
    execute(made, context)
    folder = context.store.folder(made.id)
    prepared, manifest = Prepared.open(folder / "cache"), scan_images(made.spec, folder, context)
    rows = prepared.rows(split="test")
    defective = prepared.multi_hot(rows).any(axis=1)
    assert not prepared.masks[rows].any(), "nearest loses every scratch at 64 px"
    found = own_masks(prepared, rows, manifest, "nearest")
    assert {mask.shape for mask in found} == {(512, 512)}
    assert [int(mask.sum()) for mask in found] == [400 * shown for shown in defective.tolist()]
    patch = replace(prepared, table=prepared.table.assign(y=100, x=40, side=64))
    cut = own_masks(patch, rows, manifest, "nearest")
    assert {mask.shape for mask in cut} == {(64, 64)}
    for path in data.glob("masks/scratch/*.png"):
        path.write_bytes((data / "images/good/0.png").read_bytes())
    with pytest.raises(UserError, match="not the mask that"):
        own_masks(prepared, rows, manifest, "nearest")


@pytest.mark.slow
def test_a_table_shows_them_beside_the_usual_ones_and_nothing_else_moves(tmp_path):
    data = scratches(tmp_path / "plates")
    plans, rows = {}, {}
    for size in ("prepared", "own"):
        table = own_table(tmp_path / f"{size}.yaml", "plates")
        table.write_text(small(table.read_text(), size, "area"))
        options = Options(data=data, out=tmp_path / "out")
        outcome = run_table(str(table), options, Inline(), Quiet(), lambda _: None)  # type: ignore[arg-type]
        assert not outcome.failed
        plans[size] = outcome.plan.jobs
        with (tmp_path / "out/tiny/table1.smoke.csv").open() as file:
            rows[size] = {row["metric"]: row for row in csv.DictReader(file)}
    stages = [sorted(j.stage for j in plan.values()) for plan in plans.values()]
    assert stages == [["prepare", "task"]] * 2
    prepared = {
        job.id for plan in plans.values() for job in plan.values() if job.stage == "prepare"
    }
    assert len(prepared) == 1, "the cache is the same"
    assert list(rows["own"]) == [*rows["prepared"], "pixel_ap_own", "pixel_f1_own"]
    assert "pixel_ap_own" not in rows["prepared"]
    for metric, row in rows["prepared"].items():
        assert rows["own"][metric]["mean"] == row["mean"]
    assert rows["own"]["pixel_ap_own"]["better"] == "higher"
    assert 0 < float(rows["own"]["pixel_ap_own"]["mean"]) < 1


def test_ids_hold_the_size_only_where_it_is_asked_for_and_of_tasks_that_find_pixels(tmp_path):
    def tasks(text: str) -> dict[str, Job]:
        path = tmp_path / "t.yaml"
        path.write_text(text)
        jobs = plan_table(str(path), Options(out=tmp_path), lambda _: None).jobs.values()
        return {str(job.spec["task"]): job for job in jobs if job.stage == "task"}

    both = TABLE.replace(
        "  U-Net: {task: segmentation}\n",
        "  U-Net: {task: segmentation}\n  Anomaly: {task: anomaly, metrics: [image_ap]}\n"
        "  Classes: {task: classification, metrics: [accuracy]}\n",
    )
    usual, own = tasks(small(both, "prepared")), tasks(small(both, "own"))
    assert all("score_size" not in job.spec for job in usual.values())
    assert {name for name in usual if usual[name].id != own[name].id} == {"segmentation", "anomaly"}
    assert own["anomaly"].spec["score_size"] == "own"
    only = both.replace("  U-Net: {task: segmentation}\n", "").replace("Anomaly: {task: anomaly, metrics: [image_ap]}", "B: {task: classification, metrics: [accuracy]}")  # fmt: skip
    with pytest.raises(UserError, match=r"task\.score_size: no model of this table finds pixels"):
        tasks(small(only, "own"))
