"""Which detections are right? Matching at an IoU, precision and recall at a confidence, the confidence of best F1."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Rates(NamedTuple):
    """Means over the classes that occur in the truth, fractions; nan if none occurs."""

    precision: float
    recall: float


def iou(first: Array, second: Array) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4) as x0, y0, x1, y1; (N, M)."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    overlap: npt.NDArray[np.float64] = both / np.maximum(areas - both, 1e-12)
    return overlap


def right(found: Array, true: Array, at: float = 0.5) -> npt.NDArray[np.bool_]:
    """Tell which detections are right: each true box goes to the most confident one that overlaps it enough.

    As in COCO, a detection takes the best overlapping box of its image and class that is still free.

    Args:
        found: (N, 7) rows of image, class, confidence, x0, y0, x1, y1.
        true: (M, 6) rows of image, class, x0, y0, x1, y1.
        at: smallest IoU of a match.

    Returns:
        (N,) booleans.
    """
    matched = np.zeros(len(found), bool)
    for key in np.unique(found[:, :2], axis=0) if len(found) else ():
        wanted = true[(true[:, :2] == key).all(1)]
        if not len(wanted):
            continue
        rows = np.flatnonzero((found[:, :2] == key).all(1))
        rows = rows[np.argsort(-found[rows, 2], kind="stable")]
        overlap = iou(found[rows, 3:], wanted[:, 2:])
        for row, overlaps in zip(rows, overlap, strict=True):
            best = int(overlaps.argmax())
            if overlaps[best] >= at:
                matched[row] = True
                overlap[:, best] = -1  # taken
    return matched


def rates_at(found: Array, true: Array, confidence: float) -> Rates:
    """Precision and recall of the detections with at least this confidence, at IoU 0.5, mean over occurring classes.

    A class without such detections counts with precision 0, as in ultralytics' validator.

    Args:
        found: (N, 7) rows of image, class, confidence, x0, y0, x1, y1.
        true: (M, 6) rows of image, class, x0, y0, x1, y1.
        confidence: smallest confidence.
    """
    precision, recall = _curves(found, true, np.array([confidence]))
    if not len(precision):
        return Rates(math.nan, math.nan)
    return Rates(float(precision[:, 0].mean()), float(recall[:, 0].mean()))


def best_confidence(found: Array, true: Array) -> float:
    """Give the confidence at which the mean F1 over occurring classes is largest, at IoU 0.5; the largest of equals.

    Returns:
        The confidence; nan without true boxes or without detections.
    """
    if not len(found) or not len(true):
        return math.nan
    tried = np.unique(found[:, 2])[::-1]
    precision, recall = _curves(found, true, tried)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(tried[int(f1.mean(0).argmax())])


def _curves(found: Array, true: Array, confidences: Array) -> tuple[Array, Array]:
    """Precision and recall, each (occurring classes, confidences)."""
    matched = right(found, true)
    precision, recall = [], []
    for number, wanted in zip(*np.unique(true[:, 1], return_counts=True), strict=True):
        of_class = found[:, 1] == number
        order = np.argsort(-found[of_class, 2], kind="stable")
        scores, hits = found[of_class, 2][order], matched[of_class][order]
        taken = np.searchsorted(-scores, -confidences, side="right")  # score >= confidence
        so_far = np.concatenate([[0], np.cumsum(hits)])[taken]
        precision.append(so_far / np.maximum(taken, 1))
        recall.append(so_far / wanted)
    return np.array(precision), np.array(recall)
