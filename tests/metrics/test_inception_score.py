"""Inception Score against torch-fidelity and torchmetrics on the same logits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric
from torchmetrics.image.inception import InceptionScore

from defectbench.metrics.inception_score import inception_score, replicated_inception_score


def _logits(seed: int, images: int, classes: int = 20):
    return 3 * np.random.default_rng(seed).normal(size=(images, classes))


@pytest.mark.parametrize(("images", "splits"), [(100, 10), (37, 10), (12, 3), (25, 1)])
def test_equals_torch_fidelity_with_its_shuffle(images, splits):
    logits = _logits(images, images)
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=splits)
    ours = inception_score(logits, splits=splits)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-6)


def test_equals_torchmetrics_where_its_splits_are_the_same(monkeypatch):
    logits = _logits(1, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says that it keeps all features
        metric = InceptionScore(torch.nn.Identity(), splits=6)
    metric.update(torch.from_numpy(logits))
    monkeypatch.setattr(torch, "randperm", torch.arange)
    mean, std = metric.compute()
    ours = inception_score(logits, splits=6, shuffle_seed=None)
    assert ours.mean == pytest.approx(mean.item(), rel=1e-6)
    assert ours.std * np.sqrt(6 / 5) == pytest.approx(std.item(), rel=1e-6)


def test_known_values():
    # Every class once with certainty: as many as classes. One class only: 1.
    assert inception_score(50 * np.eye(8), splits=1).mean == pytest.approx(8)
    same = np.tile(50 * np.eye(8)[0], (5, 1))
    assert inception_score(same, splits=1).mean == pytest.approx(1)


def test_replicates_equal_scores_of_resamples_written_out():
    logits = _logits(2, 24)
    values = replicated_inception_score(
        logits, np.random.default_rng(3), 5, splits=2, shuffle_seed=None
    )
    rng = np.random.default_rng(3)
    expected = np.zeros(5)
    for half in (logits[:12], logits[12:]):
        counts = rng.multinomial(12, np.full(12, 1 / 12), size=5)
        drawn = [np.repeat(half, row, axis=0) for row in counts]
        expected += [inception_score(rows, splits=1).mean / 2 for rows in drawn]
    np.testing.assert_allclose(values, expected, rtol=1e-9)


def test_more_splits_than_images_are_refused():
    with pytest.raises(ValueError, match="10 splits of 4 images"):
        inception_score(_logits(0, 4))
