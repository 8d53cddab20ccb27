"""Euclidean distances between feature sets, and bootstrap searches for nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import Floats

SHORTLIST = 32  # all of a neighbour list is absent from a resample with probability e^-32
ROWS = 64  # resamples looked up at once


class Distances(NamedTuple):
    """Euclidean distances within and between two sets; equal pairs of images have equal distances, to the bit."""

    within: Floats  # (N, N) in the first set; the diagonal and pairs of duplicates are exactly zero
    between: Floats  # (N, M); a copy of an image is at exactly zero from it
    within_second: Floats | None  # (M, M), where it was asked for


def distances(first: Floats, second: Floats, *, second_too: bool = False) -> Distances:
    """Distances between rows of (N, D) and (M, D), computed once for each pair of distinct rows.

    Duplicates are found by comparing features, not by a distance of zero: a matrix product rounds, so that copies of one
    image would lie at distances of 1e-7, and at different ones. Distinct images that are equally far from a third by
    their geometry may still differ in the last bit.

    Args:
        first: (N, D).
        second: (M, D).
        second_too: whether the distances within the second set are wanted.
    """
    rows, place = np.unique(np.concatenate([first, second]) + 0.0, axis=0, return_inverse=True)
    place = place.reshape(-1)
    of_first, of_second = place[: len(first)], place[len(first) :]
    leading = np.unique(of_first)
    order = np.concatenate([leading, np.setdiff1d(np.arange(len(rows)), leading)])
    centred = rows[order] - rows.mean(
        axis=0
    )  # which keeps the digits that the product would cancel
    at = np.argsort(order)
    columns = centred if second_too else centred[: len(leading)]
    squares = (centred * centred).sum(axis=1)
    gaps = squares[:, None] + squares[: len(columns)] - 2 * centred @ columns.T
    gaps = np.sqrt(gaps.clip(0))
    side = len(columns)
    lower = np.tril_indices(side, -1)
    gaps[lower] = gaps[:side].T[lower]
    np.fill_diagonal(gaps, 0.0)
    one, two = at[of_first], at[of_second]
    inner = gaps[np.ix_(two, two)] if second_too else None
    return Distances(gaps[np.ix_(one, one)], gaps[np.ix_(two, one)].T, inner)


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
