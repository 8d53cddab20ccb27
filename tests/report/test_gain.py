"""Gains: paired, signed, and honest about where they hurt."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.report.gain import gains
from defectbench.report.stats import paired_gain, summarise


def records(raw: dict[str, list[float]], enlarged: dict[str, list[float]], better: str = "higher"):
    lines, cells = [], []
    for arm, method, values in (("raw", "none", raw), ("enlarge", "G", enlarged)):
        for subset, scores in values.items():
            ids = [f"{arm}-{subset}-{i}" for i in range(len(scores))]
            lines += [
                {"kind": "job", "id": key, "metrics": {"f1": score}, "better": {"f1": better}}
                for key, score in zip(ids, scores, strict=True)
            ]
            cells.append(
                {
                    "dataset": "D",
                    "stand_in": False,
                    "subset": subset,
                    "method": method,
                    "arm": arm,
                    "model": "U",
                    "metrics": ["f1"],
                    "jobs": ids,
                }
            )
    plan = {
        "kind": "plan",
        "table": "t",
        "paper": "p",
        "number": "1",
        "preset": "smoke",
        "cells": cells,
    }
    return [plan, *lines]


def test_a_true_gain_has_an_interval_above_zero():
    raw = {"a": [0.5, 0.51, 0.52], "b": [0.6, 0.61, 0.6]}
    more = {"a": [0.6, 0.62, 0.63], "b": [0.66, 0.68, 0.67]}
    (row,) = gains(records(raw, more), {})
    assert float(row["gain"]) == pytest.approx((0.32 / 3 + 0.2 / 3) / 2, abs=1e-4)
    assert float(row["ci_low"]) > 0
    assert row["improvement_probability"] == "1.000"
    assert (row["n_pairs"], row["categories"], row["categories_hurt"]) == ("6", "2", "0")


def test_lower_is_better_turns_the_sign_and_hurting_is_counted():
    raw, more = {"a": [0.5, 0.5], "b": [0.5, 0.5]}, {"a": [0.4, 0.4], "b": [0.6, 0.7]}
    (row,) = gains(records(raw, more, better="lower"), {})
    assert float(row["gain"]) == pytest.approx(-0.025)
    assert row["categories_hurt"] == "1"


def test_the_papers_gain_stands_beside():
    printed = {
        ("p", "1", "D", "a", "G", "enlarge", "U", "f1"): 0.9,
        ("p", "1", "D", "a", "none", "raw", "U", "f1"): 0.8,
    }
    (row,) = gains(records({"a": [0.5]}, {"a": [0.6]}), printed)
    assert row["published_gain"] == "0.1000"
    assert row["ci_low"] == row["improvement_probability"] == "", "one pair says nothing of spread"


def test_seeds_without_a_partner_are_left_out():
    lines = records({"a": [0.5, 0.5]}, {"a": [0.6, 0.7]})
    lines = [line for line in lines if line.get("id") != "raw-a-1"]
    (row,) = gains(lines, {})
    assert row["n_pairs"] == "1"
    assert row["gain"] == "0.1000"


def test_the_interval_follows_from_the_rng_alone():
    values, groups = [0.1, 0.3, -0.1, 0.2, 0.1, 0.15], ["a", "a", "a", "b", "b", "b"]
    one = paired_gain(values, groups, np.random.default_rng(0))
    assert one == paired_gain(values, groups, np.random.default_rng(0))
    assert one.mean == pytest.approx(0.125)
    assert one.low < one.mean < one.high


def test_summary_by_hand():
    found = summarise([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2)
    assert found.sd == pytest.approx(0.1)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)
    assert np.isnan(summarise([0.1]).sd)
