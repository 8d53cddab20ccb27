"""Scores and gains by defect type, and their figure."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from defectbench.report.per_defect import draw_per_defect, panels, per_defect


def records(scratch: list[float], hole: list[float]) -> list[dict]:
    lines, cells = [], []
    raw = ([0.5, 0.52, 0.48], [0.3, 0.31, 0.29])
    for arm, method, (a, b) in (("raw", "none", raw), ("enlarge", "G", (scratch, hole))):
        ids = [f"{arm}-{i}" for i in range(len(a))]
        for key, one, other in zip(ids, a, b, strict=True):
            classes = {"scratch": one, "hole": other, "never": None}
            details = {"pixel_ap": classes, "chance": {"pixel_ap": 0.01}}
            lines.append(
                {"kind": "job", "id": key, "metrics": {"pixel_ap": 0.4}, "details": details}
                | {"better": {"pixel_ap": "higher"}}
            )
        place = {"dataset": "D", "stand_in": False, "subset": "s", "model": "U", "variant": ""}
        told = {"method": method, "arm": arm, "kind": arm, "metrics": ["pixel_ap"], "jobs": ids}
        cells.append({**place, **told})
    return [{"kind": "plan", "table": "t", "preset": "p", "cells": cells}, *lines]


LINES = records([0.70, 0.73, 0.68], [0.2, 0.25, 0.3])


def test_each_defect_has_its_score_gain_and_verdict():
    rows = {(row["arm"], row["defect"]): row for row in per_defect(LINES)}
    assert set(rows) == {(a, d) for a in ("raw", "enlarge") for d in ("scratch", "hole", "never")}
    scratch = rows["enlarge", "scratch"]
    assert (scratch["mean"], scratch["n_seeds"]) == ("0.7033", "3")
    assert (scratch["gain"], scratch["baseline"], scratch["verdict"]) == ("0.2033", "raw", "helps")
    assert scratch["compared"] == "2", "methods times defect types that could be compared"
    assert float(rows["enlarge", "hole"]["gain"]) < 0
    assert rows["enlarge", "hole"]["verdict"] == "undecided"
    assert rows["raw", "scratch"]["gain"] == "", "raw is not compared with itself"
    assert rows["enlarge", "never"]["mean"] == ""


def test_the_primary_score_is_drawn(tmp_path: Path):
    found = panels(per_defect(LINES), {})
    assert list(found) == [("D", "s", "", "U", "pixel_ap")]
    assert ("G", "scratch") in found["D", "s", "", "U", "pixel_ap"]
    path = tmp_path / "gain.png"
    draw_per_defect(found, "a title", path)
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 50


def test_a_table_without_details_has_none():
    lines = [{k: v for k, v in line.items() if k != "details"} for line in LINES]
    assert per_defect(lines) == []
