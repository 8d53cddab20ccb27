"""Frechet distance between feature sets (Heusel et al. 2017), by its exact low-rank form.

With centred features A (N, D) and B (M, D), the covariances are A'A / (N - 1) and B'B / (M - 1), and
the trace of the root of their product is the nuclear norm of A B' / sqrt((N - 1)(M - 1)): singular
values of an N x M matrix in place of eigenvalues of a D x D one. Nothing is approximated and no
epsilon is added to a diagonal.

FID depends strongly on both numbers of images; compare it only at equal numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import POSITIVE, Against, Floats, Metric, as_pair
from defectbench.metrics.parts.bootstrap import resample_counts

INCEPTION = "inception_tf2015_pool3"
RESAMPLES = 200  # one costs a spectrum, so fewer than KID's; 50 where even that takes minutes
LARGE = 1500


def fid(real: npt.ArrayLike, fake: npt.ArrayLike) -> float:
    """Frechet distance between Gaussians fitted to two feature sets (covariances with N - 1).

    Args:
        real: (N, D) features, N >= 2.
        fake: (M, D) features, M >= 2.

    Raises:
        ValueError: as `base.as_pair`, or fewer than two images in a set.
    """
    first, second = as_pair(real, fake)
    if min(len(first), len(second)) < 2:
        raise ValueError(f"{len(first)} real and {len(second)} generated images; want >= 2 of each")
    shift = first.mean(axis=0) - second.mean(axis=0)
    a, b = (_root(rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (first, second))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(shift @ shift + (a * a).sum() + (b * b).sum() - 2 * shared, 0.0))


def _root(centred: Floats) -> Floats:
    """A matrix with the same Gram over dimensions and at most D rows (N, D) -> (min(N, D), D)."""
    rows, dimensions = centred.shape
    return centred if rows <= dimensions else np.asarray(np.linalg.qr(centred, mode="r"))


def fid_infinity(
    real: npt.ArrayLike, fake: npt.ArrayLike, rng: np.random.Generator, *, points: int = 15
) -> float:
    """FID extrapolated to infinitely many generated images (Chong & Forsyth 2020, section 4).

    A line through FID against 1 / M at `points` numbers of generated images between a tenth of
    them and all, each a random subset, read off at 1 / M = 0. The real statistics stay as they
    are, so the bias from few real images remains.

    Departs: the paper starts at 5,000 generated images, more than defect sets have. FID is a line
    in 1 / M only where M is well above D; with fewer images the line overshoots, below zero too.

    Args:
        real: (N, D) features, N >= 2.
        fake: (M, D) features, M >= 20.
        rng: draws the subsets.
        points: numbers of images tried, at least 2.

    Raises:
        ValueError: as `fid`, or too few images or points for a line.
    """
    first, second = as_pair(real, fake)
    if len(second) < 20 or points < 2:
        raise ValueError(f"{len(second)} generated images, {points} points; want >= 20 and >= 2")
    sizes = np.linspace(max(len(second) // 10, 2), len(second), points).astype(int)
    values = [fid(first, second[rng.permutation(len(second))[:size]]) for size in sizes]
    return float(np.polyfit(1 / sizes, values, 1)[1])


def replicated_fid(
    real: Floats, fake: Floats, rng: np.random.Generator, count: int = RESAMPLES
) -> Floats:
    """FID of bootstrap resamples of both sets, at most `RESAMPLES` of them.

    The product of the two feature matrices is taken once. A resample picks and weighs its rows
    and columns (copies of one image are one row, weighted by the root of their number) and
    centres them, so it costs the spectrum of a matrix of the distinct images drawn.

    Args:
        real: (N, D) features.
        fake: (M, D) features.
        rng: draws the resamples.
        count: how many are wanted.

    Returns:
        (R,) values.
    """
    dear = min(len(real), len(fake), real.shape[1]) > LARGE
    count = min(count, 50 if dear else RESAMPLES)
    centre = (real.mean(axis=0) + fake.mean(axis=0)) / 2
    a, b = real - centre, fake - centre
    w, v = resample_counts(rng, len(a), count), resample_counts(rng, len(b), count)
    shift = w @ a / len(a) - v @ b / len(b)  # (R, D)
    traces = _traces(a, w) + _traces(b, v)
    cross = a @ b.T
    shared = np.array([_shared(cross, *weights) for weights in zip(w, v, strict=True)])
    return np.asarray((shift**2).sum(axis=1) + traces - 2 * shared)


def _traces(rows: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Traces (R,) of the covariances under each row of counts."""
    mean = counts @ rows / len(rows)
    second = counts @ (rows * rows).sum(axis=1)
    return np.asarray((second - len(rows) * (mean**2).sum(axis=1)) / (len(rows) - 1))


def _shared(cross: Floats, w: npt.NDArray[np.int64], v: npt.NDArray[np.int64]) -> float:
    """Nuclear norm of the product of the weighted, centred feature matrices, from `cross` alone."""
    rows, columns = np.flatnonzero(w), np.flatnonzero(v)
    picked = cross[np.ix_(rows, columns)]
    p, q = w[rows] / w.sum(), v[columns] / v.sum()
    by_row, by_column = picked @ q, p @ picked
    picked = picked - by_row[:, None] - by_column[None, :] + p @ by_row
    picked *= np.sqrt(w[rows] / (w.sum() - 1))[:, None] * np.sqrt(v[columns] / (v.sum() - 1))
    gram = picked @ picked.T if len(rows) <= len(columns) else picked.T @ picked
    # Roots of eigenvalues are good to 1e-8 of the largest: plenty for the spread of resamples.
    return float(np.sqrt(np.linalg.eigvalsh(gram).clip(0)).sum())


def distance(extractor: str = INCEPTION, against: Against = "unseen") -> Metric:
    """The metric: "fid" on Inception features, "fd_<extractor>" on others, "..._training" against training images.

    The papers of this field take FID against the images that the generator was trained on, so copying
    them is the best that one can do (DT-GAN, section 4.2, says so of its own table).
    """
    name = "fid" if extractor == INCEPTION else f"fd_{extractor}"
    if against == "training":
        name = f"{name}_training"
    return Metric(
        name=name,
        extractor=extractor,
        better="lower",
        needs=2,
        against=against,
        support={name: POSITIVE},
        score=lambda real, fake, _rng: {name: fid(real, fake)},
        resample=lambda real, fake, rng, count: {name: replicated_fid(real, fake, rng, count)},
    )


METRICS = (
    distance(),
    distance(against="training"),
    Metric(
        name="fid_infinity",
        extractor=INCEPTION,
        better="lower",
        needs=20,
        score=lambda real, fake, rng: {"fid_infinity": fid_infinity(real, fake, rng)},
        resample=lambda _real, _fake, _rng, _count: {},
    ),
)
