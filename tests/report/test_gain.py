"""Gains: paired, signed, and honest about where they hurt."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from defectbench.report.gain import gain_table, gains
from defectbench.report.stats import summarise


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
    row, first, second = gains(records(raw, more), {})
    assert [r["subset"] for r in (row, first, second)] == ["mean over subsets", "a", "b"]
    assert float(first["gain"]) == pytest.approx(0.32 / 3, abs=1e-4)
    assert (second["n_pairs"], second["categories"], second["compared"]) == ("3", "1", "1")
    assert float(row["gain"]) == pytest.approx((0.32 / 3 + 0.2 / 3) / 2, abs=1e-4)
    assert float(row["ci_low"]) > 0
    assert row["verdict"] == "helps"
    assert row["n_seeds"] == "3"
    assert float(row["sd"]) > 0
    assert (row["n_pairs"], row["categories"], row["categories_hurt"]) == ("6", "2", "0")


def test_lower_is_better_turns_the_sign_and_hurting_is_counted():
    raw, more = {"a": [0.5, 0.5], "b": [0.5, 0.5]}, {"a": [0.4, 0.4], "b": [0.6, 0.7]}
    row, *_ = gains(records(raw, more, better="lower"), {})
    assert float(row["gain"]) == pytest.approx(-0.025)
    assert row["categories_hurt"] == "1"


def test_the_papers_gain_stands_beside():
    printed = {
        ("p", "1", "D", "a", "G", "enlarge", "U", "f1"): 0.9,
        ("p", "1", "D", "a", "none", "raw", "U", "f1"): 0.8,
    }
    (row,) = gains(records({"a": [0.5]}, {"a": [0.6]}), printed)
    assert row["published_gain"] == "0.1000"
    assert row["ci_low"] == row["p"] == "", "one pair says nothing of spread"
    assert row["verdict"] == "undecided"


def test_seeds_without_a_partner_are_left_out():
    lines = records({"a": [0.5, 0.5]}, {"a": [0.6, 0.7]})
    lines = [line for line in lines if line.get("id") != "raw-a-1"]
    (row,) = gains(lines, {})
    assert row["n_pairs"] == "1"
    assert row["gain"] == "0.1000"


def test_p_is_corrected_for_the_methods_compared_with_the_same_raw():
    lines = records({"a": [0.5, 0.51, 0.52]}, {"a": [0.6, 0.62, 0.63]})
    (alone,) = gains(lines, {})
    assert (alone["compared"], alone["p_holm"]) == ("1", alone["p"])
    other = copy.deepcopy(lines[0]["cells"][1])
    lines[0]["cells"].append({**other, "method": "H"})
    first, second = gains(lines, {})
    assert first["compared"] == second["compared"] == "2"
    assert float(first["p_holm"]) == pytest.approx(2 * float(alone["p"]), abs=1e-4)


def test_comparisons_that_the_table_names_beforehand_are_corrected_among_themselves():
    lines = records({"a": [0.5, 0.51, 0.52]}, {"a": [0.6, 0.62, 0.63]})
    other = copy.deepcopy(lines[0]["cells"][1])
    lines[0]["cells"] += [{**other, "method": "H"}, {**other, "method": "I"}]
    lines[0]["judgement"] = {"primary": {"U": "f1"}, "comparisons": ["G"]}
    assert [row["compared"] for row in gains(lines, {})] == ["1", "2", "2"]


def test_an_interval_of_fractions_ends_at_one():
    raw, more = [0.0, 0.9, 0.1], [1.0, 0.9, 0.9]
    lines = records({"a": raw}, {"a": more})
    (unknown,) = gains(lines, {})
    assert float(unknown["ci_high"]) > 1
    for line in lines[1:]:
        line["metrics"] = {"accuracy": line["metrics"]["f1"]}
        line["better"] = {"accuracy": "higher"}
    for cell in lines[0]["cells"]:
        cell["metrics"] = ["accuracy"]
    (row,) = gains(lines, {})
    assert row["ci_high"] == "1.0000"
    assert row["ci_low"] == unknown["ci_low"]


def test_ideal_is_an_arm_that_is_compared_not_a_baseline():
    lines = records({"a": [0.5, 0.51, 0.52]}, {"a": [0.6, 0.62, 0.63]})
    ideal = {**copy.deepcopy(lines[0]["cells"][1]), "method": "none", "arm": "ideal"}
    lines[0]["cells"].append(ideal)
    rows = gains(lines, {})
    assert {(row["arm"], row["baseline"]) for row in rows} == {("enlarge", "raw"), ("ideal", "raw")}


def test_arms_of_real_images_alone_are_compared_with_raw_of_the_same_regime():
    lines = records({"a": [0.5, 0.51, 0.52]}, {"a": [0.6, 0.62, 0.63]})
    raw = lines[0]["cells"][0]
    for arm, kind, variant in (
        ("augment", "augment", ""),
        ("raw x 2", "raw", "task {'steps': 800}"),
        ("raw 5", "raw", "real 5"),
        ("raw 5 x 2", "raw", "real 5; task {'steps': 800}"),
    ):
        lines[0]["cells"].append(
            {**copy.deepcopy(raw), "arm": arm, "kind": kind, "variant": variant}
        )
    rows = gains(lines, {})
    assert {(row["arm"], row["baseline"]) for row in rows} == {
        ("enlarge", "raw"),
        ("enlarge", "augment"),
        ("augment", "raw"),
        ("raw x 2", "raw"),
        ("raw 5 x 2", "raw 5"),
    }
    assert {row["compared"] for row in rows if row["baseline"] == "raw"} == {"3"}
    assert "| augment | U |" in "\n".join(gain_table(rows))


def test_the_markdown_says_spread_and_verdict():
    text = "\n".join(
        gain_table(gains(records({"a": [0.5, 0.51, 0.52]}, {"a": [0.6, 0.62, 0.63]}), {}))
    )
    assert "+0.1067 ± 0.0058" in text
    assert "| helps |" in text
    text = "\n".join(gain_table(gains(records({"a": [0.5]}, {"a": [0.6]}), {})))
    assert "needs 3 seeds" in text
    assert "| undecided |" in text


def test_summary_by_hand():
    found = summarise([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2)
    assert found.sd == pytest.approx(0.1)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-5)
    assert np.isnan(summarise([0.1]).sd)
