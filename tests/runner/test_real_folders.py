"""What is said of a user's images before they train: what is lacking, how many train, what leaks, what masks lose."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from defectbench.config import UserErrors
from defectbench.data.cache.prepared import Prepared
from defectbench.executors.inline import Inline
from defectbench.plan.job import Job
from defectbench.plan.planner import make_plan
from defectbench.runner.run import find_sources
from defectbench.spec.loading import load_table
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.stages.task import _told_images
from defectbench.store.jobs import Store
from defectbench.store.records import told_leaks
from tests.conftest import Run
from tests.runner.test_every_door import as_jpeg, images, own, some_pixels_transparent, turned
from tests.runner.test_own_images import own_table, write
from tests.running import TABLE
from tests.trees import save, write_category


def two_products(path: Path) -> Path:
    text = TABLE.replace("products: [wood]", "products: [wood, carpet]")
    path.write_text(
        text.replace("{wood: [hole, liquid]}", "{wood: [hole, liquid], carpet: [hole, cut]}")
    )
    return path


def test_products_that_a_dataset_lacks_are_drawn_in_one_printed_line(tmp_path):
    write_category(tmp_path / "mvtec_ad/wood", {"hole": 6, "liquid": 6}, train=6)
    spec = load_table(two_products(tmp_path / "two.yaml"))
    said: list[str] = []
    sources = find_sources(spec, "smoke", tmp_path, tmp_path / "cache", said.append)
    assert said == [f"MVTec AD: no carpet in {tmp_path / 'mvtec_ad'}, drawing its stand-in"]
    plan = make_plan(spec, "smoke", sources)
    drawn = {cell.subset: (cell.stand_in, cell.dataset) for cell in plan.cells}
    assert drawn == {"wood": (False, "MVTec AD"), "carpet": (True, "MVTec AD stand-in")}
    asked = {j.spec["product"]: j.spec for j in plan.jobs.values() if j.stage == "prepare"}
    assert "digest" in asked["wood"]
    assert "stand_in" not in asked["wood"]
    assert "stand_in" in asked["carpet"]


def test_products_that_a_dataset_lacks_are_named_where_nothing_may_be_drawn(tmp_path):
    write_category(tmp_path / "mvtec_ad/wood", {"hole": 6, "liquid": 6}, train=6)
    spec = load_table(two_products(tmp_path / "two.yaml"))
    with pytest.raises(UserErrors, match="carpet: no such folder"):
        find_sources(spec, "real", tmp_path, tmp_path / "cache", pytest.fail)


def photographs(folder: Path) -> Path:
    """Two photographs of each of 24 parts; no name says which belong together."""
    rng = np.random.default_rng(0)
    rows = ["image,defects,mask"]
    for part in range(24):
        shown = rng.integers(60, 200, (40, 40, 3)).astype(float)
        for turn in range(2):
            name = f"{turn}{part:02d}"
            again = (shown + rng.normal(0, 3, shown.shape) + 10 * turn).clip(0, 255)
            save(folder / f"{name}.png", again.astype(np.uint8))
            mask = ""
            if part % 2:
                mask = f"m/{name}.png"
                marked = np.zeros((40, 40), np.uint8)
                marked[5:15, 5:15] = 255
                save(folder / mask, marked)
            rows.append(f"{name}.png,{'dent' if part % 2 else ''},{mask}")
    (folder / "parts.csv").write_text("\n".join(rows))
    return folder / "parts.csv"


def test_photographs_of_one_part_are_said_in_check_fit_and_run(run: Run, tmp_path):
    data = photographs(tmp_path / "parts")
    told = run("data", "check", "folder", "--data", data, "--json")
    assert told.code == 0
    (note,) = [note for note in told.json["notes"] if "look alike" in note]
    assert note.startswith("24 pairs of images")
    assert "`group`" in note

    fit = ("fit", "memoriser", "--dataset", "folder", "--data", data, "--size", 32, "--images", 8)
    told = run(*fit, "--batch", 4, "--out", tmp_path / "fit")
    assert told.code == 0, told.err
    assert "pairs of images show one part or are one file and are on two sides" in told.err
    assert "of 48 images train" in told.err
    assert "--split one_third keeps" in told.err

    spec = load_table(own_table(tmp_path / "own.yaml", "parts"))
    sources = find_sources(spec, "smoke", data, tmp_path / "cache", pytest.fail)
    plan = make_plan(spec, "smoke", sources)
    (job,) = [job for job in plan.jobs.values() if job.stage == "prepare"]
    store = Store(tmp_path / "jobs")
    execute(job, Context(store, data))
    result = store.result(job.id)
    assert result is not None, store.failure(job.id)
    assert result["leaks"]["pairs"] > 0
    lines = [
        {"kind": "job", **json.loads(json.dumps(result))},
        {"kind": "plan", "cells": [{"jobs": [job.id]}]},
    ]
    assert "that show one part or are one file are on two sides" in told_leaks(lines)[0]


def test_fit_and_run_say_what_is_done_to_images_and_masks(run: Run, tmp_path, monkeypatch):
    """The same sentences as `data check`: transparent pixels, turned images, masks that were JPEG once."""
    data = own(tmp_path / "plates", images(tmp_path / "good"), as_jpeg)
    some_pixels_transparent(tmp_path / "good")
    turned(data / "images" / "dent")
    said = [
        "1 of 8 images have transparent pixels (up to 25.0% of an image)",
        "1 of 8 images are turned upright as their EXIF orientation says",
        "cluster near 0 and near 255",
    ]
    fit = ("fit", "memoriser", "--dataset", "folder", "--data", data, "--size", 32, "--images", 4)
    monkeypatch.setattr(Inline, "run", lambda *_: None)
    table = own_table(tmp_path / "own.yaml", "plates")
    for asked in ((*fit, "--batch", 4), ("run", table, "--data", data)):
        told = run(*asked, "--out", tmp_path / asked[0])
        words = " ".join((told.out + told.err).split())
        assert [each for each in said if each not in words] == [], asked[0]


def scratches(folder: Path) -> Path:
    """Nine images of 512 px with a scratch of one pixel, which no middle of 8 x 8 pixels meets."""
    for i in range(9):
        image = np.random.default_rng(i).integers(80, 160, (512, 512, 3)).astype(np.uint8)
        mask = np.zeros((512, 512), np.uint8)
        mask[9 + 8 * i, 40:440] = 255
        save(folder / f"images/scratch/{i}.png", image)
        save(folder / f"masks/scratch/{i}.png", mask)
        save(folder / f"images/good/{i}.png", image[::-1])
    return folder


def test_what_shrinking_loses_is_said_with_the_count_per_defect(run: Run, tmp_path):
    data = scratches(tmp_path / "plates")
    asked = ("data", "prepare", "folder", "--data", data, "--size", 64, "--workers", 0)
    told = run(*asked, "--masks", "nearest", "--out", tmp_path / "nearest")
    assert told.code == 0
    lost = "masks without a pixel at 64 px, whose images train and test as background: 9 of 9 of scratch"
    assert lost in told.err
    told = run(*asked, "--out", tmp_path / "area")
    assert told.err == ""
    kept = Prepared.open(tmp_path / "area")
    assert kept.table["mask_pixels"][kept.rows(defective=True)].tolist() == [50] * 9
    told = run(*asked, "--masks", "aera", "--out", tmp_path / "x")
    assert (told.code, "did you mean 'area'" in told.err) == (2, True)

    text = own_table(tmp_path / "own.yaml", "plates").read_text()
    (tmp_path / "own.yaml").write_text(text.replace("size: 32\n", "size: 64\n    masks: nearest\n"))
    spec = load_table(tmp_path / "own.yaml")
    sources = find_sources(spec, "smoke", data, tmp_path / "cache", pytest.fail)
    plan = make_plan(spec, "smoke", sources)
    (job,) = [job for job in plan.jobs.values() if job.stage == "prepare"]
    store = Store(tmp_path / "jobs")
    execute(job, Context(store, data))
    result = store.result(job.id)
    assert result is not None, store.failure(job.id)
    assert result["remarks"] == [lost]
    cell = Job("task", {}, {"data": job.id}, "a cell")
    assert _told_images(cell, store) == [lost]
    assert _told_images(cell, SimpleNamespace(result=lambda _: None)) == []


def test_own_images_are_shrunk_by_area_and_others_as_they_were(tmp_path):
    def asked(text: str, data: Path | None) -> dict[str, object]:
        path = tmp_path / "t.yaml"
        path.write_text(text)
        spec = load_table(path)
        sources = find_sources(spec, "smoke", data, tmp_path / "cache", lambda _: None)
        jobs = make_plan(spec, "smoke", sources).jobs.values()
        return dict(next(job.spec for job in jobs if job.stage == "prepare"))

    data, product, _ = write("by defect", tmp_path)
    own = own_table(tmp_path / "own.yaml", product).read_text()
    assert asked(own, data)["masks"] == "area"
    assert "masks" not in asked(own.replace("size: 32\n", "size: 32\n    masks: nearest\n"), data)
    assert "masks" not in asked(TABLE, None), "tables of papers keep their ids"
    assert (
        asked(TABLE.replace("size: 32\n", "size: 32\n    masks: area\n"), None)["masks"] == "area"
    )
