"""Signs that a generator repeats its training images: nearest neighbours, authenticity, MiFID.

All three look at the distance from a generated image to its nearest real one; they see copies, and
near copies only as far as the features do. Their real set is the *training* images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import (
    FRACTION,
    POSITIVE,
    Floats,
    Fresh,
    Metric,
    Undefined,
    as_pair,
)
from defectbench.metrics.fid import fid, floor_of_fid, replicated_fid
from defectbench.metrics.parts.bootstrap import resample_counts
from defectbench.metrics.parts.distances import distances, nearest_present, without_self

INCEPTION = "inception_tf2015_pool3"
COSINE_LIMIT = 0.1  # mean nearest cosine distance from which on nothing counts as memorised


class Neighbours(NamedTuple):
    """Nearest real image of every generated one."""

    nearest: npt.NDArray[np.int64]  # (M,) its index
    distance: Floats  # (M,) in the units of the distances given
    own: Floats  # (N,) distance of each real image to its nearest other real image


def neighbours(within_real: Floats, fake_to_real: Floats) -> Neighbours:
    """Nearest real images, from distances of any kind (Euclidean, LPIPS).

    Args:
        within_real: (N, N) distances between real images, N >= 2.
        fake_to_real: (M, N) distances from generated to real images.

    Raises:
        ValueError: shapes do not fit, or there are fewer than two real images.
    """
    real = len(within_real)
    if within_real.shape != (real, real) or fake_to_real.shape[1:] != (real,) or real < 2:
        raise ValueError(
            f"distances are {within_real.shape} and {fake_to_real.shape}; want (N, N) with N >= 2 "
            "and (M, N)"
        )
    index = fake_to_real.argmin(axis=1)
    return Neighbours(index, fake_to_real.min(axis=1), without_self(within_real).min(axis=1))


def nearest_neighbour_ratio(near: Neighbours) -> float | Undefined:
    """Median distance to the nearest real image over the real images' own median.

    Near 1 for fresh samples of the same distribution, 0 for copies.
    """
    own = float(np.median(near.own))
    if own == 0:
        return Undefined("more than half of the real images are exact duplicates")
    return float(np.median(near.distance)) / own


def authenticity(near: Neighbours) -> float:
    """Share of generated images that are authentic (Alaa et al. 2022, section 3.3), in [0, 1].

    One is authentic where it lies farther from its nearest real image than that image's own
    nearest real neighbour does. 0 for copies, large for fresh samples.
    """
    return float((near.own[near.nearest] < near.distance).mean())


def mifid(real: npt.ArrayLike, fake: npt.ArrayLike, *, limit: float = COSINE_LIMIT) -> float:
    """Memorisation-informed FID (Bai et al. 2021, equation 4): FID over a memorisation distance.

    The distance is the mean, over generated images, of the smallest cosine distance to a real
    image, replaced by 1 where it is not below `limit`. torchmetrics averages over the real images
    instead; exchanging the two sets here gives its value, as FID is symmetric.

    Args:
        real: (N, D) features of the training images.
        fake: (M, D) features.
        limit: in (0, 1].

    Raises:
        ValueError: as `fid.fid`.
    """
    first, second = as_pair(real, fake)
    value = fid(first, second)
    return _penalised(value, float(_cosine_distances(second, first).min(axis=1).mean()), limit)


def _cosine_distances(first: Floats, second: Floats) -> Floats:
    """1 - |cosine| between all rows, (N, M); rows of zeros are left out."""
    a, b = (rows[np.abs(rows).sum(axis=1) > 0] for rows in (first, second))
    if not len(a) or not len(b):
        return np.ones((1, 1))
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    return np.asarray(1 - np.abs(a @ b.T))


def _penalised(value: float, distance: float, limit: float) -> float:
    """FID divided by the memorisation distance; 0 where FID is 0 to rounding."""
    if value <= 1e-8:
        return 0.0
    return value / ((distance if distance < limit else 1.0) + 1e-14)


def _memorisation(
    real: Floats, fake: Floats, _rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """See `Metric.score`."""
    near = _neighbours_of(real, fake)
    ratio = nearest_neighbour_ratio(near)
    if isinstance(ratio, Undefined):
        return ratio
    return {"nn_ratio": ratio, "authenticity": authenticity(near)}


def _neighbours_of(real: Floats, fake: Floats) -> Neighbours:
    """Nearest real images by Euclidean distance between features."""
    found = distances(real, fake)
    return neighbours(found.within, found.between.T)


def _replicated_memorisation(
    real: Floats, fake: Floats, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """See `Metric.resample`."""
    found = distances(real, fake)
    return replicated_neighbours(found.within, found.between.T, rng, count)


def replicated_neighbours(
    within_real: Floats, fake_to_real: Floats, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """Ratio and authenticity of resamples of both sets, from distances.

    A copy of an image does not count as its neighbour.
    """
    w = resample_counts(rng, len(within_real), count)
    v = resample_counts(rng, len(fake_to_real), count)
    index, distance = nearest_present(fake_to_real, w)
    _, own = nearest_present(without_self(within_real), w)
    authentic = np.take_along_axis(own, index, axis=1) < distance
    middle = _weighted_median(distance, v), _weighted_median(own, w)
    usable = np.isfinite(middle[1]) & (middle[1] > 0)
    return {
        "nn_ratio": middle[0][usable] / middle[1][usable],
        "authenticity": (authentic * v).sum(axis=1) / len(fake_to_real),
    }


def _weighted_median(values: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Median (R,) of each row of `values` (R, N) repeated `counts` (R, N) times."""
    order = values.argsort(axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    upto = np.take_along_axis(counts, order, axis=1).cumsum(axis=1)
    total = upto[:, -1:]
    low = (upto > (total - 1) // 2).argmax(axis=1)
    high = (upto > total // 2).argmax(axis=1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, low] + ordered[rows, high]) / 2)


def _replicated_mifid(
    real: Floats, fake: Floats, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """FID and memorisation distance of separate resamples: their spreads add."""
    values = replicated_fid(real, fake, rng, count)
    cosine = _cosine_distances(fake, real)
    w = resample_counts(rng, cosine.shape[1], len(values))
    v = resample_counts(rng, cosine.shape[0], len(values))
    _, distance = nearest_present(cosine, w)
    mean = (distance * v).sum(axis=1) / v.sum(axis=1)
    pairs = zip(values, mean, strict=True)
    return {"mifid": np.array([_penalised(f, d, COSINE_LIMIT) for f, d in pairs])}


def _floor_of_mifid(
    real: Floats, fresh: Fresh, rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """The Frechet floor over the memorisation distance of each real image to the others."""
    value = floor_of_fid(real, fresh, rng)
    if isinstance(value, Undefined):
        return value
    near = without_self(_cosine_distances(real, real))
    return {"mifid": _penalised(value, float(near.min(axis=1).mean()), COSINE_LIMIT)}


def nearest_neighbours(extractor: str = INCEPTION) -> Metric:
    """The metric "memorisation[_<extractor>]" with keys nn_ratio and authenticity."""
    return Metric(
        name="memorisation" if extractor == INCEPTION else f"memorisation_{extractor}",
        extractor=extractor,
        better="higher",
        needs=2,
        against="training",
        support={"nn_ratio": POSITIVE, "authenticity": FRACTION},
        score=_memorisation,
        resample=_replicated_memorisation,
        shares={"authenticity": "fake"},
    )


METRICS = (
    nearest_neighbours(),
    Metric(
        name="mifid",
        extractor=INCEPTION,
        better="lower",
        needs=2,
        against="training",
        support={"mifid": POSITIVE},
        score=lambda real, fake, _rng: {"mifid": mifid(real, fake)},
        resample=_replicated_mifid,
        floor=_floor_of_mifid,
    ),
)
