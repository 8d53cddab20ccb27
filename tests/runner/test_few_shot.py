"""A whole small table with every kind of column: mixtures, filters, replays, a foreign folder, ideal; splits per seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.report.collect import read_csv

pytestmark = pytest.mark.slow

TABLE = """
title: few
paper: mine
table: few
dataset: mtd
products: [magnetic_tile]
defects: {magnetic_tile: [Blowhole, Break]}
split: fraction(test=0.4)
draw: train_per_seed
methods:
  Memoriser: {generator: memoriser}
  NSA: {generator: nsa}
  Both: {generator: mix, of: [Memoriser, NSA]}
  Clean: {generator: filter, of: [Both], rules: {confidence: 0.25}}
  Copies gone: {generator: filter, of: [Memoriser], rules: {}}
  Again: {generator: replay}
models:
  Seg: {task: segmentation, metrics: [pixel_ap]}
entries:
  - {arm: raw, real: 3}
  - {arm: ideal, real: 3}
  - {arm: enlarge, method: Memoriser, real: 3}
  - {arm: enlarge, method: Both, real: 3}
  - {arm: enlarge, method: Clean, real: 3}
  - {arm: enlarge, method: Copies gone, real: 3}
  - {arm: enlarge, method: Again, real: 3}
scores: {metrics: [change_inside]}
presets:
  smoke:
    about: x
    stand_in: {size: 64, normals: 12, defective: 20}
    size: 32
    seeds: [0, 1]
    fit: {images: 8, batch: 8}
    sample: {per_defect: 4}
    task: {steps: 2, batch: 4, evaluate_every: 2, normals: 4}
    arguments:
      Seg: {encoder: tu-resnet10t, encoder_depth: 3, encoder_width: 0.25, decoder_channels: [16, 8, 8]}
"""


def foreign(folder: Path, name: str = "Blowhole") -> Path:
    """Two images and masks of another tool, larger than the table's."""
    for sub in ("images", "masks"):
        (folder / sub / name).mkdir(parents=True)
    for i in range(2):
        image = np.random.default_rng(i).integers(0, 255, (48, 48, 3), dtype=np.uint8)
        mask = np.zeros((48, 48), np.uint8)
        mask[10:30, 10:30] = 255
        Image.fromarray(image).save(folder / "images" / name / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and its rows by method and arm."""
    from defectbench import api

    folder = tmp_path_factory.mktemp("few")
    (folder / "few.yaml").write_text(TABLE)
    tool = foreign(folder / "tool")
    list(api.run(folder / "few.yaml", out=folder / "out", foreign={"Tool": tool}))
    rows = {(r["method"], r["arm"]): r for r in read_csv(folder / "out/mine/few.smoke.csv")}
    return folder / "out", rows


def test_every_column_has_its_number_of_images(finished):
    _, rows = finished
    told = {
        key: (row["status"], row["n_real"], row["n_synthetic"])
        for key, row in rows.items()
        if key[1] != "score"
    }
    assert told["none", "raw"] == ("ok", "6", "0")
    assert told["Memoriser", "enlarge"][:2] == ("ok", "6")
    assert told["Both", "enlarge"][:2] == ("ok", "6")
    assert told["Again", "enlarge"] == ("ok", "6", "8")
    assert told["Tool", "enlarge"] == ("ok", "6", "2")
    status, real, synthetic = told["none", "ideal"]
    assert (status, synthetic) == ("ok", "0")
    assert real == "10", (
        "three of each defect, and all two that are held back, where four were asked for"
    )


def test_the_funnel_stands_in_the_row_and_in_the_record(finished):
    out, rows = finished
    reason = rows["Clean", "enlarge"]["reason"]
    assert "8 drawn" in reason
    assert "least confident" in reason
    assert "kept" in reason
    records = (out / "records/mine.few.smoke.jsonl").read_text().splitlines()
    funnels = [dict(j["funnel"]) for j in map(json.loads, records) if j.get("funnel")]
    for funnel in funnels:
        if "kept" in funnel:
            gone = sum(n for what, n in funnel.items() if what not in {"drawn", "kept"})
            assert funnel["drawn"] == gone + funnel["kept"]


def test_copies_are_all_filtered_and_the_cell_says_so(finished):
    _, rows = finished
    row = rows["Copies gone", "enlarge"]
    assert row["status"] == "undefined"
    assert "no synthetic image is left" in row["reason"]


def test_seeds_train_on_other_images_and_test_on_the_same(finished):
    import pandas as pd

    out, _ = finished
    sides = []
    for path in out.glob("jobs/*/job.json"):
        job = json.loads(path.read_text())
        if job["stage"] == "prepare" and job["spec"]["limit"] == 3:
            table = pd.read_csv(path.parent / "cache/table.csv", keep_default_na=False)
            defective = table[table["defects"] != ""]
            sides.append(
                {
                    side: set(defective["id"][defective["split"] == side])
                    for side in ("train", "test")
                }
            )
    first, second = sides
    assert first["test"] == second["test"]
    assert first["train"] != second["train"]


def test_a_foreign_folder_of_another_defect_is_told(run, tmp_path):
    (tmp_path / "few.yaml").write_text(TABLE)
    tool = foreign(tmp_path / "tool", "Blowholes")
    found = run(
        "run",
        tmp_path / "few.yaml",
        "--out",
        tmp_path / "out",
        "--foreign",
        f"Tool={tool}",
        "--only",
        "method=Tool",
    )
    assert "no defect 'Blowholes'" in found.err + found.out
