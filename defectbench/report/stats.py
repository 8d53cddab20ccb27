"""Means, spreads, intervals and tests; every one says what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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


def t_quantile(degrees: float) -> float:
    """Give the 97.5 % quantile of Student's t distribution; the degrees of freedom may be fractional."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


FEWEST_SEEDS = 3
"""Seeds below which a paired gain has no interval and no verdict: two differences tell next to nothing of their spread."""
LEVEL = 0.05
"""Level of every test: a corrected p below it is called a difference."""


@dataclass(frozen=True)
class PairedGain:
    """A paired difference between two arms.

    Attributes:
        mean: mean of the differences, in the metric's units.
        sd: standard deviation over seeds (ddof=1) of the mean over groups; NaN for fewer than two seeds.
        low: lower end of the 95 % Student t interval; NaN below `FEWEST_SEEDS` seeds, or if all differences are equal.
        high: its upper end.
        p: two-sided p of the t test of "no difference"; NaN where there is no interval.
        seeds: number of seeds that every group has.
        n: number of pairs behind them, seeds times groups.
        hurts: number of groups (e.g. subsets) whose mean difference is below zero.
        groups: number of groups.
    """

    mean: float
    sd: float
    low: float
    high: float
    p: float
    seeds: int
    n: int
    hurts: int
    groups: int


def paired_gain(differences: Mapping[str, Mapping[int, float]]) -> PairedGain | None:
    """Summarise paired differences with a Student t interval over seeds.

    Several groups are combined before the interval is taken: first the mean over the groups for each seed, then Student's t
    over these means. So every group keeps its weight, and what the groups of a seed share (its weights, its draws) is in
    the interval. Seeds that a group lacks are left out of all groups. The interval covers 95 % at any number of seeds if the
    differences are Gaussian (`benchmarks/performance/gain_coverage.py`).

    Differences that are all equal have no spread to judge by (scores of few images take few values), so they get no
    interval and no p.

    Args:
        differences: by group and seed: arm minus baseline, signed so that more is better.

    Returns:
        the summary; None where no seed is in every group.
    """
    groups = [by_seed for by_seed in differences.values() if by_seed]
    if not groups:
        return None
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in groups)))
    if not shared:
        return None
    values = [math.fsum(g[seed] for g in groups) / len(groups) for seed in shared]
    found = summarise(values)
    low = high = p = math.nan
    if found.n >= FEWEST_SEEDS and not _all_equal(values):
        from scipy.special import stdtr

        low, high = found.low, found.high
        p = 2 * float(stdtr(found.n - 1, -abs(found.mean) * math.sqrt(found.n) / found.sd))
    return PairedGain(
        mean=found.mean,
        sd=found.sd,
        low=low,
        high=high,
        p=p,
        seeds=found.n,
        n=found.n * len(groups),
        hurts=sum(math.fsum(g[seed] for seed in shared) < 0 for g in groups),
        groups=len(groups),
    )


def _all_equal(values: Sequence[float]) -> bool:
    """Whether values differ by rounding alone."""
    return max(values) - min(values) <= 1e-12 * max(1.0, *map(abs, values))


def holm(p: Sequence[float]) -> list[float]:
    """Correct p values for their number by Holm's step-down rule (Holm 1979, Scand. J. Statist. 6).

    Args:
        p: one for each comparison; NaN for one that could not be tested. It counts as a comparison all the same.

    Returns:
        corrected values in the same order, in [0, 1]; NaN where p is.
    """
    order = sorted((i for i, value in enumerate(p) if not math.isnan(value)), key=lambda i: p[i])
    corrected = [math.nan] * len(p)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = highest
    return corrected


def verdict(gain: float, corrected: float) -> str:
    """Put a comparison into a word: helps, hurts, or undecided where the corrected p is `LEVEL` or more, or unknown."""
    if math.isnan(corrected) or corrected >= LEVEL:
        return "undecided"
    return "helps" if gain > 0 else "hurts"
