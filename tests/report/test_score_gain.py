"""Rank correlations of image scores and gains: against SciPy, in strata, with intervals and a figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats as scipy_stats

from defectbench.report.score_gain import (
    Points,
    correlations,
    draw_score_gain,
    kendall,
    points_of,
    score_gains,
    spearman,
)


def test_weighted_correlations_are_scipys_of_the_repeated_points():
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(3, 9))
        x, y = rng.integers(0, 5, n).astype(float), rng.normal(size=n).round(1)
        times = rng.integers(0, 3, n)
        if len(set(x[times > 0])) < 2 or len(set(y[times > 0])) < 2:
            continue
        weights = times[None].astype(float)
        xs, ys = np.repeat(x, times), np.repeat(y, times)
        assert spearman(x, y, weights)[0] == pytest.approx(scipy_stats.spearmanr(xs, ys)[0])
        assert kendall(x, y, weights)[0] == pytest.approx(scipy_stats.kendalltau(xs, ys)[0])


def test_a_constant_score_has_no_correlation():
    ones = np.ones(4)
    assert math.isnan(spearman(ones, np.arange(4.0), np.ones((1, 4)))[0])
    assert math.isnan(kendall(np.arange(4.0), ones, np.ones((1, 4)))[0])


def test_strata_are_compared_within_and_levels_between_them_do_not_count():
    """In each regime the better score has the smaller gain; over all points together it would look the other way round."""
    low = {f"m{i}": (float(i), -float(i)) for i in range(6)}
    high = {f"m{i}": (10.0 + i, 10.0 - i) for i in range(6)}
    points = Points("higher", {("D", "s", "real 5"): low, ("D", "s", "real 20"): high})
    found = correlations(points, np.random.default_rng(0))
    assert found["spearman"][0] == pytest.approx(-1)
    assert found["kendall"][0] == pytest.approx(-1)
    points.better = "lower"
    assert correlations(points, np.random.default_rng(0))["spearman"][0] == pytest.approx(1)


def test_permutations_are_right_under_no_relation():
    """The p of unrelated scores is below 0.1 in about a tenth of the cases."""
    rng, below = np.random.default_rng(1), 0
    for trial in range(150):
        methods = {
            f"m{i}": (float(a), float(b)) for i, (a, b) in enumerate(rng.normal(size=(8, 2)))
        }
        part = dict(list(methods.items())[:6])  # a stratum that lacks two methods
        points = Points("higher", {("a",): methods, ("b",): part})
        found = correlations(points, np.random.default_rng(trial))
        beyond = (np.abs(found["permuted"]) >= abs(found["spearman"][0]) - 1e-12).mean()
        below += bool(beyond < 0.1)
    assert 0.03 <= below / 150 <= 0.19


def records(methods: int, noise: float = 0.0, seeds: int = 2) -> list[dict]:
    """Methods whose fd and gain fall together; each seed's scoring and training share a sample job."""
    rng = np.random.default_rng(0)
    cells, jobs = [], []
    place = {"dataset": "D", "stand_in": False, "subset": "s", "variant": ""}

    def add(key: str, metrics: dict[str, float], images: str = "") -> str:
        better = {"f1": "higher", "fd": "lower", "flat": "higher"}
        parents = {"synthetic": images} if images else {}
        jobs.append(
            {"kind": "job", "id": key, "metrics": metrics, "better": better} | {"parents": parents}
        )
        return key

    raw = [add(f"raw-{s}", {"f1": 0.5 + 0.1 * s}) for s in range(seeds)]
    cells.append(
        {
            **place,
            "method": "none",
            "arm": "raw",
            "kind": "raw",
            "model": "U",
            "metrics": ["f1"],
            "jobs": raw,
        }
    )
    for m in range(methods):
        task, score = [], []
        for s in range(seeds):
            gain = 0.3 - 0.02 * m + noise * float(rng.normal())
            task.append(add(f"task-{m}-{s}", {"f1": 0.5 + 0.1 * s + gain}, f"images-{m}-{s}"))
            score.append(add(f"score-{m}-{s}", {"fd": 10.0 + m, "flat": 1.0}, f"images-{m}-{s}"))
        told = {**place, "method": f"M{m}"}
        cells.append(
            {
                **told,
                "arm": "enlarge",
                "kind": "enlarge",
                "model": "U",
                "metrics": ["f1"],
                "jobs": task,
            }
        )
        cells.append(
            {
                **told,
                "arm": "score",
                "kind": "score",
                "model": "fidelity",
                "metrics": [],
                "jobs": score,
            }
        )
    return [{"kind": "plan", "table": "t", "preset": "p", "cells": cells}, *jobs]


def test_a_score_that_tells_the_gain_is_found():
    lines = records(7)
    (row,) = score_gains(lines)
    assert (row["score"], row["metric"], row["model"]) == ("fd", "f1", "U")
    assert row["spearman"] == row["kendall"] == "1.0000"
    assert (row["methods"], row["strata"], row["points"]) == ("7", "1", "7")
    assert float(row["p"]) < 0.01
    assert row["compared"] == "1"
    assert score_gains(lines) == [row], "the same records give the same numbers"


def test_noise_widens_the_interval():
    (row,) = score_gains(records(7, noise=0.1))
    assert float(row["spearman_low"]) < float(row["spearman"]) <= float(row["spearman_high"])
    assert float(row["spearman_high"]) - float(row["spearman_low"]) > 0.3


def test_three_methods_tell_nothing():
    assert points_of(records(3)) == {}
    assert score_gains(records(3)) == []


def test_scores_of_other_images_are_not_paired():
    lines = records(6)
    for line in lines[1:]:
        if line["id"].startswith("score-0"):
            line["parents"]["synthetic"] = "others"
    assert score_gains(lines)[0]["points"] == "5"


def test_it_is_drawn(tmp_path: Path):
    lines = records(6, noise=0.05)
    path = tmp_path / "scatter.png"
    draw_score_gain(points_of(lines), score_gains(lines), {"U": "f1"}, "a title", path)
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 50
