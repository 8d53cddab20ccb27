"""Two ways to train the same module, timed in turns: how much more does Lightning with our loop cost than a bare loop?"""

from __future__ import annotations

import statistics


def print_ratio(label, bare, lightning, rounds):
    """Call both once to warm up, then in turns, and print the median of the ratios.

    Each of `bare` and `lightning` trains a few steps and returns processor seconds per step.
    """
    bare()
    lightning()
    pairs = [(bare(), lightning()) for _ in range(rounds)]
    plain, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"{label}: bare loop {1000 * plain:.1f} ms/step, Lightning {1000 * ours:.1f} ms/step, "
        f"ratio {ratio:.3f} (at most 1.05)",
        flush=True,
    )
