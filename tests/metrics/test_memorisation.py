"""Nearest neighbours, authenticity and MiFID: torchmetrics, copies, fresh samples, resamples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from defectbench.metrics.fid import fid
from defectbench.metrics.memorisation import (
    authenticity,
    mifid,
    nearest_neighbour_ratio,
    nearest_neighbours,
    neighbours,
    replicated_neighbours,
)
from defectbench.metrics.parts.bootstrap import resample_counts
from defectbench.metrics.parts.distances import distances, nearest_present, without_self


def _sets(seed: int, real: int, fake: int, dimensions: int = 12):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(real, dimensions)), rng.normal(size=(fake, dimensions))


def _near(real, fake):
    found = distances(real, fake)
    return neighbours(found.within, found.between.T)


def test_distances_equal_norms_of_differences_far_from_the_origin():
    real, fake = _sets(0, 9, 7)
    expected = np.linalg.norm(real[:, None] - fake[None], axis=2)
    found = distances(real + 1e4, fake + 1e4, second_too=True)
    np.testing.assert_allclose(found.between, expected, rtol=1e-7)
    for within, rows in ((found.within, real), (found.within_second, fake)):
        expected = np.linalg.norm(rows[:, None] - rows[None], axis=2)
        np.testing.assert_allclose(within, expected, rtol=1e-7, atol=1e-12)
        assert (np.diag(within) == 0).all()
        assert (within == within.T).all()


def test_duplicates_are_at_zero_and_all_at_one_distance_from_others():
    """A matrix product puts copies of one image at distances of 1e-7, and at different ones."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        base = np.abs(rng.normal(size=(9, 673))) * 10
        real = base[rng.integers(0, 9, 25)]
        fake = np.concatenate([base[rng.integers(0, 9, 14)], np.abs(rng.normal(size=(5, 673)))])
        found = distances(real, fake, second_too=True)
        exact = np.linalg.norm(real[:, None] - fake[None], axis=2)
        assert ((found.between == 0) == (exact == 0)).all()
        same = (fake[:, None] == fake[None]).all(axis=2)
        for one, other in zip(*np.nonzero(same), strict=True):
            assert (found.between[:, one] == found.between[:, other]).all()
            assert (found.within_second[one] == found.within_second[other]).all()
        twin = [np.flatnonzero((fake == row).all(axis=1)) for row in real]
        for row, copies in enumerate(twin):
            assert (found.between[:, copies] == found.within[:, [row]]).all()


def test_copies_among_doubled_training_images():
    """The guard of before, a distance of exactly zero, missed 18 of 60 such cases: nn_ratio 1.0, or 44,442,134.7."""
    metric, rng = nearest_neighbours(), np.random.default_rng(0)
    for seed in range(30):
        base = np.abs(np.random.default_rng(seed).normal(size=(8, 673))) * 5
        all_doubled = np.repeat(base, 2, axis=0)
        answer = metric(all_doubled, base, rng)
        assert str(answer) == "n/a (more than half of the real images are exact duplicates)"
        some_doubled = np.concatenate([base, base[:2]])
        assert metric(some_doubled, base[[0, 1, 2, 2]], rng) == {"nn_ratio": 0, "authenticity": 0}
        assert metric(base, base, rng) == {"nn_ratio": 0, "authenticity": 0}


def test_copies_score_zero_and_fresh_samples_about_one():
    real, fake = _sets(1, 200, 150)
    copies = real[np.random.default_rng(0).integers(0, 200, 150)]
    near = _near(real, copies)
    assert nearest_neighbour_ratio(near) == pytest.approx(0, abs=1e-6)
    assert authenticity(near) == 0
    near = _near(real, fake)
    assert nearest_neighbour_ratio(near) == pytest.approx(1, abs=0.05)
    assert authenticity(near) > 0.3
    halfway = _near(real, (copies + fake) / 2)
    assert 0.2 < nearest_neighbour_ratio(halfway) < 0.95


def test_neighbours_and_authenticity_by_definition():
    real, fake = _sets(2, 15, 11)
    near = _near(real, fake)
    for j, row in enumerate(fake):
        gaps = np.linalg.norm(real - row, axis=1)
        assert near.nearest[j] == gaps.argmin()
        assert near.distance[j] == pytest.approx(gaps.min())
    own = [np.sort(np.linalg.norm(real - x, axis=1))[1] for x in real]
    np.testing.assert_allclose(near.own, own)
    expected = np.mean([own[i] < d for i, d in zip(near.nearest, near.distance, strict=True)])
    assert authenticity(near) == expected


def test_mifid_equals_torchmetrics_with_the_sets_exchanged():
    real, _ = _sets(3, 60, 1, 6)
    rng = np.random.default_rng(4)
    fake = 0.9 * real[rng.integers(0, 60, 80)] + 0.1 * rng.normal(size=(80, 6)) + 0.2
    metric = MemorizationInformedFrechetInceptionDistance(torch.nn.Identity())
    metric.update(torch.from_numpy(fake), real=True)
    metric.update(torch.from_numpy(real), real=False)
    value = mifid(real, fake)
    assert value == pytest.approx(metric.compute().item(), rel=1e-6)
    assert value > 10 * fid(real, fake)  # the penalty is at work


def test_nearest_present_equals_a_search_in_every_resample():
    distances = np.random.default_rng(6).random((20, 90))
    counts = resample_counts(np.random.default_rng(7), 90, 50)
    counts[0] = 0
    counts[0, distances[3].argmax()] = 90  # far down every list: the shortlist misses it
    counts[1] = 0  # nothing present
    index, found = nearest_present(distances, counts)
    for r, row in enumerate(counts):
        masked = np.where(row > 0, distances, np.inf)
        np.testing.assert_array_equal(found[r], masked.min(axis=1))
        if r != 1:
            np.testing.assert_array_equal(index[r], masked.argmin(axis=1))


def test_replicates_equal_resamples_written_out():
    real, fake = _sets(8, 25, 18)
    found = distances(real, fake)
    within, across = found.within, found.between.T
    values = replicated_neighbours(within, across, np.random.default_rng(9), 8)
    rng = np.random.default_rng(9)
    w, v = resample_counts(rng, 25, 8), resample_counts(rng, 18, 8)
    for r in range(8):
        present = np.flatnonzero(w[r])
        own = without_self(within)[np.ix_(present, present)].min(axis=1)
        nearest = across[:, present].argmin(axis=1)
        distance = across[:, present].min(axis=1)
        ratio = np.median(np.repeat(distance, v[r])) / np.median(np.repeat(own, w[r][present]))
        assert values["nn_ratio"][r] == pytest.approx(ratio)
        share = np.repeat(own[nearest] < distance, v[r]).mean()
        assert values["authenticity"][r] == pytest.approx(share)


def test_distances_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(5, 3\)"):
        neighbours(np.zeros((4, 4)), np.zeros((5, 3)))
