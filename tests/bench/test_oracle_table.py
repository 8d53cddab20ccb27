"""The benchmark sees a true gain and does not see a false one: house/oracle, run as a user runs it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.bench.conftest import run_here

pytest.importorskip("faster_coco_eval")
BARS = {
    "Segmentation": ("pixel_f1", 0.6),
    "Classification": ("accuracy", 0.85),
    "Detection": ("map50", 0.5),
}


@pytest.mark.slow
def test_true_samples_help_in_every_task_and_copies_in_none(tmp_path: Path):
    run_here("house/oracle", tmp_path)
    with (tmp_path / "house" / "oracle.smoke.csv").open() as file:
        rows = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    with (tmp_path / "house" / "oracle.smoke.gain.csv").open() as file:
        gains = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    for model, (metric, bar) in BARS.items():
        assert float(rows[model, metric, "Oracle"]["mean"]) >= bar, model
        assert float(gains[model, metric, "Oracle"]["ci_low"]) > 0, model
        assert float(gains[model, metric, "Memoriser"]["ci_low"]) <= 0, model
