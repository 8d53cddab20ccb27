"""Intervals: from bootstrap resamples of image sets as integer weights, from Student's t, and of shares (Wilson)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from defectbench.metrics.base import ANY, Floats, Support


def resample_counts(rng: np.random.Generator, images: int, count: int) -> npt.NDArray[np.int64]:
    """How often each image is drawn in each of `count` resamples with replacement.

    Args:
        rng: where the draws come from.
        images: size of the set and of each resample.
        count: number of resamples.

    Returns:
        (count, images) counts; every row sums to `images`.
    """
    return rng.multinomial(images, np.full(images, 1 / images), size=count)


def student_values(value: float, error: float, freedom: int, count: int) -> Floats:
    """`count` values spread about `value` as Student's t at a standard error says.

    Args:
        value: the estimate.
        error: its standard error.
        freedom: degrees of freedom, at least 1.
        count: how many.

    Returns:
        (count,) ascending; (0,) without a degree of freedom.
    """
    if freedom < 1:
        return np.empty(0)
    at = (np.arange(count) + 0.5) / count
    return np.asarray(value + error * stdtrit(freedom, at))


def mean_values(values: Floats, count: int) -> Floats:
    """`count` values spread as the mean of `values` (n,) under other images of the same number, by Student's t."""
    if len(values) < 2:
        return np.empty(0)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return student_values(float(values.mean()), error, len(values) - 1, count)


def wilson(share: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of `images` images; of positive width for shares of 0 and 1 too."""
    z2 = float(ndtri((1 + level) / 2)) ** 2
    middle = share + z2 / (2 * images)
    half = np.sqrt(z2 * (share * (1 - share) / images + z2 / (4 * images**2)))
    low, high = (middle - half) / (1 + z2 / images), (middle + half) / (1 + z2 / images)
    return float(np.clip(low, 0, share)), float(np.clip(high, share, 1))


def centred_interval(
    value: float, replicates: Floats, support: Support = ANY, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the replicates, moved so that their mean falls on `value`.

    A resample holds fewer distinct images than the set it was drawn from, which shifts
    set metrics (FID up, recall down). The shift is an artefact of resampling; the spread is what
    the interval is about. So the interval says how far the score would move with other images of
    the same number, and not where a score of infinitely many would lie.

    Args:
        value: the score of the sets themselves.
        replicates: (R,) scores of resamples.
        support: smallest and largest value of the score; the interval is cut there.
        level: coverage, fraction in (0, 1).

    Returns:
        (low, high).

    Raises:
        ValueError: no replicates, or `level` is not in (0, 1).
    """
    if not len(replicates):
        raise ValueError("no replicates; want at least one resample")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; want a fraction in (0, 1)")
    shifted = replicates - replicates.mean() + value
    low, high = np.quantile(shifted, [(1 - level) / 2, (1 + level) / 2])
    return float(np.clip(low, *support)), float(np.clip(high, *support))
