"""Every metric's shared obligations: names, checks of features, too few images, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.metrics import fid, inception_score, kid, memorisation, prdc
from defectbench.metrics.base import ANY, TooFew
from defectbench.metrics.parts.bootstrap import (
    centred_interval,
    mean_values,
    resample_counts,
    wilson,
)

ALL = [m for module in (fid, inception_score, kid, memorisation, prdc) for m in module.METRICS]
SMALL = [metric for metric in ALL if metric.needs <= 60]
# Those that draw subsets or splits by position depend on the order of rows.
ORDERLESS = [m for m in SMALL if m.name not in ("is", "kid_stylegan", "fid_infinity")]
every = pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
small = pytest.mark.parametrize("metric", SMALL, ids=lambda m: m.name)


def _sets():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 16)), rng.normal(size=(70, 16)) + 0.4


def test_names_are_unique():
    names = [metric.name for metric in ALL]
    assert len(names) == len(set(names))


@every
def test_one_image_too_few_is_answered_by_name_and_number(metric):
    rows = np.random.default_rng(0).normal(size=(metric.needs - 1, 4))
    answer = metric(rows, rows, np.random.default_rng(0))
    assert isinstance(answer, TooFew)
    assert answer.needs == metric.needs
    assert str(answer).startswith(f"n/a (needs ≥ {metric.needs}")


@small
def test_just_enough_images_give_finite_numbers(metric):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(metric.needs, 5)), rng.normal(size=(metric.needs, 5))
    values = metric(real, fake, rng)
    assert values
    assert np.isfinite(list(values.values())).all()


@small
def test_same_seed_same_numbers_and_intervals_hold_the_value(metric):
    real, fake = _sets()
    values = metric(real, fake, np.random.default_rng(3))
    assert values == metric(real, fake, np.random.default_rng(3))
    replicates = metric.replicates(real, fake, np.random.default_rng(3), 50)
    again = metric.replicates(real, fake, np.random.default_rng(3), 50)
    assert set(replicates) <= set(values)
    for key, replicate in replicates.items():
        assert np.array_equal(replicate, again[key])
        low, high = centred_interval(values[key], replicate, metric.support.get(key, ANY))
        assert low <= values[key] <= high
        assert low < high


@pytest.mark.parametrize("metric", ORDERLESS, ids=lambda m: m.name)
def test_rows_may_come_in_any_order(metric):
    real, fake = _sets()
    rng = np.random.default_rng(1)
    values = metric(real, fake, rng)
    shuffled = metric(rng.permutation(real), rng.permutation(fake), rng)
    assert shuffled == pytest.approx(values, rel=1e-9)


@small
def test_broken_features_are_refused_by_side_and_row(metric):
    real, fake = _sets()
    rng = np.random.default_rng(0)
    fake[4, 2] = np.nan
    fake[9, 0] = np.inf
    with pytest.raises(ValueError, match=r"generated features: 2 of 70 rows .* first is row 4"):
        metric(real, fake, rng)
    with pytest.raises(ValueError, match=r"generated features are \(70, 4, 4\)"):
        metric(real, fake.reshape(70, 4, 4), rng)
    if "real" in metric.reads:
        with pytest.raises(ValueError, match="16 dimensions but generated ones 8"):
            metric(real, np.zeros((70, 8)), rng)


@small
def test_all_identical_images_give_an_answer_not_an_error(metric):
    same = np.ones((30, 4))
    answer = metric(same, same, np.random.default_rng(0))
    assert str(answer).startswith("n/a") or np.isfinite(list(answer.values())).all()


def test_resamples_are_as_large_as_the_set():
    counts = resample_counts(np.random.default_rng(0), 12, 40)
    assert counts.shape == (40, 12)
    assert (counts.sum(axis=1) == 12).all()
    assert counts.mean() == 1


def test_interval_is_moved_to_the_value_and_cut_at_the_support():
    replicates = np.arange(101.0)
    low, high = centred_interval(10.0, replicates, (-np.inf, np.inf), level=0.9)
    assert (low, high) == pytest.approx((10 - 45, 10 + 45))
    assert centred_interval(10.0, replicates, (0.0, 12.0), level=0.9) == (0, 12)
    with pytest.raises(ValueError, match="level is 95"):
        centred_interval(1.0, replicates, level=95)
    with pytest.raises(ValueError, match="no replicates"):
        centred_interval(1.0, np.empty(0))


def test_wilson_s_interval_is_the_published_one_and_has_width_at_its_ends():
    # Newcombe 1998, table I, method 3
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(1.0, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)


@pytest.mark.parametrize("images", [2, 3, 5, 10])
def test_the_interval_of_a_mean_of_few_images_holds_the_mean_in_95_of_100_cases(images):
    held = 0
    for seed in range(400):
        values = np.random.default_rng([images, seed]).normal(size=images)
        low, high = centred_interval(values.mean(), mean_values(values, 1000))
        held += low <= 0 <= high
    assert held / 400 == pytest.approx(0.95, abs=0.03)  # resamples: 0.51, 0.75, 0.84, 0.91
    assert not len(mean_values(np.ones(1), 10))
