"""Statistics of gains: coverage by simulation, Holm's correction, and agreement with SciPy."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from defectbench.report.stats import holm, paired_gain, summarise, t_quantile, verdict

BENCH = Path(__file__).parents[2] / "benchmarks" / "performance" / "gain_coverage.py"


def simulation():
    spec = importlib.util.spec_from_file_location("gain_coverage", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("seeds", [3, 10])
def test_the_interval_of_a_gain_covers_95_percent(seeds, groups):
    found = simulation().coverage(seeds, groups, np.random.default_rng(seeds), runs=4000)
    assert 0.93 <= found <= 0.97


def test_a_single_group_is_the_paired_t_test():
    with_, without = [0.61, 0.55, 0.70, 0.64], [0.50, 0.52, 0.58, 0.60]
    found = paired_gain({"a": dict(enumerate(np.subtract(with_, without).tolist()))})
    told = scipy_stats.ttest_rel(with_, without)
    interval = told.confidence_interval(0.95)
    assert found is not None
    assert found.p == pytest.approx(told.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.seeds, found.n, found.groups, found.hurts) == (4, 4, 1, 0)


def test_groups_are_averaged_for_each_seed_first():
    found = paired_gain({"a": {0: 0.1, 1: 0.3, 2: 0.2, 3: 9.0}, "b": {0: -0.1, 1: -0.2, 2: -0.3}})
    alone = summarise([0.0, 0.05, -0.05])
    assert found is not None
    assert (found.mean, found.sd) == pytest.approx((alone.mean, alone.sd))
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert (found.seeds, found.n, found.groups, found.hurts) == (3, 6, 2, 1)


def test_two_seeds_and_equal_seeds_have_no_interval():
    for values in ([0.1, 0.3], [0.2, 0.2, 0.2], [0.1 + 0.2, 0.3, 0.3]):
        found = paired_gain({"a": dict(enumerate(values))})
        assert found is not None
        assert math.isnan(found.low)
        assert math.isnan(found.p)
        assert verdict(found.mean, found.p) == "undecided"


def test_no_shared_seed_gives_nothing():
    assert paired_gain({"a": {0: 0.1}, "b": {1: 0.2}}) is None
    assert paired_gain({}) is None


def test_holm_by_hand():
    # sorted: .01 x 4, .02 x 3, .03 x 2 = .06, .04 x 1 but never below the one before it
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    corrected = holm([0.02, math.nan])
    assert corrected[0] == pytest.approx(0.04), "one that could not be tested counts"
    assert math.isnan(corrected[1])
    assert holm([]) == []


def test_verdicts():
    assert verdict(0.1, 0.049) == "helps"
    assert verdict(-0.1, 0.049) == "hurts"
    assert verdict(0.1, 0.05) == "undecided"


@pytest.mark.parametrize("degrees", [1, 1.97, 4, 7.3])
def test_fractional_degrees_of_freedom(degrees):
    assert t_quantile(degrees) == pytest.approx(scipy_stats.t.ppf(0.975, degrees), rel=1e-12)
