"""Mean pairwise LPIPS, the diversity score of DT-GAN's table 3, from stored distances.

Stored distances (`base.stored`) are (G, G + 1): mean distances between the members of G groups, within a group on
the diagonal, and the groups' sizes in the last column. Where memory allows every group is one image,
and this is the matrix of all pairs; else ten groups keep what the score and its interval need.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import POSITIVE, Array, Floats, Metric, unstored
from defectbench.metrics.parts.bootstrap import student_values

GROUPS = 10


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


def replicated_mean(pairs: Array, count: int) -> Floats:
    """Values whose spread is that of the mean under other images of the same number.

    They are `count` quantiles of Student's t at the delete-a-group jackknife's standard error; in a full matrix every image
    is a group. (Bootstrap intervals of few images are too short here: at 10 images they hold the true mean in 70 of 100
    cases.)

    Args:
        pairs: (G, G + 1) as `stored` gives.
        count: how many are wanted.

    Returns:
        (count,) values, or none where there are fewer than three groups.
    """
    distances, sizes = unstored(pairs)
    groups = len(sizes)
    if groups < 3:
        return np.empty(0)
    if (sizes == 1).all():
        without = distances.sum() - 2 * distances.sum(axis=1)
        return jackknife_values(
            mean_pairwise(pairs), without / ((groups - 1) * (groups - 2)), count
        )
    kept = sizes * (1 - np.eye(groups, dtype=np.int64))
    return jackknife_values(mean_pairwise(pairs), means_of_groups(distances, sizes, kept), count)


def jackknife_values(value: float, left_out: Floats, count: int) -> Floats:
    """`count` values spread as the delete-a-group jackknife says (G values with one left out)."""
    groups = len(left_out)
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum())
    return student_values(value, float(error), groups - 1, count)


def pairwise(extractor: str) -> Metric:
    """The metric "<lpips_net>_pairwise": mean distance over all pairs of generated images."""
    name = f"{extractor}_pairwise"
    return Metric(
        name=name,
        extractor=extractor,
        on="distances",
        reads=("fake",),
        better="higher",
        needs=2,
        support={name: POSITIVE},
        score=lambda _real, fake, _rng: {name: mean_pairwise(fake)},
        resample=lambda _real, fake, _rng, count: {name: replicated_mean(fake, count)},
    )


METRICS = (pairwise("lpips_alex"), pairwise("lpips_vgg"))
