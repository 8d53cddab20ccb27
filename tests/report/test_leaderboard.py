"""The leaderboard: who competes with whom, shared ranks, and who stays out."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from defectbench.report.leaderboard import CONTEST, entrants, leaderboard

RESULTS = Path(__file__).parents[2] / "results"


def row(method: str, mean: str, low: str = "", high: str = "", **given: str) -> dict[str, str]:
    return {
        **dict.fromkeys(("variant", "sd", "arm", "task", "revision", "jobs"), ""),
        **{"table": "t", "preset": "p", "dataset": "D", "stand_in": "no", "subset": "s"},
        **{"model": "U", "metric": "f1", "better": "higher", "status": "ok", "n_seeds": "3"},
        **{"method": method, "mean": mean, "ci_low": low, "ci_high": high},
        **given,
    }


def ranks(rows: list[dict[str, str]]) -> dict[str, str]:
    return {r["method"]: r["rank"] for r in leaderboard(rows)}


def test_equal_and_overlapping_rows_share_a_rank():
    rows = [
        row("A", "0.9", "0.85", "0.95"),
        row("B", "0.9", "0.85", "0.95"),
        row("C", "0.5", "0.45", "0.55"),
        row("D", "0.52", "0.4", "0.6"),
    ]
    assert ranks(rows) == {"A": "1", "B": "1", "C": "3", "D": "3"}


def test_lower_is_better_turns_the_order():
    rows = [
        row(name, mean, low, high, better="lower")
        for name, mean, low, high in (("A", "9", "8", "10"), ("B", "5", "4", "6"))
    ]
    assert ranks(rows) == {"B": "1", "A": "2"}


def test_without_intervals_nothing_is_ranked_but_a_row_alone():
    assert ranks([row("A", "0.9"), row("B", "0.1")]) == {"A": "", "B": ""}
    assert ranks([row("A", "0.9")]) == {"A": "1"}
    assert ranks([row("A", "0.9", "0.8", "1"), row("B", "", status="failed")])["B"] == ""


def test_only_what_was_measured_alike_competes():
    for key in CONTEST:
        other = row("B", "0.1", "0.05", "0.15", **{key: "other"})
        found = leaderboard([row("A", "0.9", "0.85", "0.95"), other])
        assert [(r["rank"], r["of"]) for r in found] == [("1", "1"), ("1", "1")], key


def plan(table: str = "t", **cell: object) -> list[dict]:
    cells = [{"subset": "s", "model": "U", "task": "segmentation", "jobs": ["1"], **cell}]
    job = {"kind": "job", "id": "1", "spec": {"size": 64, "train": ""}}
    return [{"kind": "plan", "table": table, "cells": cells}, job]


def test_means_over_subsets_are_no_further_cells():
    rows = [row("A", "0.9"), row("A", "0.8", subset="average")]
    assert [r["subset"] for r in entrants(plan(), rows)] == ["s"]


def test_images_against_themselves_stay_out():
    lines = plan("score/mine")
    rows = [row("mine", "0.9", table="score/mine", jobs="1")]
    (entrant,) = entrants(lines, rows)
    assert (entrant["table"], entrant["variant"]) == ("score", "64 px")
    lines[1]["against_itself"] = True
    assert entrants(lines, rows) == []


def test_no_committed_contest_mixes_tables_or_counts_a_mean():
    with (RESULTS / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    contests = defaultdict(list)
    for r in rows:
        contests[tuple(r[key] for key in CONTEST)].append(r)
    for members in contests.values():
        assert len({(r["method"], r["arm"]) for r in members}) == len(members)
        ranked = [r for r in members if r["rank"]]
        for one in ranked:
            for other in ranked:
                if one["mean"] == other["mean"] and one["ci_low"] == other["ci_low"]:
                    same_end = one["ci_high"] == other["ci_high"]
                    assert not same_end or one["rank"] == other["rank"]
    assert not {r["subset"] for r in rows} & {"average", "Average", "mean", "Mean"}
