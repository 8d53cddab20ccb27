"""Three tasks in one table: scores by class, and what is odd or missing about the images is named in its cell."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.data.streams.arms import NothingToAdd, training_set
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.machine import Machine
from defectbench.stages.evaluation import remarks_on, train_task
from defectbench.stages.fit_checks import check_task
from defectbench.tasks.classification import Classification
from tests.running import run_here

pytestmark = pytest.mark.slow

pytest.importorskip("faster_coco_eval")

TABLE = """
title: Inspectors
paper: tiny
table: inspectors
dataset: mvtec_ad
products: [tile]
defects: {tile: [oil, rough]}
split: one_third
methods:
  Maskless: {generator: stylegan2}
  Memoriser: {generator: memoriser}
models:
  Segmentation: {task: segmentation, metrics: [pixel_f1]}
  Classification: {task: classification, metrics: [accuracy]}
  Detection: {task: detection, arguments: {min_area: 4}, metrics: [map50]}
  Blind: {task: detection, arguments: {min_area: 900}, metrics: [map50]}
entries:
  - {arm: raw}
  - {arm: enlarge, method: Maskless}
  - {arm: enlarge, method: Memoriser}
presets:
  smoke:
    about: seconds
    stand_in: {size: 32, normals: 5, defective: 6}
    size: 32
    seeds: [0]
    fit: {images: 4, batch: 4}
    sample: {per_defect: 3, batch: 3}
    task: {steps: 2, batch: 24, evaluate_every: 2, select: best, normals: 2}
    arguments:
      stylegan2: {channel_base: 64, channel_max: 8, latents: 8, path_weight: 0.0}
      segmentation: {encoder: tu-resnet10t, encoder_depth: 3, encoder_width: 0.25, decoder_channels: [16, 8, 8]}
      classification: {model: resnet10t, width: 0.25}
      detection: {model: fcos, backbone: resnet10t, width: 0.25, channels: 32}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of the table, run once."""
    folder = tmp_path_factory.mktemp("inspectors")
    (folder / "inspectors.yaml").write_text(TABLE)
    run_here(folder / "inspectors.yaml", folder / "out")
    return folder / "out"


def cell(out: Path, model: str, method: str) -> dict[str, str]:
    with (out / "tiny" / "inspectors.smoke.csv").open() as file:
        (row,) = (
            row for row in csv.DictReader(file) if (row["model"], row["method"]) == (model, method)
        )
    return row


def jobs(out: Path, model: str) -> list[tuple[Path, dict]]:
    found = [(path.parent, json.loads(path.read_text())) for path in out.glob("jobs/*/result.json")]
    return [(f, r) for f, r in found if r["stage"] == "task" and r["label"].startswith(model)]


@pytest.mark.parametrize("model", ["Segmentation", "Detection"])
def test_a_generator_without_masks_leaves_a_dash_and_the_reason_where_masks_are_needed(out, model):
    row = cell(out, model, "Maskless")
    assert (row["status"], row["mean"]) == ("undefined", "")
    assert "none of 6 synthetic images has a usable mask (mask source: none)" in row["reason"]
    text = (out / "tiny" / "inspectors.smoke.md").read_text()
    line = next(x for x in text.splitlines() if x.startswith(f"| tile | {model} |"))
    assert [part.strip() for part in line.split("|")][5] == "–"
    assert f"tile · Maskless · enlarge · {model}: none of 6 synthetic images" in text
    assert cell(out, model, "Memoriser")["mean"]


def test_where_no_mask_is_needed_the_same_generator_has_a_number(out):
    row = cell(out, "Classification", "Maskless")
    assert row["status"] == "ok"
    assert 0 <= float(row["mean"]) <= 1
    assert row["n_synthetic"] == "6"


def test_a_validation_set_without_any_box_fails_its_own_cells_only(out):
    row = cell(out, "Blind", "none")
    assert row["status"] == "failed"
    assert "no box of 900 pixels or more in the validation images" in row["reason"]
    assert "lower min_area" in row["reason"]


def test_a_batch_larger_than_the_training_set_is_said(out):
    row = cell(out, "Segmentation", "none")
    assert row["status"] == "ok"
    assert "batches of 24 repeat the training images, which are " in row["reason"]


def test_records_hold_scores_by_class_and_the_confusion_is_drawn(out):
    records = [
        json.loads(line)
        for line in (out / "records" / "tiny.inspectors.smoke.jsonl").read_text().splitlines()
    ]
    details = {r["label"].split()[0]: r["details"] for r in records if r.get("details")}
    assert set(details["Classification"]["accuracy"]) == {"normal", "oil", "rough"}
    assert set(details["Segmentation"]["pixel_f1"]) == {"oil", "rough"}
    assert set(details["Detection"]["map50_95"]) == {"oil", "rough"}
    for folder, _ in jobs(out, "Classification"):
        assert (folder / "confusion.png").stat().st_size > 1000


def test_a_class_without_images_is_named(squares):
    train = ImageSet.of(squares, squares.rows(split="train", defect="bright"))
    test = ImageSet.of(squares, squares.rows(split="test", defective=True))
    assert remarks_on(train, test, squares.defects, batch=4) == [
        "no training image shows dark",
        "all training images are of one class",
    ]
    assert remarks_on(test, train, squares.defects, batch=4)[0] == "no test image shows dark"
    assert remarks_on(test, test, squares.defects, batch=4) == []


def test_an_empty_set_of_synthetic_images_is_named(squares):
    empty = replace(squares, table=squares.table.iloc[:0])
    with pytest.raises(NothingToAdd, match="the set of synthetic images is empty"):
        training_set("enlarge", squares, empty, needs_masks=False)
    with pytest.raises(NothingToAdd, match=r"ratio 0\.01 of 16 real images asks for no synthetic"):
        training_set("enlarge", squares, squares, needs_masks=False, ratio=0.01)


def test_synthetic_images_of_other_classes_are_refused(squares):
    other = replace(squares, defects=("dark", "bright"))
    with pytest.raises(UserError, match="real images are bright, dark, of the synthetic ones dark"):
        training_set("enlarge", squares, other, needs_masks=True)


def test_fewer_images_than_workers_or_batch_train_all_the_same(squares, tmp_path):
    rows = squares.rows(split="train", defective=True)[:1]
    losses = []
    for number in (0, 2):
        task = Classification(
            size=32,
            defects=squares.defects,
            products=squares.products,
            steps=3,
            model="resnet10t",
            width=0.25,
        )
        for parameter in task.parameters():
            parameter.data.fill_(0.01)
        folder = tmp_path / str(number)
        found = train_task(
            task,
            DefectData([Stream(ImageSet.of(squares, rows), "train")], batch=8, seed=0),
            folder,
            steps=3,
            validation=ImageSet.of(squares, squares.rows(split="val")),
            test=lambda: ImageSet.of(squares, squares.rows(split="test")),
            evaluate_every=1,
            select="last",
            machine=Machine("cpu", loader_workers=number),
        )
        assert "batches of 8 repeat the training images, which are 1" in found.remarks
        losses.append((folder / "losses.csv").read_text())
    assert losses[0] == losses[1]
    assert np.isfinite(found.test["accuracy"])


def test_a_task_is_refused_images_without_the_truth_it_learns_from(squares):
    no_masks = replace(squares, table=squares.table.assign(mask_pixels=0))
    boxes = ["1 1 9 9 dark" if d else "" for d in squares.table["defects"]]
    boxed = replace(no_masks, table=no_masks.table.assign(boxes=boxes))
    either = {"mask", "boxes"}
    for needs, images in (((), no_masks), ({"mask"}, squares), (either, squares), (either, boxed)):
        check_task("one", needs, images)
    with pytest.raises(UserError, match="squares: segmentation learns from mask of defects"):
        check_task("segmentation", {"mask"}, boxed)
    with pytest.raises(UserError, match="detection learns from boxes or mask of defects, and its"):
        check_task("detection", either, no_masks)
