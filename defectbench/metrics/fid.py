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

from defectbench.metrics.base import (
    POSITIVE,
    Against,
    Floats,
    Fresh,
    Metric,
    Mix,
    Undefined,
    as_pair,
)
from defectbench.metrics.parts.bootstrap import resample_counts

INCEPTION = "inception_tf2015_pool3"
RESAMPLES = 200  # one costs a spectrum, so fewer than KID's; 50 where even that takes minutes
LARGE = 1500
SHUFFLES = 5


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


def floor_of_fid(real: Floats, fresh: Fresh, rng: np.random.Generator) -> float | Undefined:
    """Frechet distance that a perfect generator reaches on average with the score's own numbers of images.

    Fresh images are not to be had, so the distance is measured between disjoint random parts of the real images, at two
    sizes, and read off at the score's numbers from the curve a x + b x^2 in x = 1 / N + 1 / M through both and through 0,
    where there are infinitely many images. In simulations that is right within 3 % where the features have few strong
    directions, and too low by up to a half, so that no perfect generator beats it, where images are far fewer than these.
    To it comes what another mix of labels adds: the distance between the real images and the same images weighted to the
    generated ones' mix, less the same under shuffled weights.

    Args:
        real: (N, D) features, N >= 8.
        fresh: number and labels of the images that are generated, at least 4.
        rng: draws the parts.

    Returns:
        the distance, or why it cannot be told.
    """
    count = len(real)
    part = min(fresh.count, count // 2)
    if part < 4:
        return Undefined(f"needs >= 8 real and 4 generated images; has {count} and {fresh.count}")
    sizes = (count - part, part), ((count - part) // 2, part // 2)
    x = np.array([1 / n + 1 / m for n, m in sizes])
    y = np.zeros(2)
    repeats = int(np.clip(4000 // count, 2, 20))
    for _ in range(repeats):
        order = _mixed_order(count, fresh.mix, rng)
        y += [fid(real[order[:n]], real[order[n : n + m]]) / repeats for n, m in sizes]
    bend, slope = np.linalg.solve(np.column_stack([x**2, x]), y)
    own = 1 / count + 1 / fresh.count  # never above x[0]
    noise = float(np.clip(slope * own + bend * own**2, y[0] * own / x[0], y[0]))
    return noise + (0.0 if fresh.mix is None else _mismatch(real, fresh.mix.weights, rng))


def _mismatch(real: Floats, weights: Floats, rng: np.random.Generator) -> float:
    """Distance that comes from another mix of labels alone: that under the weights, less that under shuffled ones."""
    if np.ptp(weights) == 0:
        return 0.0
    shuffled = [reweighted_fid(real, rng.permutation(weights)) for _ in range(SHUFFLES)]
    return max(reweighted_fid(real, weights) - float(np.mean(shuffled)), 0.0)


def _mixed_order(count: int, mix: Mix | None, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A random order of images in which every stretch holds the labels in about the same numbers.

    Generated images have labels in numbers that were asked for, so how many of each there are is no matter of chance.
    """
    order = rng.permutation(count)
    if mix is None:
        return order
    place = np.empty(count)
    for label in np.unique(mix.labels):
        some = order[mix.labels[order] == label]
        place[some] = (np.arange(len(some)) + rng.random()) / len(some)
    return np.asarray(place.argsort(), dtype=np.int64)


def reweighted_fid(images: Floats, weights: Floats) -> float:
    """Frechet distance between images (N, D) and the same images under other weights (N,); 0 for equal weights."""
    total, means = 0.0, []
    roots = []
    for share in (np.full(len(images), 1 / len(images)), weights / weights.sum()):
        means.append(share @ images)
        roots.append(np.sqrt(share)[:, None] * (images - means[-1]))
        total += float((roots[-1] ** 2).sum())
    shift = means[0] - means[1]
    a, b = (_root(root) for root in roots)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(shift @ shift + total - 2 * shared, 0.0))


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

    def floor(real: Floats, fresh: Fresh, rng: np.random.Generator) -> dict[str, float] | Undefined:
        value = floor_of_fid(real, fresh, rng)
        return value if isinstance(value, Undefined) else {name: value}

    return Metric(
        name=name,
        extractor=extractor,
        better="lower",
        needs=2,
        against=against,
        support={name: POSITIVE},
        score=lambda real, fake, _rng: {name: fid(real, fake)},
        resample=lambda real, fake, rng, count: {name: replicated_fid(real, fake, rng, count)},
        floor=floor,
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
