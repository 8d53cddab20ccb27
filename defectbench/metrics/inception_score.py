"""Inception Score (Salimans et al. 2016): exp of the mean KL from an image's classes to all images'.

The features are logits without the last bias (`inception_tf2015_logits`, torch-fidelity's
"logits_unbiased"). On defect images the score lies between 1.3 and 2: the classes are ImageNet's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from defectbench.metrics.base import Floats, Fresh, Metric, Undefined, as_features
from defectbench.metrics.parts.bootstrap import resample_counts

LOGITS = "inception_tf2015_logits"
SPLITS = 10  # Salimans et al. 2016, and every library since


class InceptionScore(NamedTuple):
    """Mean and standard deviation (ddof = 0) of the score over splits; both at least 1."""

    mean: float
    std: float


def inception_score(
    logits: npt.ArrayLike, *, splits: int = SPLITS, shuffle_seed: int | None = 2020
) -> InceptionScore:
    """Inception Score as torch-fidelity computes it.

    Args:
        logits: (N, C) logits of generated images.
        splits: number of groups of consecutive images, each scored alone.
        shuffle_seed: torch-fidelity's `rng_seed`, which shuffles the images first with the same
            result as there; None keeps the given order.

    Raises:
        ValueError: as `base.as_features`, or fewer images than splits.
    """
    scores = _scores(as_features(logits, "logits"), splits, shuffle_seed)
    return InceptionScore(float(scores.mean()), float(scores.std()))


def _groups(images: int, splits: int, shuffle_seed: int | None) -> list[npt.NDArray[np.int64]]:
    """Indices of the images of each split."""
    if not 1 <= splits <= images:
        raise ValueError(f"{splits} splits of {images} images; want at least one image in each")
    order = np.arange(images)
    if shuffle_seed is not None:
        # The legacy generator is torch-fidelity's own; with it the printed digits can be compared.
        order = np.random.RandomState(shuffle_seed).permutation(images)
    return [order[i * images // splits : (i + 1) * images // splits] for i in range(splits)]


def _scores(logits: Floats, splits: int, shuffle_seed: int | None) -> Floats:
    """The score of each split, (splits,)."""
    log_p = log_softmax(logits, axis=1)
    p = np.exp(log_p)
    own = (p * log_p).sum(axis=1)  # minus the entropy of each image's classes
    groups = _groups(len(logits), splits, shuffle_seed)
    return np.array([_score(own[rows].mean(), p[rows].mean(axis=0)) for rows in groups])


def _score(own: Floats, marginal: Floats) -> Floats:
    """exp(mean_i sum p log p - sum q log q) of means `own` (...) and marginals (..., C)."""
    logs = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
    return np.asarray(np.exp(own - (marginal * logs).sum(axis=-1)))


def replicated_inception_score(
    logits: Floats,
    rng: np.random.Generator,
    count: int,
    *,
    splits: int = SPLITS,
    shuffle_seed: int | None = 2020,
) -> Floats:
    """Mean scores (count,) of bootstrap resamples, drawn within each split.

    A resample needs the mean class probabilities under its counts: one matrix product for all.
    """
    log_p = log_softmax(logits, axis=1)
    p = np.exp(log_p)
    own = (p * log_p).sum(axis=1)
    total = np.zeros(count)
    for rows in _groups(len(logits), splits, shuffle_seed):
        share = resample_counts(rng, len(rows), count) / len(rows)
        total += _score(share @ own[rows], share @ p[rows])
    return total / splits


def metric(logits: str = LOGITS) -> Metric:
    """The metric "is", or on another network's logits "is_<network>", with the keys of that name and "..._std".

    Args:
        logits: the extractor's part; its name ends in "_logits".
    """
    name = "is" if logits == LOGITS else f"is_{logits.removesuffix('_logits')}"

    def score(_real: Floats, fake: Floats, _rng: np.random.Generator) -> dict[str, float]:
        value = inception_score(fake)
        return {name: value.mean, f"{name}_std": value.std}

    def floor(real: Floats, fresh: Fresh, rng: np.random.Generator) -> dict[str, float] | Undefined:
        """Of real images, of as many as were generated where there are more: the score grows with the number."""
        if len(real) < 2 * SPLITS:
            return Undefined(f"needs ≥ {2 * SPLITS}; has {len(real)} real")
        kept = rng.permutation(len(real))[: fresh.count]
        return score(real, real[kept] if len(real) > fresh.count else real, rng)

    return Metric(
        name=name,
        extractor=logits,
        better="higher",
        needs=2 * SPLITS,  # with one image per split the score is 1 whatever the image
        reads=("fake",),
        support={name: (1.0, np.inf)},
        score=score,
        floor=floor,
        resample=lambda _real, fake, rng, count: {
            name: replicated_inception_score(fake, rng, count)
        },
    )


METRICS = (metric(),)
