"""How many of a stand-in's images go to which of the publisher's splits, and how sides follow from one size."""

from __future__ import annotations

from collections.abc import Sequence

from defectbench.standin.order import LEAST


def allot(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a number in the ratio of published numbers; each share gets one at least where the total allows.

    Largest remainders, the first of equals first, so that shares only grow with the total where weights are equal.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [int(value) for value in exact]
    order = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    while total >= len(weights) and 0 in shares:
        shares[shares.index(max(shares))] -= 1
        shares[shares.index(0)] += 1
    return shares


def beside(train: int, published_train: int, published_other: int) -> int:
    """Say how many images another split gets beside `train`, in the ratio of the published numbers; one at least."""
    return max(1, round(train * published_other / published_train)) if train else 0


def oblong(size: int, height: int, width: int) -> tuple[int, int]:
    """Scale published sides so that the area is `size` squared: (H, W) in pixels, neither side under the least."""
    ratio = (height / width) ** 0.5
    return max(LEAST, round(size * ratio)), max(LEAST, round(size / ratio))
