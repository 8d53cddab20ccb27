"""Euclidean distances between feature sets, and bootstrap searches for nearest neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import Floats

SHORTLIST = 32  # all of a neighbour list is absent from a resample with probability e^-32
ROWS = 64  # resamples looked up at once


def euclidean(first: Floats, second: Floats) -> Floats:
    """Euclidean distances (N, M) between rows of (N, D) and (M, D), by one matrix product.

    Both are centred first, which keeps the digits that the product would cancel.
    """
    centre = first.mean(axis=0)
    a, b = first - centre, second - centre
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(squares.clip(0)))


def euclidean_within(images: Floats) -> Floats:
    """Euclidean distances (N, N) within one set; the diagonal is exactly zero."""
    distances = euclidean(images, images)
    np.fill_diagonal(distances, 0.0)
    return distances


def without_self(distances: Floats) -> Floats:
    """A copy of square distances (N, N) with infinity on the diagonal."""
    others = distances.copy()
    np.fill_diagonal(others, np.inf)
    return others


def nearest_present(
    distances: Floats, counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each row of `distances`, its nearest column among those drawn in each resample.

    Args:
        distances: (N, M), infinity where a column may not be chosen.
        counts: (R, M) how often each column was drawn.

    Returns:
        Indices (R, N) and distances (R, N); a row with no column present gets infinity.
    """
    width = min(SHORTLIST, distances.shape[1])
    order = np.argpartition(distances, width - 1, axis=1)[:, :width]
    order = np.take_along_axis(order, np.argsort(np.take_along_axis(distances, order, 1), 1), 1)
    chosen = np.empty((len(counts), len(distances)), np.int64)
    everyone = np.arange(len(distances))
    for start in range(0, len(counts), ROWS):
        present = counts[start : start + ROWS] > 0  # (r, M)
        listed = present[:, order]  # (r, N, width)
        first = listed.argmax(axis=2)
        chosen[start : start + ROWS] = order[everyone, first]
        for r, row in zip(*np.nonzero(~listed.any(axis=2)), strict=True):
            chosen[start + r, row] = np.where(present[r], distances[row], np.inf).argmin()
    found = distances[everyone, chosen]
    absent = ~np.take_along_axis(counts > 0, chosen, axis=1)
    found[absent] = np.inf
    return chosen, found
