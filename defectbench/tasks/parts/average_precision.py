"""COCO's mean average precision of detections, as arrays of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from defectbench.config import UserError


class AveragePrecision(NamedTuple):
    """COCO's mean average precision, fractions."""

    map50: float
    map50_95: float
    by_class: dict[int, float]  # map50_95 of each class that occurs in the truth


def mean_average_precision(
    found: npt.NDArray[np.float64], true: npt.NDArray[np.float64], most: int = 100
) -> AveragePrecision:
    """COCO's mean average precision at IoU 0.5 and over 0.5 to 0.95, by torchmetrics and faster-coco-eval.

    The thresholds are given in float64: torchmetrics' own are float32, and 0.6000000238 loses a box of IoU 0.6.

    Args:
        found: (N, 7) rows of image, class, confidence, x0, y0, x1, y1.
        true: (M, 6) rows of image, class, x0, y0, x1, y1; M is 1 or more.
        most: detections of a class and image that count, most confident first; COCO's 100, or more where images hold more.

    Raises:
        UserError: faster-coco-eval is not installed.
    """
    from torchmetrics.detection import MeanAveragePrecision

    try:
        metric = MeanAveragePrecision(
            backend="faster_coco_eval",
            class_metrics=True,
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
            max_detection_thresholds=[1, 10, most],
        )
    except ModuleNotFoundError:
        raise UserError(
            "detection scores need faster-coco-eval: pip install faster-coco-eval"
        ) from None
    metric.warn_on_many_detections = False
    for number in np.unique(np.concatenate([found[:, 0], true[:, 0]])):
        here, wanted = found[found[:, 0] == number], true[true[:, 0] == number]
        metric.update(
            [
                {
                    "boxes": torch.from_numpy(here[:, 3:]).float(),
                    "scores": torch.from_numpy(here[:, 2]).float(),
                    "labels": torch.from_numpy(here[:, 1]).long(),
                }
            ],
            [
                {
                    "boxes": torch.from_numpy(wanted[:, 2:]).float(),
                    "labels": torch.from_numpy(wanted[:, 1]).long(),
                }
            ],
        )
    values = metric.compute()
    classes, each = values["classes"].reshape(-1), values["map_per_class"].reshape(-1)
    occurring = set(true[:, 1].astype(int).tolist())
    by_class = {
        int(number): float(value)
        for number, value in zip(classes, each, strict=True)
        if int(number) in occurring
    }
    return AveragePrecision(float(values["map_50"]), float(values["map"]), by_class)
