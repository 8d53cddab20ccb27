"""KID and its subset forms against torch-fidelity, torchmetrics and the double sum."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import KernelInceptionDistance

from defectbench.metrics import kid as module
from defectbench.metrics.kid import (
    kid,
    kid_stylegan,
    kid_torch_fidelity,
    kid_torchmetrics,
    replicated_kid,
    weighted_kid,
)
from defectbench.metrics.parts.bootstrap import resample_counts


def _sets(seed: int, real: int, fake: int, dimensions: int = 32, shift: float = 0.2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(real, dimensions)), rng.normal(size=(fake, dimensions)) + shift


def _torchmetrics(real, fake, subsets, size):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says that it keeps all features
        metric = KernelInceptionDistance(torch.nn.Identity(), subsets=subsets, subset_size=size)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    return metric.compute()


def _double_sum(real, fake):
    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(rows):
        return np.mean([kernel(a, b) for i, a in enumerate(rows) for b in np.delete(rows, i, 0)])

    return within(real) + within(fake) - 2 * np.mean([[kernel(a, b) for b in fake] for a in real])


def test_equals_the_double_sum_over_pairs():
    real, fake = _sets(0, 9, 14)
    assert kid(real, fake) == pytest.approx(_double_sum(real, fake), rel=1e-9)


def test_blocks_of_rows_change_nothing(monkeypatch):
    real, fake = _sets(1, 23, 17)
    whole = kid(real, fake)
    monkeypatch.setattr(module, "BLOCK", 5)
    assert kid(real, fake) == pytest.approx(whole, rel=1e-10)


def test_full_statistic_equals_both_libraries_when_the_subset_is_the_set():
    real, fake = _sets(2, 60, 60)
    tensors = torch.from_numpy(real), torch.from_numpy(fake)
    theirs = kid_features_to_metric(*tensors, kid_subset_size=60, kid_subsets=1, verbose=False)
    value = theirs["kernel_inception_distance_mean"]
    assert kid(real, fake) == pytest.approx(value, rel=1e-6)
    value = _torchmetrics(real, fake, 1, 60)[0].item()
    assert kid(real, fake) == pytest.approx(value, rel=1e-6)


def test_torch_fidelity_form_draws_the_same_subsets():
    real, fake = _sets(3, 90, 70)
    tensors = torch.from_numpy(real), torch.from_numpy(fake)
    theirs = kid_features_to_metric(*tensors, kid_subset_size=40, kid_subsets=7, verbose=False)
    ours = kid_torch_fidelity(real, fake, subsets=7, subset_size=40)
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-6)


def _stylegan(real, fake, rng, subsets):
    """The StyleGAN family's arithmetic: sums over both sets at once, divided at the end."""
    dimensions, m = real.shape[1], min(len(real), len(fake), 1000)
    total = 0.0
    for _ in range(subsets):
        x = real[rng.choice(len(real), m, replace=False)]
        y = fake[rng.choice(len(fake), m, replace=False)]
        within = (x @ x.T / dimensions + 1) ** 3 + (y @ y.T / dimensions + 1) ** 3
        across = (x @ y.T / dimensions + 1) ** 3
        total += (within.sum() - np.diag(within).sum()) / (m - 1) - across.sum() * 2 / m
    return total / subsets / m


def test_stylegan_form_equals_its_arithmetic():
    real, fake = _sets(4, 12, 50)
    ours = kid_stylegan(real, fake, np.random.default_rng(5), subsets=6)
    expected = _stylegan(real, fake, np.random.default_rng(5), 6)
    assert ours.mean == pytest.approx(expected, rel=1e-9)


def test_torchmetrics_form_equals_torchmetrics_on_the_same_permutations(monkeypatch):
    real, fake = _sets(5, 30, 33)
    rng = np.random.default_rng(6)
    monkeypatch.setattr(torch, "randperm", lambda n: torch.from_numpy(rng.permutation(n)))
    mean, std = _torchmetrics(real, fake, 4, 20)
    ours = kid_torchmetrics(real, fake, np.random.default_rng(6), subsets=4, subset_size=20)
    assert ours.mean == pytest.approx(mean.item(), rel=1e-6)
    assert ours.std == pytest.approx(std.item(), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), real=st.integers(2, 20), fake=st.integers(2, 20))
def test_symmetry_order_and_duplicates(seed, real, fake):
    first, second = _sets(seed, real, fake, 6)
    rng = np.random.default_rng(seed)
    value = kid(first, second)
    assert kid(second, first) == pytest.approx(value, abs=1e-9)
    shuffled = kid(rng.permutation(first), rng.permutation(second))
    assert shuffled == pytest.approx(value, abs=1e-9)
    # Every image twice: pairs of copies enter, so the value rises (the kernel is convex).
    assert kid(np.repeat(first, 2, axis=0), second) > value


def test_replicates_are_deterministic_centred_and_as_wide_as_fresh_samples():
    rng = np.random.default_rng(10)
    real, fake = _sets(11, 120, 100)
    values = replicated_kid(real, fake, np.random.default_rng(1), 400)
    again = replicated_kid(real, fake, np.random.default_rng(1), 400)
    assert np.array_equal(values, again)
    assert not np.array_equal(values, replicated_kid(real, fake, np.random.default_rng(2), 400))
    fresh = [kid(rng.normal(size=(120, 32)), rng.normal(size=(100, 32)) + 0.2) for _ in range(150)]
    assert abs(values.mean() - kid(real, fake)) < 0.5 * np.std(fresh)
    assert 0.6 < values.std() / np.std(fresh) < 1.6


def test_copies_of_one_image_are_no_pairs():
    real, fake = _sets(12, 3, 4)
    rng = np.random.default_rng(0)
    w, v = resample_counts(rng, 3, 200), resample_counts(rng, 4, 200)
    alone = ((w > 0).sum(axis=1) < 2) | ((v > 0).sum(axis=1) < 2)
    values = weighted_kid(real, fake, w, v)
    assert alone.any()
    assert np.array_equal(np.isnan(values), alone)


def test_subsets_larger_than_the_set_are_refused():
    real, fake = _sets(13, 10, 12)
    with pytest.raises(ValueError, match="subset_size is 1000 but there are 10 real"):
        kid_torch_fidelity(real, fake)


def test_weights_of_a_subset_give_the_subset():
    real, fake = _sets(9, 20, 25)
    w, v = np.zeros((1, 20)), np.zeros((1, 25))
    w[0, [3, 5, 11, 19]] = 1
    v[0, 2:9] = 1
    expected = kid(real[[3, 5, 11, 19]], fake[2:9])
    assert weighted_kid(real, fake, w, v)[0] == pytest.approx(expected, rel=1e-9)
