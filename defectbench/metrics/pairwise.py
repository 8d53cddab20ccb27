"""Mean pairwise LPIPS, the diversity score of DT-GAN's table 3, from stored distances.

Stored distances are (G, G + 1): mean distances between the members of G groups, within a group on
the diagonal, and the groups' sizes in the last column. Where memory allows every group is one image,
and this is the matrix of all pairs; else ten groups keep what the score and its interval need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from defectbench.metrics.base import (
    POSITIVE,
    Against,
    Array,
    Better,
    Floats,
    Support,
    TooFew,
    Undefined,
)
from defectbench.metrics.bootstrap import resample_counts

GROUPS = 10


def stored(distances: Floats, counts: npt.ArrayLike | None = None) -> Floats:
    """Distances (G, G) and group sizes as one array (G, G + 1); None: every group is one image."""
    sizes = np.ones(len(distances)) if counts is None else np.asarray(counts, np.float64)
    return np.column_stack([distances, sizes])


def unstored(pairs: Array) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Distances (G, G) and group sizes (G,) of what `stored` gave.

    Raises:
        ValueError: not (G, G + 1), a distance is NaN, or the diagonal of a full matrix is not 0.
    """
    array = np.asarray(pairs, np.float64)
    if array.ndim != 2 or array.shape[1] != len(array) + 1:
        raise ValueError(f"stored distances are {array.shape}; want (G, G + 1)")
    distances, counts = array[:, :-1], array[:, -1].astype(np.int64)
    several = counts > 1
    expected = ~np.eye(len(array), dtype=bool) | several[:, None]
    if not np.isfinite(distances[expected]).all():
        row = int(np.argwhere(~np.isfinite(distances) & expected)[0, 0])
        raise ValueError(f"stored distances hold NaN or infinity, first in row {row}")
    return np.where(expected, distances, 0.0), counts


def mean_pairwise(pairs: Array) -> float:
    """Mean distance over all pairs of different images.

    Args:
        pairs: (G, G + 1) as `stored` gives; at least two images.

    Raises:
        ValueError: as `unstored`, or fewer than two images.
    """
    distances, counts = unstored(pairs)
    if counts.sum() < 2:
        raise ValueError(f"{counts.sum()} images; want at least 2")
    return float(means_of_groups(distances, counts, counts[None])[0])


def means_of_groups(distances: Floats, sizes: npt.NDArray[np.int64], present: Array) -> Floats:
    """Mean over pairs of different images, when not all are present.

    Args:
        distances: (G, G) mean distances between groups, within a group on the diagonal.
        sizes: (G,) images per group. Where it is one, `present` may count copies of that image,
            which make no pair; else `present` takes the whole group or nothing of it.
        present: (R, G) images per group.

    Returns:
        (R,) means; nan where fewer than two different images are present.
    """
    w = np.asarray(present, np.float64)
    gaps = np.where(np.isfinite(distances), distances, 0.0)
    itself = w * np.where(sizes == 1, w, 1.0)  # ordered pairs of an image with itself
    total = np.einsum("rg,rg->r", w @ gaps, w) - itself @ np.diag(gaps)
    pairs = w.sum(axis=1) ** 2 - itself.sum(axis=1)
    found = np.full(len(w), np.nan)
    np.divide(total, pairs, out=found, where=pairs > 0)
    return found


def replicated_mean(pairs: Array, rng: np.random.Generator, count: int) -> Floats:
    """Values whose spread is that of the mean under other images of the same number.

    From a full matrix: bootstrap resamples, in which copies of one image make no pair. From groups:
    `count` quantiles of Student's t at the delete-a-group jackknife's standard error.

    Args:
        pairs: (G, G + 1) as `stored` gives.
        rng: draws the resamples.
        count: how many are wanted.

    Returns:
        At most `count` values.
    """
    distances, sizes = unstored(pairs)
    if (sizes == 1).all():
        drawn = resample_counts(rng, len(sizes), count)
        drawn = drawn[(drawn > 0).sum(axis=1) > 1]
        return means_of_groups(distances, sizes, drawn)
    kept = sizes * (1 - np.eye(len(sizes), dtype=np.int64))
    return jackknife_values(mean_pairwise(pairs), means_of_groups(distances, sizes, kept), count)


def jackknife_values(value: float, left_out: Floats, count: int) -> Floats:
    """`count` values spread as the delete-a-group jackknife says (G values with one left out)."""
    groups = len(left_out)
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum())
    at = (np.arange(count) + 0.5) / count
    return np.asarray(value + error * stdtrit(groups - 1, at))


PairScore = Callable[[Array, Array, np.random.Generator], dict[str, float] | Undefined]
PairResample = Callable[[Array, Array, np.random.Generator, int], dict[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class PairMetric:
    """A `SetMetric` on stored distances in place of features.

    `fake` is (G, G + 1) among the generated images, `real` (M, K) from each of them to K real ones.
    """

    name: str
    extractor: str
    better: Better
    needs: int
    score: PairScore
    resample: PairResample
    reads: tuple[str, ...] = ("fake",)
    against: Against = "unseen"
    support: Mapping[str, Support] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, str]:
        """See `SetMetric`."""
        among = self.extractor
        return (f"{among}_to_real" if "real" in self.reads else among), among

    def sizes(self, real: Array, fake: Array) -> tuple[int, int]:
        """See `SetMetric`."""
        _, counts = unstored(fake)
        return (real.shape[1] if "real" in self.reads else 0), int(counts.sum())

    def __call__(
        self, real: Array, fake: Array, rng: np.random.Generator
    ) -> dict[str, float] | Undefined:
        """See `SetMetric`."""
        references, images = self.sizes(real, fake)
        if images < self.needs:
            return TooFew(f"needs ≥ {self.needs}; has {images} fake", self.needs)
        if "real" in self.reads and references < 1:
            return TooFew("needs ≥ 1; has 0 real", 1)
        return self.score(real, fake, rng)

    def replicates(
        self, real: Array, fake: Array, rng: np.random.Generator, count: int
    ) -> dict[str, Floats]:
        """See `SetMetric`."""
        return self.resample(real, fake, rng, count)

    def interval(self, fake: Array, resamples: int) -> str:
        """See `SetMetric`."""
        _, counts = unstored(fake)
        return f"jackknife_{len(counts)}" if (counts > 1).any() else f"bootstrap_{resamples}"


def pairwise(extractor: str) -> PairMetric:
    """The metric "<lpips_net>_pairwise": mean distance over all pairs of generated images."""
    name = f"{extractor}_pairwise"
    return PairMetric(
        name=name,
        extractor=extractor,
        better="higher",
        needs=2,
        support={name: POSITIVE},
        score=lambda _real, fake, _rng: {name: mean_pairwise(fake)},
        resample=lambda _real, fake, rng, count: {name: replicated_mean(fake, rng, count)},
    )


METRICS = (pairwise("lpips_alex"), pairwise("lpips_vgg"))
