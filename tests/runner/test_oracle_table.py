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


def read(
    results: Path,
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], dict[str, str]]]:
    """Means and gains over raw by (model, method), in each model's first metric."""
    with (results / "house" / "oracle.smoke.csv").open() as file:
        rows = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    with (results / "house" / "oracle.smoke.gain.csv").open() as file:
        gained = {(r["model"], r["metric"], r["method"]): r for r in csv.DictReader(file)}
    means = {
        (m, who): float(r["mean"]) for (m, metric, who), r in rows.items() if metric == BARS[m][0]
    }
    gains = {(m, who): r for (m, metric, who), r in gained.items() if metric == BARS[m][0]}
    return means, gains


def test_the_committed_table_sees_a_true_gain_and_no_false_one():
    means, gains = read(RESULTS)
    for model, (_, bar) in BARS.items():
        assert means[model, "Oracle"] >= bar, model
        assert float(gains[model, "Oracle"]["ci_low"]) > 0, model
        assert float(gains[model, "Memoriser"]["ci_low"]) <= 0, model
        told = {who: gains[model, who]["verdict"] for who in ("Oracle", "Memoriser")}
        assert told == {"Oracle": "helps", "Memoriser": "undecided"}, model


@pytest.mark.slow(minutes=3)
def test_true_samples_help_in_every_task_and_copies_in_none(run, tmp_path: Path):
    """One of the table's five seeds, to keep the tests short; one tells sizes of gains, not that one is none."""
    text = names.find_table("house/oracle").read_text()
    five = "seeds: [0, 1, 2, 3, 4]"
    assert text.count(five) >= 1
    path = tmp_path / "oracle.yaml"
    path.write_text(text.replace(five, "seeds: [0]"))
    done = run("run", path, "--out", tmp_path / "out", "--on", "local", "--workers", 2)
    assert done.code == 0, done.err
    means, gains = read(tmp_path / "out")
    for model, (_, bar) in BARS.items():
        assert means[model, "Oracle"] >= bar, model
        gain = {who: float(gains[model, who]["gain"]) for who in ("Oracle", "Memoriser")}
        assert gain["Oracle"] > 0.05, model
        assert gain["Memoriser"] < gain["Oracle"] / 2, model
