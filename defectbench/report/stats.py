"""Means, spreads and intervals; every one says what it is. Pure Python and scipy-free where small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Summary:
    """What is said of one score over seeds.

    Attributes:
        mean: arithmetic mean; NaN without values.
        sd: standard deviation with ddof=1; NaN for fewer than two values.
        n: number of values.
        low: lower end of the 95 % Student t interval of the mean; NaN for fewer than two values.
        high: its upper end.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float


def summarise(values: Sequence[float]) -> Summary:
    """Summarise scores over seeds: mean, sd (ddof=1), 95 % Student t interval of the mean."""
    n = len(values)
    if n == 0:
        return Summary(math.nan, math.nan, 0, math.nan, math.nan)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, math.nan, 1, math.nan, math.nan)
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(mean, sd, n, mean - half, mean + half)


def t_quantile(degrees: int) -> float:
    """Give the 97.5 % quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


FEWEST_PAIRS = 3
"""Pairs per group below which a bootstrap would promise more than it knows: there is no interval then."""


@dataclass(frozen=True)
class PairedGain:
    """A paired difference between two arms.

    Attributes:
        mean: mean of the differences, in the metric's units.
        low: lower end of the 95 % percentile bootstrap interval; NaN if a group has fewer than `FEWEST_PAIRS` pairs.
        high: its upper end.
        improves: share of bootstrap replicates above zero (probability of improvement).
        n: number of pairs.
        hurts: number of groups (e.g. categories) whose mean difference is below zero.
        groups: number of groups.
    """

    mean: float
    low: float
    high: float
    improves: float
    n: int
    hurts: int
    groups: int


def paired_gain(
    differences: Sequence[float],
    groups: list[str],
    rng: np.random.Generator,
    replicates: int = 10_000,
) -> PairedGain:
    """Bootstrap the mean of paired differences, resampling within each group so that every group keeps its weight.

    Args:
        differences: enlarged minus baseline, one per (group, seed), signed so that more is better.
        groups: the category of each difference.
        rng: source of the resampling.
        replicates: bootstrap replicates.
    """
    values: npt.NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    kinds = sorted(set(groups))
    means = []
    total = np.zeros(replicates)
    for kind in kinds:
        mine = values[[g == kind for g in groups]]
        means.append(float(mine.mean()))
        total += mine[rng.integers(len(mine), size=(replicates, len(mine)))].mean(axis=1)
    total /= len(kinds)
    low, high = np.quantile(total, [0.025, 0.975])
    improves = float((total > 0).mean() + 0.5 * (total == 0).mean())
    if min(groups.count(kind) for kind in kinds) < FEWEST_PAIRS:
        low = high = improves = math.nan
    return PairedGain(
        mean=float(np.mean(means)),
        low=float(low),
        high=float(high),
        improves=improves,
        n=len(values),
        hurts=sum(m < 0 for m in means),
        groups=len(kinds),
    )
