"""Kernel Inception Distance (Binkowski et al. 2018): unbiased squared MMD with a cubic kernel.

`kid` is the full statistic over all images. The subset forms that papers print are here by name;
they average the same statistic over random subsets, and their "std" is the spread over
overlapping subsets, not the uncertainty of the score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import Array, Floats, Metric, as_pair
from defectbench.metrics.parts.bootstrap import resample_counts

INCEPTION = "inception_tf2015_pool3"
BLOCK = 2048  # rows of a kernel matrix held at once


class SubsetKid(NamedTuple):
    """Mean and standard deviation (ddof = 0) of the statistic over random subsets."""

    mean: float
    std: float


def polynomial_kernel(first: Floats, second: Floats) -> Floats:
    """k(x, y) = (x.y / D + 1)^3 between all rows; (N, D) and (M, D) give (N, M)."""
    return np.asarray((first @ second.T / first.shape[1] + 1) ** 3)


def kid(real: npt.ArrayLike, fake: npt.ArrayLike) -> float:
    """Unbiased squared MMD of all images against all images; may be slightly negative.

    Args:
        real: (N, D) features, N >= 2.
        fake: (M, D) features, M >= 2.

    Raises:
        ValueError: as `base.as_pair`, or fewer than two images in a set.
    """
    first, second = as_pair(real, fake)
    if min(len(first), len(second)) < 2:
        raise ValueError(f"{len(first)} real and {len(second)} generated images; want >= 2 of each")
    ones = np.ones((1, len(first))), np.ones((1, len(second)))
    return float(weighted_kid(first, second, *ones)[0])


def weighted_kid(real: Floats, fake: Floats, real_weights: Array, fake_weights: Array) -> Floats:
    """The unbiased statistic for many weightings of the same images at once.

    Kernel matrices are visited once, a block of rows at a time; every weighting costs one row of
    a matrix product. With weights of 0 and 1 this is the statistic of that subset. With counts of
    a bootstrap resample, pairs of two copies of one image are left out: they would add the
    kernel's diagonal, a bias of the size of the score itself at small N.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        real_weights: (R, N) non-negative weights.
        fake_weights: (R, M) non-negative weights.

    Returns:
        (R,) values; nan where a weighting leaves fewer than two distinct images.
    """
    w, v = np.asarray(real_weights, np.float64), np.asarray(fake_weights, np.float64)
    cross = _quadratic(real, fake, w, v) / (w.sum(axis=1) * v.sum(axis=1))
    return np.asarray(_within(real, w) + _within(fake, v) - 2 * cross)


def _quadratic(first: Floats, second: Floats, left: Floats, right: Floats) -> Floats:
    """sum_ij left[r, i] k(first_i, second_j) right[r, j] for every r."""
    total = np.zeros(len(left))
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        kernel = polynomial_kernel(first[rows], second)
        total += np.einsum("rj,rj->r", left[:, rows] @ kernel, right)
    return total


def _within(images: Floats, weights: Floats) -> Floats:
    """Weighted mean of the kernel over pairs of distinct images, for every weighting."""
    squares = weights**2
    own = (np.einsum("nd,nd->n", images, images) / images.shape[1] + 1) ** 3
    pairs = weights.sum(axis=1) ** 2 - squares.sum(axis=1)
    total = _quadratic(images, images, weights, weights) - squares @ own
    out = np.full(len(weights), np.nan)
    np.divide(total, pairs, out=out, where=pairs > 0)
    return out


def kid_torch_fidelity(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> SubsetKid:
    """KID as torch-fidelity prints it: 100 subsets of 1000 images, drawn as it draws them.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        subsets: number of subsets.
        subset_size: images per subset, at most N and M.
        seed: torch-fidelity's `rng_seed`; the same seed gives the same subsets as there.

    Raises:
        ValueError: as `base.as_pair`, or `subset_size` is larger than a set.
    """
    # The legacy generator is torch-fidelity's own; with it the printed digits can be compared.
    rng = np.random.RandomState(seed)
    return _subset_kid(
        real, fake, subsets, subset_size, lambda n, m: rng.choice(n, m, replace=False)
    )


def kid_stylegan(
    real: npt.ArrayLike, fake: npt.ArrayLike, rng: np.random.Generator, *, subsets: int = 100
) -> SubsetKid:
    """KID as the StyleGAN family (and DFMGAN) computes it: subsets of min(N, M, 1000) images.

    Where that equals N every subset holds the same real images, so the spread says nothing about
    them.

    Raises:
        ValueError: as `base.as_pair`.
    """
    size = min(len(np.asarray(real)), len(np.asarray(fake)), 1000)
    return _subset_kid(real, fake, subsets, size, lambda n, m: rng.choice(n, m, replace=False))


def kid_torchmetrics(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
) -> SubsetKid:
    """KID as torchmetrics computes it: the first 1000 of a fresh permutation, 100 times.

    Raises:
        ValueError: as `base.as_pair`, or `subset_size` is larger than a set.
    """
    return _subset_kid(real, fake, subsets, subset_size, lambda n, m: rng.permutation(n)[:m])


_Draw = Callable[[int, int], npt.NDArray[Any]]  # (images, size) -> `size` different indices
_Form = Callable[[Floats, Floats, np.random.Generator], SubsetKid]


def _subset_kid(
    real: npt.ArrayLike, fake: npt.ArrayLike, subsets: int, size: int, draw: _Draw
) -> SubsetKid:
    """The statistic over `subsets` pairs of random subsets."""
    first, second = as_pair(real, fake)
    if size > min(len(first), len(second)) or size < 2:
        raise ValueError(
            f"subset_size is {size} but there are {len(first)} real and {len(second)} generated "
            "images; want at least 2 and at most the smaller of the two"
        )
    w, v = np.zeros((subsets, len(first))), np.zeros((subsets, len(second)))
    for row in range(subsets):
        w[row, draw(len(first), size)] = 1
        v[row, draw(len(second), size)] = 1
    values = weighted_kid(first, second, w, v)
    return SubsetKid(float(values.mean()), float(values.std()))


def replicated_kid(real: Floats, fake: Floats, rng: np.random.Generator, count: int) -> Floats:
    """The full statistic of at most `count` bootstrap resamples of both sets.

    Resamples that hold one distinct image only have no statistic and are left out.
    """
    w, v = resample_counts(rng, len(real), count), resample_counts(rng, len(fake), count)
    values = weighted_kid(real, fake, w, v)
    return values[np.isfinite(values)]


def full(extractor: str = INCEPTION) -> Metric:
    """The full statistic: "kid" on Inception features, "kd_<extractor>" on others."""
    name = "kid" if extractor == INCEPTION else f"kd_{extractor}"
    return Metric(
        name=name,
        extractor=extractor,
        better="lower",
        needs=2,
        score=lambda real, fake, _rng: {name: kid(real, fake)},
        resample=lambda real, fake, rng, count: {name: replicated_kid(real, fake, rng, count)},
    )


def _subset(name: str, needs: int, form: _Form) -> Metric:
    """A subset form; its interval is the spread of the full statistic, which it estimates."""

    def score(real: Floats, fake: Floats, rng: np.random.Generator) -> dict[str, float]:
        value = form(real, fake, rng)
        return {name: value.mean, f"{name}_std": value.std}

    return Metric(
        name=name,
        extractor=INCEPTION,
        better="lower",
        needs=needs,
        score=score,
        resample=lambda real, fake, rng, count: {name: replicated_kid(real, fake, rng, count)},
    )


METRICS = (
    full(),
    _subset("kid_torch_fidelity", 1000, lambda r, f, _rng: kid_torch_fidelity(r, f)),
    _subset("kid_stylegan", 2, kid_stylegan),
    _subset("kid_torchmetrics", 1000, kid_torchmetrics),
)
