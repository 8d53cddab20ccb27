"""FID against torch-fidelity, torchmetrics and its own resamples drawn out in full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from defectbench.metrics import fid as module
from defectbench.metrics.fid import fid, fid_infinity, replicated_fid
from defectbench.metrics.parts.bootstrap import resample_counts


def _sets(seed: int, real: int, fake: int, dimensions: int, shift: float = 0.3):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    first = np.abs(rng.normal(size=(real, dimensions)) @ mixing)
    second = np.abs(rng.normal(size=(fake, dimensions)) @ mixing * 1.1 + shift)
    return first, second


def frechet_distance(first_mean, first_covariance, second_mean, second_covariance):
    """The distance from means (D,) and covariances (D, D), by eigenvalues of their product: slow and independent."""
    shift = first_mean - second_mean
    eigenvalues = np.linalg.eigvals(first_covariance @ second_covariance)
    shared = np.sqrt(eigenvalues.astype(np.complex128)).real.sum()
    traces = np.trace(first_covariance) + np.trace(second_covariance)
    return float(shift @ shift + traces - 2 * shared)


# Fewer images than dimensions on both sides, on one, on none; and very unequal sets.
SHAPES = [(40, 60, 128), (20, 300, 128), (200, 90, 128), (400, 500, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_low_rank_form_equals_torch_fidelity(shape):
    real, fake = _sets(0, *shape)
    first, second = (fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake))
    theirs = fid_statistics_to_metric(first, second, False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(theirs, rel=1e-6)
    by_eigenvalues = frechet_distance(first["mu"], first["sigma"], second["mu"], second["sigma"])
    assert fid(real, fake) == pytest.approx(by_eigenvalues, rel=1e-6)


def test_equals_torchmetrics():
    real, fake = _sets(1, 150, 220, 96)
    metric = FrechetInceptionDistance(torch.nn.Identity(), input_img_size=(3, 8, 4))
    metric.num_features = 96
    for name in ("real", "fake"):  # Identity has no output size to ask, so the sums are set here
        metric.add_state(f"{name}_features_sum", torch.zeros(96, dtype=torch.float64))
        metric.add_state(f"{name}_features_cov_sum", torch.zeros(96, 96, dtype=torch.float64))
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    metric.orig_dtype = torch.float64
    assert fid(real, fake) == pytest.approx(metric.compute().item(), rel=1e-6)


def test_two_gaussians_worked_by_hand():
    # One dimension: variances 1 and 4 (with N - 1), means 0 and 3: 9 + (1 - 2)^2 = 10.
    real = np.array([[-1.0], [1.0]]) / np.sqrt(2)
    fake = np.array([[-2.0], [2.0]]) / np.sqrt(2) + 3
    assert fid(real, fake) == pytest.approx(10)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999), real=st.integers(2, 30), fake=st.integers(2, 30), d=st.integers(1, 20)
)
def test_symmetry_identity_order_and_rigid_motion(seed, real, fake, d):
    first, second = _sets(seed, real, fake, d)
    rng = np.random.default_rng(seed)
    value, scale = fid(first, second), np.abs(first).max() ** 2 * d
    tolerance = 1e-9 * scale
    assert fid(second, first) == pytest.approx(value, abs=tolerance)
    assert fid(first, first) == pytest.approx(0, abs=tolerance)
    assert fid(rng.permutation(first), rng.permutation(second)) == pytest.approx(
        value, abs=tolerance
    )
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    moved = fid(first @ turn + 5, second @ turn + 5)
    assert moved == pytest.approx(value, abs=1e-8 * (scale + 25 * d))


def test_replicates_equal_fid_of_the_resamples_written_out():
    real, fake = _sets(3, 30, 41, 24)
    values = replicated_fid(real, fake, np.random.default_rng(7), 6)
    rng = np.random.default_rng(7)
    w, v = resample_counts(rng, 30, 6), resample_counts(rng, 41, 6)
    for value, a, b in zip(values, w, v, strict=True):
        drawn = fid(np.repeat(real, a, axis=0), np.repeat(fake, b, axis=0))
        assert value == pytest.approx(drawn, rel=1e-6)


def test_infinity_takes_the_line_to_infinitely_many_images(monkeypatch):
    seen = []

    def on_a_line(_real, fake):
        seen.append(len(fake))
        return 7.0 + 120.0 / len(fake)

    monkeypatch.setattr(module, "fid", on_a_line)
    rng = np.random.default_rng(0)
    assert fid_infinity(np.zeros((9, 2)), np.zeros((200, 2)), rng) == pytest.approx(7)
    assert (seen[0], seen[-1], len(seen)) == (20, 200, 15)


def test_one_image_is_refused():
    with pytest.raises(ValueError, match="1 real and 4 generated"):
        fid(np.zeros((1, 3)), np.zeros((4, 3)))
