"""Detection: where are the defects, as boxes?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.imaging.components import boxes as boxes_of
from defectbench.metrics.false_alarms import false_alarms
from defectbench.nn.training.optimisers import OptimiserName, ScheduleName
from defectbench.tasks.base import Task
from defectbench.tasks.parts import matching
from defectbench.tasks.parts.detectors import Detector, OneStage, Target
from defectbench.tasks.parts.measured import Measured, evaluating, finite


class Detection(Task):
    """Finds defects as boxes: YOLO11, RetinaNet or FCOS.

    The true boxes are those of the connected components of the mask; their class is the defect of the image, the first one
    if it has several.

    `precision` and `recall` are at IoU 0.5 and at the confidence with the best mean F1 on the images that `calibrate`
    sees, means over the classes that occur.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"mask", "boxes"})
    monitor: ClassVar[str] = "map50"
    mode: ClassVar[Literal["max", "min"]] = "max"
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "map50": "higher",
        "map50_95": "higher",
        "precision": "higher",
        "recall": "higher",
        "false_alarms": "lower",
    }
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": "retinanet",
        "backbone": "resnet10t",
        "width": 0.25,
        "channels": 32,
        "min_area": 4,
    }
    confidence: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        steps: int,
        model: str = "yolo11n",
        backbone: str = "resnet18",
        width: float = 1.0,
        channels: int = 128,
        pretrained: bool = False,
        norm: Literal["group", "batch"] = "group",
        min_area: int = 16,
        optimizer: OptimiserName = "adamw",
        lr: float = 2e-3,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.05,
    ) -> None:
        """Build the network.

        Args:
            size: side of the square images, pixels.
            defects: names of the K defects.
            products: names of the products.
            steps: optimiser steps of the whole training.
            model: "yolo11n" to "yolo11x" (ultralytics, AGPL-3.0), "retinanet" or "fcos" (torchvision, BSD).
            backbone: of the last two: a timm network with features at strides 4, 8, 16 and 32.
            width: factor on the channels of a ResNet backbone.
            channels: of the pyramid and heads of the last two; a multiple of 32.
            pretrained: load ImageNet weights of the backbone; wants norm "batch".
            norm: "group" makes training and evaluation alike and is better on few images; "batch" is the papers'.
            min_area: pixels of the smallest component of a mask that is a box (ImbDef-GAN's code drops those under 16).
            optimizer: "adamw", "adam" or "sgd".
            lr: peak learning rate.
            momentum: of SGD.
            weight_decay: of the optimiser.
            schedule: "cosine", "step" or "constant".
            warmup: fraction of the steps with a rising learning rate.

        Raises:
            UserError: the network cannot be built so, or a package is missing.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products, steps=steps)
        if not self.defects:
            raise UserError("no defect names: there is nothing to detect")
        if min_area < 1:
            raise UserError(f"min_area {min_area}: want pixels, 1 or more")
        self.min_area = min_area
        self.detector = self._build(model, backbone, width, channels, pretrained, norm)
        self.register_buffer("confidence", torch.tensor(math.nan, dtype=torch.float64))
        self.measured, self._images = Measured(), 0
        self._average: dict[int, float] = {}

    def _build(
        self, model: str, backbone: str, width: float, channels: int, pretrained: bool, norm: str
    ) -> Detector:
        if model in {"retinanet", "fcos"}:
            return OneStage(
                "fcos" if model == "fcos" else "retinanet",
                size=self.size,
                classes=len(self.defects),
                backbone=backbone,
                width=width,
                channels=channels,
                norm=norm,
                pretrained=pretrained,
            )
        if pretrained:
            raise UserError(
                f"pretrained: {model!r} has no weights that load safely; train it from scratch (pretrained: false)"
            )
        from defectbench.tasks.parts.yolo import Yolo

        return Yolo(model, classes=len(self.defects), norm=norm)

    def targets(self, batch: Batch) -> list[Target]:
        """Give the true boxes of each image; none where the mask is empty or holds only smaller components.

        Raises:
            UserError: an image has a box but no defect name.
        """
        masks = (batch["mask"][:, 0] > 0.5).cpu().numpy()
        names = (batch["defects"] > 0).cpu().numpy()
        device = batch["image"].device
        targets = []
        for mask, named in zip(masks, names, strict=True):
            found = boxes_of(mask, self.min_area)
            if found and not named.any():
                raise UserError(
                    "an image has a mask but no defect, so its boxes have no class; give it a label or no mask"
                )
            boxes = np.array([box[:4] for box in found], np.float32).reshape(-1, 4)
            classes = np.full(len(found), named.argmax(), np.int64)
            targets.append(
                Target(torch.from_numpy(boxes).to(device), torch.from_numpy(classes).to(device))
            )
        return targets

    def loss(self, batch: Batch) -> Tensor:
        """Give the detector's own loss, float32.

        Raises:
            UserError: as `targets`.
        """
        return self.detector.loss(batch["image"], self.targets(batch))

    def measure(self, batch: Batch) -> None:
        """Keep the detections and the true boxes, in pixels.

        Raises:
            UserError: the network gives NaN, or as `targets`.
        """
        with evaluating(self):
            found = self.detector.detect(batch["image"])
        detected, true = [np.empty((0, 7))], [np.empty((0, 6))]
        for number, (one, target) in enumerate(
            zip(found, self.targets(batch), strict=True), start=self._images
        ):
            columns = [one.classes[:, None], one.confidences[:, None], one.boxes]
            rows = finite(torch.cat([c.float() for c in columns], dim=1), "detection").double()
            detected.append(np.insert(rows.numpy(), 0, number, axis=1))
            columns = [target.classes[:, None].float(), target.boxes]
            rows = torch.cat(columns, dim=1).double().cpu()
            true.append(np.insert(rows.numpy(), 0, number, axis=1))
        images = np.arange(self._images, self._images + len(found))
        self._images += len(found)
        self.measured.add(found=np.concatenate(detected), true=np.concatenate(true), images=images)

    def calibrate(self) -> None:
        """Choose the confidence with the best mean F1 on what was measured; 1 if nothing at all is detected.

        Raises:
            UserError: nothing was measured, or no true box is among it.
        """
        rows = self.measured.gather("choose a confidence")
        if not len(rows["true"]):
            raise UserError(
                f"no box of {self.min_area} pixels or more in the validation images, so no confidence can be chosen; "
                "validate on images with a mask, or lower min_area"
            )
        best = matching.best_confidence(rows["found"], rows["true"])
        self.confidence.fill_(1.0 if math.isnan(best) else best)
        self.measured.used()

    def scores(self) -> dict[str, float]:
        """Score what was measured; a score that is undefined is NaN and explained in `reasons`.

        Raises:
            UserError: nothing was measured, or faster-coco-eval is not installed.
        """
        rows = self.measured.gather("score")
        self.measured.forget()
        found, true, nan = rows["found"], rows["true"], math.nan
        self.reasons, self._average = {}, {}
        if not len(true):
            self.reasons = dict.fromkeys(self.better, "no true box in the measured images")
            return dict.fromkeys(self.better, nan)
        rates, alarms = matching.Rates(nan, nan), nan
        if math.isnan(float(self.confidence)):
            self.reasons = dict.fromkeys(
                ("precision", "recall", "false_alarms"),
                "no confidence was chosen on validation images",
            )
        else:
            rates = matching.rates_at(found, true, float(self.confidence))
            called = found[found[:, 2] >= float(self.confidence), 0]
            images = rows["images"]
            alarms = false_alarms(np.isin(images, called), np.isin(images, true[:, 0]))
            if math.isnan(alarms):
                self.reasons["false_alarms"] = "every image has a box"
        average = mean_average_precision(found, true)
        self._average = average.by_class
        return {
            "map50": average.map50,
            "map50_95": average.map50_95,
            "precision": rates.precision,
            "recall": rates.recall,
            "false_alarms": alarms,
        }

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Give each defect's average precision over IoU 0.5 to 0.95; NaN for one without a true box."""
        del folder
        return {
            "map50_95": {
                name: self._average.get(number, math.nan)
                for number, name in enumerate(self.defects)
            }
        }


class AveragePrecision(NamedTuple):
    """COCO's mean average precision, fractions."""

    map50: float
    map50_95: float
    by_class: dict[int, float]  # map50_95 of each class that occurs in the truth


def mean_average_precision(
    found: npt.NDArray[np.float64], true: npt.NDArray[np.float64]
) -> AveragePrecision:
    """COCO's mean average precision at IoU 0.5 and over 0.5 to 0.95, by torchmetrics and faster-coco-eval.

    Args:
        found: (N, 7) rows of image, class, confidence, x0, y0, x1, y1.
        true: (M, 6) rows of image, class, x0, y0, x1, y1; M is 1 or more.

    Raises:
        UserError: faster-coco-eval is not installed.
    """
    from torchmetrics.detection import MeanAveragePrecision

    try:
        metric = MeanAveragePrecision(backend="faster_coco_eval", class_metrics=True)
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
