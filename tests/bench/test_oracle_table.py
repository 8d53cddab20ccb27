"""The benchmark sees a true gain and does not see a false one: house/oracle, as committed and run again."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from defectbench import names

pytest.importorskip("faster_coco_eval")
BARS = {
    "Segmentation": ("pixel_f1", 0.6),
    "Classification": ("accuracy", 0.85),
    "Detection": ("map50", 0.5),
}
RESULTS = Path(__file__).parents[2] / "results"


def check(results: Path, table: str) -> None:
    """Every task beats chance with enough true images, gains by them, and gains nothing by copies."""
    with (results / f"{table}.smoke.csv").open() as file:
        rows = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    with (results / f"{table}.smoke.gain.csv").open() as file:
        gains = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    for model, (metric, bar) in BARS.items():
        assert float(rows[model, metric, "Oracle"]["mean"]) >= bar, model
        assert float(gains[model, metric, "Oracle"]["ci_low"]) > 0, model
        assert float(gains[model, metric, "Memoriser"]["ci_low"]) <= 0, model


def test_the_committed_table_holds_the_bars():
    check(RESULTS, "house/oracle")


@pytest.mark.slow(minutes=5)
def test_true_samples_help_in_every_task_and_copies_in_none(run, tmp_path: Path):
    """Three of the table's five seeds, to keep the tests short."""
    text = names.find_table("house/oracle").read_text()
    five = "seeds: [0, 1, 2, 3, 4]"
    assert text.count(five) >= 1
    path = tmp_path / "oracle.yaml"
    path.write_text(text.replace(five, "seeds: [0, 1, 2]"))
    done = run("run", path, "--out", tmp_path / "out", "--on", "local", "--workers", 2)
    assert done.code == 0, done.err
    check(tmp_path / "out", "house/oracle")
