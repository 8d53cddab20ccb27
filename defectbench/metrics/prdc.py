"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

A set's manifold is the union of balls around its images that reach their k-th nearest neighbour.
Precision: share of generated images inside the real manifold. Recall: share of real images inside
the generated one. Density: real balls around a generated image, per k. Coverage: share of real
balls that hold a generated image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from defectbench.metrics.base import (
    FRACTION,
    POSITIVE,
    Floats,
    Fresh,
    Metric,
    Undefined,
    as_pair,
)
from defectbench.metrics.parts.bootstrap import resample_counts
from defectbench.metrics.parts.distances import distances

INCEPTION = "inception_tf2015_pool3"


class PrecisionRecall(NamedTuple):
    """Both are fractions in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Density is 0 or more, near 1 for a true copy of the distribution; coverage is in [0, 1]."""

    density: float
    coverage: float


class Balls(NamedTuple):
    """Which image lies in which other set's balls, (N, M) booleans over real x generated."""

    in_real: npt.NDArray[np.bool_]  # generated image j in the ball of real image i
    in_fake: npt.NDArray[np.bool_]  # real image i in the ball of generated image j


def radii(within: Floats, k: int) -> Floats:
    """Distance (N,) of each image to its k-th nearest other image, from distances (N, N) within a set."""
    return np.asarray(np.partition(within, k, axis=1)[:, k])


def balls(real: npt.ArrayLike, fake: npt.ArrayLike, *, k: int, closed: bool) -> Balls:
    """Membership of all images in the other set's balls.

    Args:
        real: (N, D) features, N > k.
        fake: (M, D) features, M > k.
        k: the neighbour that a ball reaches.
        closed: whether an image exactly on the surface is inside (torch-fidelity) or not (Naeem).

    Raises:
        ValueError: as `base.as_pair`, or a set has k or fewer images.
    """
    first, second = as_pair(real, fake)
    if k < 1 or min(len(first), len(second)) <= k:
        raise ValueError(
            f"k is {k} with {len(first)} real and {len(second)} generated images; want 1 <= k and "
            "more than k images of each"
        )
    found = distances(first, second, second_too=True)
    inside = np.less_equal if closed else np.less
    of_second = radii(np.asarray(found.within_second), k)
    return Balls(
        inside(found.between, radii(found.within, k)[:, None]),
        inside(found.between, of_second[None, :]),
    )


def precision_recall(real: npt.ArrayLike, fake: npt.ArrayLike, *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall, as torch-fidelity computes them (k = 3, closed balls).

    Raises:
        ValueError: as `balls`.
    """
    member = balls(real, fake, k=k, closed=True)
    return PrecisionRecall(
        float(member.in_real.any(axis=0).mean()), float(member.in_fake.any(axis=1).mean())
    )


def density_coverage(real: npt.ArrayLike, fake: npt.ArrayLike, *, k: int = 5) -> DensityCoverage:
    """Density and coverage of Naeem et al. 2020, section 3 (k = 5, open balls).

    Raises:
        ValueError: as `balls`.
    """
    inside = balls(real, fake, k=k, closed=False).in_real
    return DensityCoverage(float(inside.sum(axis=0).mean() / k), float(inside.any(axis=1).mean()))


def _precision_recall(real: Floats, fake: Floats, _rng: np.random.Generator) -> dict[str, float]:
    """See `Metric.score`."""
    return precision_recall(real, fake)._asdict()


def _density_coverage(real: Floats, fake: Floats, _rng: np.random.Generator) -> dict[str, float]:
    """See `Metric.score`."""
    return density_coverage(real, fake)._asdict()


def _hit(member: npt.NDArray[np.bool_], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(R, M): whether any row of `member` (N, M) that a resample (R, N) drew is set."""
    return np.asarray((counts > 0).astype(np.float32) @ member.astype(np.float32) > 0)


def _replicated_precision_recall(
    real: Floats, fake: Floats, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """Resampled images in resampled balls; the radii stay those of the full sets."""
    member = balls(real, fake, k=3, closed=True)
    w, v = resample_counts(rng, len(real), count), resample_counts(rng, len(fake), count)
    return {
        "precision": (_hit(member.in_real, w) * v).sum(axis=1) / len(fake),
        "recall": (_hit(member.in_fake.T, v) * w).sum(axis=1) / len(real),
    }


def _replicated_density_coverage(
    real: Floats, fake: Floats, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """Resampled images in resampled balls; the radii stay those of the full sets."""
    inside = balls(real, fake, k=5, closed=False).in_real
    w, v = resample_counts(rng, len(real), count), resample_counts(rng, len(fake), count)
    pairs = np.einsum("rj,rj->r", w @ inside.astype(np.float64), v)
    return {
        "density": pairs / (5 * len(fake)),
        "coverage": (_hit(inside.T, v) * w).sum(axis=1) / len(real),
    }


def floor_of_precision_recall(
    real: Floats, fresh: Fresh, _rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """Both for fresh images of the same distribution: each real image against the balls of all others.

    Left out of the set, an image lies in the ball of another one exactly where it is one of its k nearest. The numbers of
    images hardly matter, since balls shrink as they become more; precision takes the generated images' mix of labels.
    """
    if len(real) < 5:
        return Undefined(f"needs >= 5 real images; has {len(real)}")
    within = distances(real, real[:1]).within
    ball = within <= radii(within, 3)[:, None]
    np.fill_diagonal(ball, False)
    hit = ball.any(axis=0)
    return {
        "precision": float(np.average(hit, weights=fresh.mix.weights if fresh.mix else None)),
        "recall": float(hit.mean()),
    }


def floor_of_density_coverage(
    real: Floats, fresh: Fresh, _rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """Both for fresh images of the same distribution, whatever it is (after Naeem et al. 2020, section 3.3).

    Of a real image's N - 1 + M other images every order by distance is as likely. So k in N generated ones lie in its ball
    (density 1), and it is not covered where its k nearest are all real; coverage is the median, as it is often exactly 1.
    """
    n, k = len(real), 5
    if n <= k:
        return Undefined(f"needs >= {k + 1} real images; has {n}")
    near = np.arange(k)
    missed = np.prod((n - 1 - near) / (n - 1 + fresh.count - near))
    return {"density": 1.0, "coverage": float(1 - binom.median(n, missed) / n)}


def precision_recall_k3(extractor: str = INCEPTION) -> Metric:
    """The metric "precision_recall_k3[_<extractor>]" with keys precision and recall."""
    return Metric(
        name=_named("precision_recall_k3", extractor),
        extractor=extractor,
        better="higher",
        needs=4,
        support={"precision": FRACTION, "recall": FRACTION},
        score=_precision_recall,
        resample=_replicated_precision_recall,
        shares={"precision": "fake", "recall": "real"},
        floor=floor_of_precision_recall,
    )


def density_coverage_k5(extractor: str = INCEPTION) -> Metric:
    """The metric "density_coverage_k5[_<extractor>]" with keys density and coverage."""
    return Metric(
        name=_named("density_coverage_k5", extractor),
        extractor=extractor,
        better="higher",
        needs=6,
        support={"density": POSITIVE, "coverage": FRACTION},
        score=_density_coverage,
        resample=_replicated_density_coverage,
        shares={"coverage": "real"},
        floor=floor_of_density_coverage,
    )


def _named(protocol: str, extractor: str) -> str:
    """The protocol alone on Inception features, else with the extractor's name."""
    return protocol if extractor == INCEPTION else f"{protocol}_{extractor}"


METRICS = (precision_recall_k3(), density_coverage_k5())
