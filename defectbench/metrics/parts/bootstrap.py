"""Bootstrap resamples of image sets as integer weights, and intervals from replicated values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
