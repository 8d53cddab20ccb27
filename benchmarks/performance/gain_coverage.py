"""How often the gain's interval holds the true gain, and how often its test cries wolf: by simulation, no images.

Differences are Gaussian, their mean is known. What counts is a coverage of 95 % and a share of false verdicts, over all
methods of a table, of 5 % at most. The bars of the project are 93 to 97 % at 3, 5 and 10 seeds. 20,000 runs each, two
minutes or so; tests/report/test_stats.py runs the same with fewer.
"""

from __future__ import annotations

import math

import numpy as np

from defectbench.report.stats import holm, paired_gain, verdict
from defectbench.rng import numpy_rng

SEEDS = (3, 5, 10)


def coverage(
    seeds: int, groups: int, rng: np.random.Generator, runs: int, shared: float = 0.5
) -> float:
    """Give the share of runs whose interval holds the true gain.

    Args:
        seeds: seeds of each run.
        groups: subsets of each run, whose true gains differ.
        rng: source of the differences.
        runs: how many.
        shared: share of a difference's variance that all subsets of a seed have in common.
    """
    held = 0
    for _ in range(runs):
        true = rng.normal(0.1, 0.2, groups)
        common = rng.normal(0, math.sqrt(shared), seeds)
        values = true[:, None] + common + rng.normal(0, math.sqrt(1 - shared), (groups, seeds))
        found = paired_gain({str(g): dict(enumerate(row)) for g, row in enumerate(values.tolist())})
        assert found is not None
        held += found.low <= true.mean() <= found.high
    return held / runs


def false_verdicts(seeds: int, methods: int, rng: np.random.Generator, runs: int) -> float:
    """Give the share of runs in which at least one of several methods without effect is told to help or hurt.

    All methods are compared with the same raw arm, so their differences are correlated, as in a table.
    """
    wrong = 0
    for _ in range(runs):
        raw = rng.normal(size=seeds)
        found = [
            paired_gain({"all": dict(enumerate((rng.normal(size=seeds) - raw).tolist()))})
            for _ in range(methods)
        ]
        p = holm([one.p for one in found if one])
        wrong += any(verdict(1.0, value) != "undecided" for value in p)
    return wrong / runs


def main(runs: int = 20_000) -> None:
    """Print coverages and rates of false verdicts."""
    for groups in (1, 3):
        for seeds in SEEDS:
            rng = numpy_rng(0, "gain coverage", str(groups), str(seeds))
            found = coverage(seeds, groups, rng, runs)
            print(f"{seeds:2d} seeds, {groups} subset(s): {found:.1%} (95 % is right)", flush=True)
    for seeds in SEEDS:
        rng = numpy_rng(0, "false verdicts", str(seeds))
        found = false_verdicts(seeds, 8, rng, runs // 4)
        print(
            f"{seeds:2d} seeds, 8 methods: {found:.1%} of tables with a false verdict", flush=True
        )


if __name__ == "__main__":
    main()
