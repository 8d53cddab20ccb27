"""Synthetic normals: a generator that restores gives the source head both sides of class "normal"."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectbench.data.cache.prepare import prepare
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.arms import training_set
from defectbench.data.streams.learned import Learned
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.data.streams.restored import open_restored, restorations
from defectbench.stages.evaluation import train_task
from defectbench.stages.training import initialised
from defectbench.tasks.classification import Classification
from tests.conftest import draw_tree
from tests.running import run_here

TABLE = """
title: Tiny
paper: tiny
table: "1"
dataset: mvtec_ad
products: [wood]
defects: {wood: [hole, liquid]}
split: one_third
methods:
  StarGAN: {generator: star_gan}
  CycleGAN: {generator: cycle_gan}
  Memoriser: {generator: memoriser}
models:
  Classifier: {task: classification, arguments: {source_head: ganin}, metrics: [accuracy]}
  U-Net: {task: segmentation, metrics: [pixel_ap]}
entries:
  - {arm: enlarge, method: StarGAN}
  - {arm: enlarge, method: CycleGAN}
  - {arm: enlarge, method: Memoriser}
presets:
  smoke:
    about: seconds
    stand_in: {size: 48, normals: 6, defective: 9}
    size: 32
    seeds: [0]
    fit: {images: 8, batch: 4}
    sample: {per_defect: 3, batch: 4, restored: 6}
    task: {steps: 2, batch: 4, evaluate_every: 2, normals: 4}
    arguments:
      star_gan: {base: 4, blocks: 1, critic_base: 4, n_critic: 1}
      cycle_gan: {base: 4, blocks: 1, critic_base: 4}
      Classifier: {model: resnet10t, width: 0.25}
      segmentation: {encoder: tu-resnet10t, encoder_depth: 3, encoder_width: 0.25, decoder_channels: [16, 8, 8]}
"""


@pytest.mark.slow
def test_a_table_asks_those_that_restore_and_trains_classifiers_with_them(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TABLE)
    run_here(path, tmp_path / "out")
    jobs = [p.parent for p in (tmp_path / "out" / "jobs").glob("*/result.json")]
    results = {folder: json.loads((folder / "result.json").read_text()) for folder in jobs}
    samples = {f: r for f, r in results.items() if r["stage"] == "sample"}
    told = {r["label"].split()[1]: r["counts"].get("restored") for r in samples.values()}
    assert told == {"StarGAN": 6, "CycleGAN": 6, "Memoriser": None}
    for folder, result in samples.items():
        assert result["counts"]["images"] == 6  # the defects alone
        mended = open_restored(folder)
        if result["counts"].get("restored"):
            assert mended is not None
            assert not mended.multi_hot(np.arange(6)).any()
            assert set(mended.table["source"]) != {"real"}
            assert not mended.masks[:].any()
    counts = {
        (r["spec"]["task"], r["label"].split()[2]): r["counts"].get("restored", 0)
        for r in results.values()
        if r["stage"] == "task"
    }
    assert counts["classification", "StarGAN"] == counts["classification", "CycleGAN"] == 6
    assert counts["classification", "Memoriser"] == 0
    assert not any(n for (task, _), n in counts.items() if task == "segmentation")


def test_each_starts_from_a_training_image_of_the_defects_and_asks_for_none(
    squares: Prepared,
) -> None:
    learned = Learned(squares, product="plate")
    asked = list(restorations(squares, 5, batch=2, seed=3, learned=learned, defects=["dark"]))
    assert [len(a.provenance) for a in asked] == [2, 2, 1]
    again = list(restorations(squares, 5, batch=5, seed=3, learned=learned, defects=["dark"]))
    ids = [row["normal"] for a in asked for row in a.provenance]
    assert ids == [row["normal"] for row in again[0].provenance], "batches do not matter"
    assert all(name.startswith("train-dark") for name in ids)
    for one in asked:
        assert not one.request["defects"].any()
        rows = [list(squares.table["id"]).index(row["normal"]) for row in one.provenance]
        images = one.request["normal"].add(1).mul(127.5).round().permute(0, 2, 3, 1).numpy()
        assert np.array_equal(images, squares.images[rows])
    assert not list(restorations(squares, 2, batch=2, seed=0, learned=learned, defects=[]))


def alike(folder: Path, seed: str, count: int, *, normals: bool) -> Prepared:
    """Synthetic images that nothing tells from real ones: defects, or normals."""
    manifest = draw_tree(folder / seed, size=32, count=count)
    wanted = manifest.table["defects"].map(lambda found: bool(found) != normals)
    table = manifest.table[wanted].assign(source="perfect", split="train").reset_index(drop=True)
    return prepare(replace(manifest, table=table), folder / f"{seed} cache", size=32)


def test_restored_normals_join_where_normals_do_and_no_mask_is_needed(
    squares: Prepared, tmp_path: Path
) -> None:
    made = alike(tmp_path, "defects", 2, normals=False)
    mended = alike(tmp_path, "normals", 2, normals=True)
    for needs_masks, normals, expected in ((False, 5, 4), (True, 5, 0), (False, 0, 0)):
        chosen = training_set(
            "enlarge", squares, made, needs_masks=needs_masks, normals=normals, restored=mended
        )
        assert chosen.n_restored == expected
        labels, synthetic = chosen.images.defects.any(axis=1), chosen.images.synthetic
        assert (synthetic & ~labels).sum() == expected
        assert chosen.n_synthetic == len(made.table)
    assert not training_set(
        "raw", squares, None, needs_masks=False, normals=5, restored=mended
    ).n_restored


@pytest.mark.slow
def test_three_conditions_of_the_source_head(tmp_path: Path) -> None:
    """With perfect synthetic defects the head confounds source and class, unless normals or classes set it right."""
    real = prepare(draw_tree(tmp_path / "real", size=32, count=24), tmp_path / "cache", size=32)
    made = alike(tmp_path, "defects", 60, normals=False)
    mended = alike(tmp_path, "normals", 40, normals=True)
    conditions = {
        "none": ({"source_head": "none"}, None),
        "reversed": ({"source_head": "constant"}, None),
        "with normals": ({"source_head": "constant"}, mended),
        "within class": ({"source_head": "constant", "source_loss": "within_class"}, mended),
    }
    found = {}
    for name, (arguments, restored) in conditions.items():
        task: Classification = initialised(
            0,
            lambda given=arguments: Classification(
                size=32,
                defects=real.defects,
                products=real.products,
                steps=150,
                model="resnet10t",
                width=0.25,
                source_strength=3.0,
                lr=3e-3,
                **given,
            ),
        )
        chosen = training_set(
            "enlarge", real, made, needs_masks=False, normals=24, restored=restored
        )
        inspection = train_task(
            task,
            DefectData([Stream(chosen.images, "train")], batch=16, seed=0),
            tmp_path / name,
            steps=150,
            validation=ImageSet.of(real, real.rows(split="val")),
            test=lambda: ImageSet.of(real, real.rows(split="test")),
            evaluate_every=150,
            select="last",
        )
        found[name] = inspection.test["accuracy"]
    print(found)
    assert found["reversed"] < min(found["none"], found["with normals"], found["within class"])
