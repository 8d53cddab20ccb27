"""Scores of anomaly maps and of image scores against ground truth: AUC, AP, F1, IoU, PRO.

Everything here is exact: scores are sorted, never binned, and pixels with equal scores share one
threshold. Only the defect pixels' scores and a sorted copy of the others' are kept, so ten million
pixels cost one sort and about the memory of the scores themselves.

Conventions: `scores` is any real array, higher = more defective; `targets` has the same shape and
holds only 0 and 1 (or booleans), 1 = defect; a pixel is predicted defective where
`score >= threshold`. Where a score is undefined (one class only, nothing to find) it is `nan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class BestF1(NamedTuple):
    """The threshold at which F1 is largest, and that F1 (fraction)."""

    threshold: float
    f1: float


class Counts(NamedTuple):
    """Pixels by prediction and truth at one threshold."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def _split(scores: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[Array, Array]:
    """Sorted scores of defect pixels and of the others, after checking both arrays."""
    score, target = np.asarray(scores), np.asarray(targets)
    if score.shape != target.shape:
        raise ValueError(f"scores are {score.shape} but targets are {target.shape}; want the same")
    score, defect = score.ravel(), _as_bool(target.ravel())
    if score.dtype.kind not in "fiub":
        raise ValueError(f"scores have dtype {score.dtype}; want real numbers")
    if score.dtype in (np.float16, np.bool_):
        score = score.astype(np.float32)  # exact, and numpy sorts it faster
    if score.dtype.kind == "f" and np.isnan(score).any():
        raise ValueError(f"{int(np.isnan(score).sum())} of {score.size} scores are NaN")
    positive, negative = score[defect], score[~defect]
    positive.sort()
    negative.sort()
    return positive, negative


def _as_bool(target: Array) -> npt.NDArray[np.bool_]:
    """`target` as booleans, refused where it holds anything but 0 and 1."""
    if target.dtype == np.bool_:
        return target
    defect = target == 1
    if not (defect | (target == 0)).all():
        raise ValueError(
            "targets hold other values than 0 and 1; binarise masks first (mask > 0 for {0, 255})"
        )
    return np.asarray(defect)


def _at_or_above(ordered: Array, thresholds: Array) -> npt.NDArray[np.int64]:
    """How many of the ascending `ordered` values are >= each threshold."""
    return len(ordered) - np.searchsorted(ordered, thresholds, side="left").astype(np.int64)


def pixel_auc(scores: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Area under the ROC curve over all pixels pooled, in [0, 1]; ties count one half.

    Args:
        scores: any shape, higher = more defective.
        targets: the same shape, 1 = defect.

    Returns:
        The probability that a defect pixel outranks another one; nan if a class is absent.

    Raises:
        ValueError: shapes differ, targets hold other values than 0 and 1, or a score is NaN.
    """
    positive, negative = _split(scores, targets)
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negative, positive, side="right").sum(dtype=np.int64)
    return float((int(below) + int(not_above)) / (2 * len(positive) * len(negative)))


def average_precision(scores: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Average precision in [0, 1]: precision at each threshold weighted by the recall it adds.

    The step-wise sum, without interpolation, over distinct thresholds; nan if a class is absent (without the other
    pixels every ranking would be perfect).

    Raises:
        ValueError: as `pixel_auc`.
    """
    positive, negative = _split(scores, targets)
    if not len(positive) or not len(negative):
        return float("nan")
    thresholds, found = np.unique(positive, return_counts=True)
    true = _at_or_above(positive, thresholds)
    precision = true / (true + _at_or_above(negative, thresholds))
    return float((precision * found).sum() / len(positive))


def counts_at(scores: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> Counts:
    """Confusion counts (pixels) of `scores >= threshold`.

    Raises:
        ValueError: shapes differ, targets hold other values than 0 and 1, or a score is NaN.
    """
    score, target = np.asarray(scores), np.asarray(targets)
    if score.shape != target.shape:
        raise ValueError(f"scores are {score.shape} but targets are {target.shape}; want the same")
    if score.dtype.kind == "f" and np.isnan(score).any():
        raise ValueError(f"{int(np.isnan(score).sum())} of {score.size} scores are NaN")
    defect, predicted = _as_bool(target), score >= threshold
    hits = int(np.count_nonzero(predicted & defect))
    chosen, wanted = int(np.count_nonzero(predicted)), int(np.count_nonzero(defect))
    return Counts(hits, chosen - hits, wanted - hits, score.size - chosen - wanted + hits)


def f1_at(scores: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> float:
    """F1 of the defect class in [0, 1] at one threshold; nan where nothing is true or predicted.

    Raises:
        ValueError: as `counts_at`.
    """
    c = counts_at(scores, targets, threshold)
    whole = 2 * c.true_positive + c.false_positive + c.false_negative
    return 2 * c.true_positive / whole if whole else float("nan")


def best_f1_threshold(scores: npt.ArrayLike, targets: npt.ArrayLike) -> BestF1:
    """The threshold with the largest F1; choose it on validation data, never on the test split.

    Only scores of defect pixels can be optimal, so only those are tried; of equally good
    thresholds the largest is taken.

    Returns:
        `BestF1(threshold, f1)`; both nan without defect pixels.

    Raises:
        ValueError: as `pixel_auc`.
    """
    positive, negative = _split(scores, targets)
    if not len(positive):
        return BestF1(float("nan"), float("nan"))
    thresholds = np.unique(positive)[::-1]
    true = _at_or_above(positive, thresholds)
    f1 = 2 * true / (true + _at_or_above(negative, thresholds) + len(positive))
    best = int(np.argmax(f1))
    return BestF1(float(thresholds[best]), float(f1[best]))


THRESHOLDS: Final = tuple(float(value) for value in np.linspace(0.01, 0.99, 99))
"""Candidates of `best_image_f1_threshold`, of probabilities."""


def best_image_f1_threshold(
    scores: Array, masks: Array, thresholds: Sequence[float] = THRESHOLDS
) -> BestF1:
    """Find the threshold with the best F1 averaged over images, in which a small defect weighs as much as a large one.

    An image without a defective pixel counts 1 if no pixel reaches the threshold, else 0. Pooled over pixels instead, a
    few images with large masks decide (docs/tasks.md).

    Args:
        scores: (N, H, W) in [0, 1], larger = more defective.
        masks: (N, H, W), 1 = defect.
        thresholds: candidates.

    Returns:
        the best mean F1 and the largest threshold that reaches it; NaN without a defective pixel.

    Raises:
        ValueError: shapes differ or there is no image.
    """
    maps, truth = np.asarray(scores), np.asarray(masks) > 0
    if maps.shape != truth.shape or not len(maps):
        raise ValueError(f"scores {maps.shape} and masks {truth.shape}: expected the same, N > 0")
    if not truth.any():
        return BestF1(math.nan, math.nan)
    defective = truth.sum(axis=(1, 2))
    best = BestF1(math.nan, -1.0)
    for threshold in thresholds:
        called = maps >= threshold
        both = (called & truth).sum(axis=(1, 2))
        total = called.sum(axis=(1, 2)) + defective
        mean = float(np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0).mean())
        if mean >= best.f1:
            best = BestF1(threshold, mean)
    return best


def f1_max(
    scores: npt.ArrayLike, targets: npt.ArrayLike, thresholds: npt.ArrayLike | None = None
) -> float:
    """The largest F1 over thresholds, in [0, 1]; nan without defect pixels.

    Args:
        scores: any shape.
        targets: the same shape, 1 = defect.
        thresholds: the ones to try; None tries every distinct score. AnomalyDiffusion's
            evaluation tries 21 of them, `np.linspace(0, 1, 21)`.

    Raises:
        ValueError: as `pixel_auc`.
    """
    if thresholds is None:
        return best_f1_threshold(scores, targets).f1
    positive, negative = _split(scores, targets)
    if not len(positive):
        return float("nan")
    tried = np.atleast_1d(np.asarray(thresholds))
    true = _at_or_above(positive, tried)
    f1 = 2 * true / (true + _at_or_above(negative, tried) + len(positive))
    return float(f1.max())


def iou_at(scores: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> float:
    """Intersection over union of the defect class in [0, 1]; nan where nothing is true or found.

    Raises:
        ValueError: as `counts_at`.
    """
    c = counts_at(scores, targets, threshold)
    union = c.true_positive + c.false_positive + c.false_negative
    return c.true_positive / union if union else float("nan")


def mean_iou_at(scores: npt.ArrayLike, targets: npt.ArrayLike, threshold: float) -> float:
    """Mean of the defect's and the background's IoU, in [0, 1]; an absent class is left out.

    Raises:
        ValueError: as `counts_at`.
    """
    c = counts_at(scores, targets, threshold)
    wrong = c.false_positive + c.false_negative
    parts = [hit / (hit + wrong) for hit in (c.true_positive, c.true_negative) if hit + wrong]
    return sum(parts) / len(parts) if parts else float("nan")


def image_scores(maps: npt.ArrayLike, window: int = 21) -> Floats:
    """One score per anomaly map: the maximum of its box mean over `window` x `window` pixels.

    Outside the map counts as zero, as in the DRAEM and AnomalyDiffusion evaluations.

    Args:
        maps: (N, H, W) non-negative anomaly maps.
        window: odd side of the box in pixels; 1 takes the plain maximum.

    Returns:
        (N,) scores.

    Raises:
        ValueError: `maps` is not (N, H, W), or `window` is even or not positive.
    """
    stack = np.asarray(maps, dtype=np.float64)
    if stack.ndim != 3:
        raise ValueError(f"maps are {stack.shape}; want (N, H, W)")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window is {window}; want an odd number of pixels")
    smooth = ndimage.uniform_filter(stack, size=(1, window, window), mode="constant")
    return np.asarray(smooth.max(axis=(1, 2)), dtype=np.float64)


def image_auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Area under the ROC curve of image scores (N,) against labels (N,), 1 = defective.

    Raises:
        ValueError: as `pixel_auc`.
    """
    return pixel_auc(scores, labels)


def image_average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Average precision of image scores (N,) against labels (N,), 1 = defective; NaN without a normal image.

    Without normal images every ranking would reach 1.

    Raises:
        ValueError: as `pixel_auc`.
    """
    if np.all(np.asarray(labels)):
        return float("nan")
    return average_precision(scores, labels)


def pro(
    scores: Array | Sequence[Array], masks: Array | Sequence[Array], fpr_limit: float = 0.3
) -> float:
    """Per-region overlap integrated over false-positive rates up to a limit, in [0, 1].

    Regions are 8-connected components; every region weighs the same, whatever its size. The
    overlap curve is integrated by trapezoids between distinct thresholds and divided by the limit
    (Bergmann et al. 2021, "The MVTec Anomaly Detection Dataset", IJCV, section 5).

    Args:
        scores: (N, H, W), or N maps (H, W) of any sizes.
        masks: the same shapes, 1 = defect; images without defects contribute false positives.
        fpr_limit: upper end of the integral, fraction of defect-free pixels, in (0, 1].

    Returns:
        The normalised integral; nan without regions or without defect-free pixels.

    Raises:
        ValueError: numbers or shapes differ, a score is NaN, or the limit is out of range.
    """
    if not 0 < fpr_limit <= 1:
        raise ValueError(f"fpr_limit is {fpr_limit}; want a fraction in (0, 1]")
    if len(scores) != len(masks):
        raise ValueError(f"{len(scores)} score maps but {len(masks)} masks; want one mask per map")
    inside: list[Array] = []
    weights: list[Floats] = []
    outside: list[Array] = []
    for index, (score, mask) in enumerate(zip(scores, masks, strict=True)):
        if score.shape != mask.shape or score.ndim != 2:
            raise ValueError(
                f"map {index} is {score.shape}, its mask {mask.shape}; want both (H, W)"
            )
        if np.isnan(score).any():
            raise ValueError(f"map {index} holds {int(np.isnan(score).sum())} NaN")
        defect = _as_bool(mask)
        outside.append(score[~defect])
        if defect.any():
            region, _ = ndimage.label(defect, structure=np.ones((3, 3), dtype=int))
            names = region[defect]
            inside.append(score[defect])
            weights.append(1 / np.bincount(names)[names])
    negative = np.sort(np.concatenate(outside)) if outside else np.empty(0)
    if not inside or not len(negative):
        return float("nan")
    positive = np.concatenate(inside)
    order = np.argsort(positive, kind="stable")
    rising = np.concatenate(weights)[order]
    return _area(positive[order], rising / rising.sum(), negative, fpr_limit)


def _area(positive: Array, weight: Floats, negative: Array, limit: float) -> float:
    """Area under (false-positive rate, weighted recall) up to `limit`, divided by `limit`.

    Both score arrays ascend. Between two defect scores only false positives are added (a flat
    piece); at a defect score both may be added at once (a slanted piece).
    """
    thresholds, first = np.unique(positive, return_index=True)
    recall = np.append(np.cumsum(weight[::-1])[::-1][first], 0.0)  # recall[k + 1] is just above k
    above = (len(negative) - np.searchsorted(negative, thresholds, side="right")) / len(negative)
    at = _at_or_above(negative, thresholds) / len(negative)
    fpr = np.column_stack([at, above]).ravel()[::-1]
    tpr = np.column_stack([recall[:-1], recall[1:]]).ravel()[::-1]
    fpr, tpr = np.append(fpr, 1.0), np.append(tpr, tpr[-1])
    inside = fpr <= limit
    # Where a vertical piece stands exactly at the limit, np.interp takes its top, as it should.
    x = np.append(fpr[inside], limit)
    y = np.append(tpr[inside], np.interp(limit, fpr, tpr))
    return float(np.trapezoid(y, x) / limit)
