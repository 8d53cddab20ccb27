"""What a score can be: the ends of its range, and what guessing reaches; from records alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
FRACTIONS = frozenset(
    {
        *("pixel_auc", "pixel_f1", "pixel_ap", "pixel_f1_max", "defect_iou", "miou", "pro"),
        *("image_auroc", "image_ap", "false_alarms"),
        *("accuracy", "error_rate", "macro_f1", "balanced_accuracy", "exact_match"),
        *("label_accuracy", "map50", "map50_95", "precision", "recall"),
        *("change_inside", "without_visible_change"),
    }
)
"""Scores that lie in [0, 1]."""
FRACTIONS_BY_START = ("mask_iou_", "without_predicted_defect_", "precision_recall_")
FRACTIONS_BY_END = (".coverage", ".authenticity", ".precision", ".recall")
AREAS = frozenset({"pixel_auc", "image_auroc"})
"""Areas under ROC curves: guessing gives one half."""


def is_fraction(metric: str) -> bool:
    """Whether a score lies in [0, 1]; False where that is not known."""
    return (
        metric in FRACTIONS
        or metric.startswith(FRACTIONS_BY_START)
        or metric.endswith(FRACTIONS_BY_END)
    )


def clip(metric: str, low: float, high: float) -> tuple[float, float]:
    """Cut the interval of a mean to the range of its score.

    A mean of fractions is a fraction, so the part of a Student t interval outside [0, 1] cannot hold it: cutting it off
    leaves the coverage as it is.
    """
    if not is_fraction(metric) or math.isnan(low):
        return low, high
    return max(low, 0.0), min(high, 1.0)


def clip_gain(metric: str, low: float, high: float) -> tuple[float, float]:
    """Cut the interval of a difference of two means likewise, to [-1, 1]."""
    if not is_fraction(metric) or math.isnan(low):
        return low, high
    return max(low, -1.0), min(high, 1.0)


def chance(job: Record, metric: str, jobs: Mapping[str, Record]) -> float | None:
    """Give what guessing reaches on the test images of a downstream job.

    Half for areas under ROC curves; one over the number of classes for the balanced accuracy of a single-label
    classification; the share of defective test images for `image_ap`; the share of defective test pixels for `pixel_ap`,
    where the record holds it (`details.chance`).

    Args:
        job: the job's line.
        metric: the score.
        jobs: all job lines by id; the images' counts stand with the job that prepared them.

    Returns:
        a fraction; None where the record does not say enough.
    """
    if job.get("stage") != "task":
        return None
    details = job.get("details", {})
    known = details.get("chance", {}).get(metric)
    if metric in AREAS:
        known = 0.5
    elif metric == "balanced_accuracy" and not job["spec"]["arguments"].get("multi_label"):
        classes = len(details.get("accuracy", ()))
        known = 1 / classes if classes else None
    elif metric == "image_ap":
        counts = jobs.get(job["parents"].get("data", ""), {}).get("counts", {})
        defective = counts.get("test_defective", 0)
        normal = counts.get("test_normal", 0) if job["spec"].get("normals") else 0
        known = defective / (defective + normal) if defective else None
    return None if known is None else float(known)


def below_chance(
    metric: str, mean: float, done: Sequence[Record], jobs: Mapping[str, Record]
) -> str:
    """Remark that a mean lies below what guessing reaches; "" if it does not, or where that is unknown."""
    known = [value for job in done if (value := chance(job, metric, jobs)) is not None]
    if not known or len(known) < len(done) or math.isnan(mean):
        return ""
    level = math.fsum(known) / len(known)
    return f"{metric} is below chance ({level:.4f})" if mean < level else ""
