"""Comparing two CSVs: Welch's interval, gains, budgets, and files that are none of ours."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats as scipy_stats

from defectbench.config import UserError
from defectbench.report.compare import compare

RESULTS = Path(__file__).parents[2] / "results"


def row(values: list[float], **given: str) -> dict[str, str]:
    base = {"table": "t", "preset": "p", "dataset": "D", "subset": "s", "method": "M", "arm": "raw"}
    spread = repr(float(np.std(values, ddof=1))) if len(values) > 1 else ""
    told = {"mean": repr(float(np.mean(values))), "sd": spread, "n_seeds": str(len(values))}
    return {**base, "model": "U", "metric": "f1", "better": "higher", **told, **given}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.1, 0.9], [0.4, 0.5]),
        ([0.5, 0.51, 0.56], [0.1, 0.9, 0.3]),
        ([0.2, 0.3, 0.4, 0.6, 0.5], [0.7, 0.71]),
    ],
)
def test_the_interval_is_welchs_with_fractional_degrees(first, second):
    (found,) = compare([row(first)], [row(second)]).rows
    told = scipy_stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((told.low, told.high), rel=1e-9)


def test_one_seed_or_equal_seeds_have_no_interval():
    for values in ([0.5], [0.5, 0.5]):
        (found,) = compare([row(values)], [row(values)]).rows
        assert math.isnan(found.low)


def test_budgets_that_differ_are_said():
    budget = {"steps": "400", "fit_images": "800", "seeds": "0 1 2"}
    other = {**budget, "steps": "800", "seeds": "3 4 5"}
    found = compare([row([0.1, 0.2, 0.3], **budget)], [row([0.1, 0.2, 0.3], **other)])
    told = "\n".join(found.budgets)
    assert "steps differs: 400 in the first, 800 in the second" in told
    assert "seeds differs: 0 1 2 in the first, 3 4 5 in the second" in told
    assert "fit_images" not in told
    assert not compare([row([0.1, 0.2], **budget)], [row([0.1, 0.4], **budget)]).budgets
    found = compare([row([0.1, 0.2])], [row([0.1, 0.2, 0.3])])
    assert "n_seeds differs: 2 in the first, 3" in found.budgets[0]


def test_two_gain_files_compare(run):
    path = RESULTS / "house" / "mtd.smoke.gain.csv"
    done = run("compare", path, path, "--json")
    assert done.code == 0, done.err
    rows = done.json["rows"]
    assert {r["key"]["baseline"] for r in rows} == {"raw", "augment"}
    assert all(r["first"] == r["second"] and r["first_rank"] == r["second_rank"] for r in rows)
    assert any(r["low"] is not None for r in rows)
    assert not done.json["only_first"]


def test_leaderboards_compare(run):
    path = RESULTS / "leaderboard.csv"
    done = run("compare", path, path, "--json")
    assert done.code == 0, done.err
    assert json.dumps(done.json["only_first"]) == "[]"


def test_a_number_that_is_none_is_said():
    with pytest.raises(UserError, match="mean is 'many'; expected a number"):
        compare([row([0.1, 0.2], mean="many")], [row([0.1, 0.2])])


def test_what_is_no_csv_of_ours_is_refused(run, tmp_path):
    table = RESULTS / "house" / "oracle.smoke.csv"
    picture, text, ragged = tmp_path / "a.png", tmp_path / "b.md", tmp_path / "c.csv"
    Image.fromarray(np.arange(3000, dtype=np.uint8).reshape(25, 40, 3)).save(picture)
    text.write_text("# Title\n\nwords, and more\n")
    lines = table.read_text().splitlines()
    ragged.write_text("\n".join([lines[0], lines[1] + ",more"]))
    gain = RESULTS / "house" / "oracle.smoke.gain.csv"
    for other, expected in (
        (picture, "not a CSV"),
        (text, "not a CSV of defectbench"),
        (ragged, "row 2 has more or fewer cells"),
        (tmp_path, "a folder"),
        (gain, "one file holds gains and the other scores"),
    ):
        done = run("compare", table, other)
        assert done.code == 2, other
        assert expected in done.err
        assert "Traceback" not in done.err
