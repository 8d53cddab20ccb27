"""What an arm is worth in real images: monotone curve, interpolation in log N, interval, ends."""

from __future__ import annotations

import math

import numpy as np
import pytest

from defectbench.report.worth import monotone, on_curve, worth_table, worths

SIZES = [2.0, 4.0, 8.0, 16.0]


def curve(*means: float, noise: float = 0.0, seeds: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(means)[:, None] + noise * rng.standard_normal((len(means), seeds))


def test_pooled_adjacent_violators_by_hand():
    assert monotone(np.array([1.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 2.5, 2.5, 4.0]
    assert monotone(np.array([3.0, 2.0, 1.0])).tolist() == [2.0, 2.0, 2.0]
    assert monotone(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_a_score_between_two_points_lies_between_them_in_log_n():
    found = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.8), np.full(3, 0.5))
    assert found.value == pytest.approx(math.sqrt(4 * 8))
    exact = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.8), np.full(3, 0.6))
    assert exact.value == pytest.approx(8)


def test_a_flat_piece_is_worth_its_smallest_number():
    assert on_curve(SIZES, curve(0.2, 0.6, 0.4, 0.8), np.full(3, 0.5)).value == pytest.approx(4)


def test_beyond_the_curve_is_said():
    above = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.7), np.array([0.9, 0.91, 0.92]))
    assert (above.value, above.low, above.high) == (math.inf, math.inf, math.inf)
    below = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.7), np.array([0.1, 0.11, 0.12]))
    assert (below.value, below.low, below.high) == (0.0, 0.0, 0.0)


def test_an_end_that_the_curve_does_not_reach_is_open():
    noisy = np.array([0.7, 0.5, 0.9])
    found = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.7), noisy)
    assert found.high == math.inf
    assert 2 < found.low < 16


def test_two_seeds_have_no_interval():
    found = on_curve(SIZES, curve(0.2, 0.4, 0.6, 0.8, seeds=2), np.array([0.5, 0.5]))
    assert math.isnan(found.low)
    assert not math.isnan(found.value)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_95_percent(seeds):
    """True curve linear in log N, true worth 7, noise on curve and arm."""
    rng, sizes = np.random.default_rng(seeds), [2.0, 4.0, 8.0, 16.0, 32.0]
    held, runs = 0, 1500
    for _ in range(runs):
        noise = 0.03 * rng.standard_normal((6, seeds)) + 0.02 * rng.standard_normal(seeds)
        raw = 0.2 + 0.1 * np.log2(sizes)[:, None] + noise[:5]
        found = on_curve(sizes, raw, 0.2 + 0.1 * math.log2(7) + noise[5])
        held += found.low <= 7 <= found.high
    # Between two points the curve's noise is averaged, and the set is filled up to an interval: 95 % or a little more.
    assert 0.935 <= held / runs <= 0.995


def records(better: str = "higher") -> list[dict]:
    sign = 1 if better == "higher" else -1
    cells, jobs = [], []

    def cell(arm: str, kind: str, real: int, scores: list[float], method: str = "none") -> None:
        ids = [f"{arm}-{i}" for i in range(len(scores))]
        place = {"dataset": "D", "stand_in": False, "subset": "s", "model": "U", "metrics": ["f1"]}
        variant = f"real {real}" if real else ""
        told = {"arm": arm, "kind": kind, "method": method, "variant": variant, "jobs": ids}
        cells.append({**place, **told})
        for key, score in zip(ids, scores, strict=True):
            counts = {"real": real or 40, "synthetic": 0 if method == "none" else 100}
            jobs.append(
                {
                    "kind": "job",
                    "id": key,
                    "metrics": {"f1": sign * score},
                    "better": {"f1": better},
                }
                | {"counts": counts}
            )

    cell("raw 5", "raw", 5, [0.30, 0.32, 0.31])
    cell("raw 20", "raw", 20, [0.50, 0.53, 0.52])
    cell("raw", "raw", 0, [0.70, 0.71, 0.69])
    cell("enlarge 5", "enlarge", 5, [0.52, 0.50, 0.53], method="G")
    cell("ideal 5", "ideal", 5, [0.80, 0.82, 0.81])
    return [{"kind": "plan", "table": "t", "preset": "p", "cells": cells}, *jobs]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_arms_of_a_table_are_placed_on_its_raw_arms(better):
    generated, ideal = worths(records(better))
    assert (generated["arm"], generated["n_real"]) == ("enlarge 5", "5")
    assert float(generated["worth"]) == pytest.approx(20, abs=0.5)
    assert float(generated["worth_low"]) < 20 < float(generated["worth_high"])
    assert generated["n_synthetic"] == "100"
    sign = 1 if better == "higher" else -1
    assert float(generated["score"]) == pytest.approx(sign * 0.5167, abs=1e-4)
    assert (ideal["worth"], ideal["worth_low"]) == (">40", ">40")
    assert ideal["remark"] == "beyond the curve: better than 40 real images"
    assert "| >40 | >40 to >40 |" in "\n".join(worth_table([generated, ideal]))
    other = {**ideal, "metric": "recall", "worth": "11.0"}
    assert "| 11.0 |" not in "\n".join(worth_table([generated, ideal, other]))
    assert "| 11.0 |" in "\n".join(worth_table([generated, ideal, other], {"U": "recall"}))


def test_another_budget_or_one_number_of_real_images_is_no_curve():
    lines = records()
    lines[0]["cells"][3]["variant"] = "real 5; task {'steps': 9}"
    assert [row["arm"] for row in worths(lines)] == ["ideal 5"]
    lines[0]["cells"] = [c for c in lines[0]["cells"] if c["arm"] not in {"raw 20", "raw"}]
    assert worths(lines) == []
    assert worth_table([]) == []
