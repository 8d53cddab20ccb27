"""Precision, recall, density and coverage against torch-fidelity and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from defectbench.metrics.prdc import (
    density_coverage,
    density_coverage_k5,
    precision_recall,
    precision_recall_k3,
)


def _sets(seed: int, real: int, fake: int, dimensions: int = 8, shift: float = 0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(real, dimensions)), rng.normal(size=(fake, dimensions)) + shift


@pytest.mark.parametrize(("real", "fake", "k"), [(60, 90, 3), (10, 200, 3), (40, 40, 5), (5, 4, 3)])
def test_precision_and_recall_equal_torch_fidelity(real, fake, k):
    first, second = _sets(real, real, fake)
    theirs = prc_features_to_metric(
        torch.from_numpy(second), torch.from_numpy(first), prc_neighborhood=k, verbose=False
    )
    ours = precision_recall(first, second, k=k)
    assert ours.precision == pytest.approx(theirs["precision"], rel=1e-6)
    assert ours.recall == pytest.approx(theirs["recall"], rel=1e-6)


def test_density_and_coverage_equal_their_definition():
    real, fake = _sets(1, 30, 44)
    radius = [np.sort(np.linalg.norm(real - x, axis=1))[5] for x in real]
    inside = np.array(
        [[np.linalg.norm(x - y) < r for y in fake] for x, r in zip(real, radius, strict=True)]
    )
    ours = density_coverage(real, fake)
    assert ours.density == pytest.approx(inside.sum() / (5 * 44))
    assert ours.coverage == pytest.approx(inside.any(axis=1).mean())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), real=st.integers(7, 25), fake=st.integers(7, 25))
def test_order_exchange_and_identity(seed, real, fake):
    first, second = _sets(seed, real, fake, 4)
    rng = np.random.default_rng(seed)
    value = precision_recall(first, second)
    assert precision_recall(rng.permutation(first), rng.permutation(second)) == value
    exchanged = precision_recall(second, first)
    assert (exchanged.recall, exchanged.precision) == value
    assert precision_recall(first, first) == (1, 1)
    same = density_coverage(first, first)
    assert same.coverage == 1
    # An image is in its own ball and in those whose k nearest it is, but on none of their
    # surfaces: k of k + 1 remain.
    assert same.density == pytest.approx(1)
    assert density_coverage(rng.permutation(first), second) == density_coverage(first, second)


@pytest.mark.parametrize("kind", ["copies", "doubled", "both"])
def test_copies_and_duplicates_are_counted_exactly(kind):
    """Compared with distances that are exact for equal rows; by a matrix product recall was off by up to 0.43."""
    rng = np.random.default_rng(0)
    for seed in range(10):
        first, second = _sets(seed, 30, 40, 600)
        first, second = np.abs(first) * 7, np.abs(second) * 7
        if kind != "doubled":
            second = first[rng.integers(0, 30, 40)]
        if kind != "copies":
            first = first[rng.integers(0, 12, 30)]

        def apart(a, b):
            return np.linalg.norm(a[:, None] - b[None], axis=2)

        def reach(rows):
            return np.sort(apart(rows, rows), axis=1)[:, 3]

        gaps = apart(first, second)
        value = precision_recall(first, second)
        assert value.precision == (gaps <= reach(first)[:, None]).any(axis=0).mean()
        assert value.recall == (gaps <= reach(second)[None]).any(axis=1).mean()


@pytest.mark.parametrize("metric", [precision_recall_k3(), density_coverage_k5()])
def test_replicates_scatter_about_the_value(metric):
    real, fake = _sets(4, 150, 130)
    value = metric(real, fake, np.random.default_rng(0))
    values = metric.replicates(real, fake, np.random.default_rng(0), 200)
    again = metric.replicates(real, fake, np.random.default_rng(0), 200)
    for key, replicate in values.items():
        assert replicate.shape == (200,)
        assert np.array_equal(replicate, again[key])
        # Fewer distinct balls can only lose; density, a plain mean of pairs, is not biased.
        assert 0.6 * value[key] < replicate.mean() < 1.05 * value[key]
        assert 0 < replicate.std() < 0.2 * value[key] + 0.05


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="k is 3 with 3 real and 9 generated"):
        precision_recall(*_sets(5, 3, 9))
