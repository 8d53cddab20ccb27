"""Detection: where are the defects, as boxes?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.imaging.components import boxes as boxes_of
from defectbench.metrics.false_alarms import false_alarms
from defectbench.nn.pretrained import LITE0
from defectbench.nn.training.optimisers import OptimiserName, ScheduleName
from defectbench.tasks.base import Task
from defectbench.tasks.parts import matching
from defectbench.tasks.parts.average_precision import mean_average_precision
from defectbench.tasks.parts.detectors import MOST_DETECTIONS, Detector, OneStage, Target
from defectbench.tasks.parts.encoders import Treatment, norm_of, treatment_of
from defectbench.tasks.parts.measured import Measured, evaluating, finite

USUAL = Treatment(rate=0.3, statistics="train", channels_last=True)
"""For pretrained backbones (docs/tasks.md)."""


class Detection(Task):
    """Finds defects as boxes: YOLO11, RetinaNet or FCOS.

    The true boxes of an image are its annotated ones, each with its own class. Where it has none they are those of the
    connected components of the mask; their class is the defect of the image, the first one if it has several.

    `precision` and `recall` are at IoU 0.5 and at the confidence with the best mean F1 on the images that `calibrate`
    sees, means over the classes that occur.

    An image may have 100 detections, as COCO's, or as many as the fullest image seen so far has boxes, if that is more;
    the record says how many.
    """

    revision: ClassVar[int] = 2
    revision_with_weights: ClassVar[int] = 2

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
    most: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        steps: int,
        model: str = "yolo11n",
        backbone: str | None = None,
        width: float = 1.0,
        channels: int | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        norm: Literal["group", "batch"] | None = None,
        encoder_rate: float | None = None,
        encoder_statistics: Literal["train", "fixed"] | None = None,
        channels_last: bool | None = None,
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
            backbone: of the last two: a timm network with features at strides 4, 8, 16 and 32; None takes "resnet18", with
                `weights` "tf_efficientnet_lite0".
            width: factor on the channels of a ResNet backbone.
            channels: of the pyramid and heads of the last two; a multiple of 32; None takes 128, with `weights` 64.
            pretrained: load ImageNet weights of the backbone by timm; wants norm "batch".
            weights: first weights of the backbone by nn/pretrained.py: "imagenet", "random" or a file; the pyramid then has
                strides 8, 16 and 32 and one anchor size each. Of a YOLO: a file with its state dict.
            norm: "group" makes training and evaluation alike and is better on few images; "batch" is the papers'; None
                takes what suits `weights`.
            encoder_rate: factor on lr for the backbone, 0 freezes it; None takes 0.3 with pretrained weights, 1 without.
            encoder_statistics: of the backbone's batch normalisation in training: "train", of the batch, or "fixed"; None
                takes "train" with pretrained weights.
            channels_last: memory layout; None takes it where `weights` is given.
            min_area: pixels of the smallest component of a mask that is a box (ImbDef-GAN's code drops those under 16).
            optimizer: "adamw", "adam" or "sgd".
            lr: peak learning rate.
            momentum: of SGD.
            weight_decay: of the optimiser.
            schedule: "cosine", "one_cycle", "step" or "constant".
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
        one_stage = model in {"retinanet", "fcos"}
        self.treatment = treatment_of(
            weights if one_stage else None,
            rate=encoder_rate,
            statistics=encoder_statistics,
            channels_last=channels_last,
            usual=USUAL,
        )
        if one_stage:
            self.detector: Detector = OneStage(
                "fcos" if model == "fcos" else "retinanet",
                size=self.size,
                classes=len(self.defects),
                backbone=backbone or ("resnet18" if weights is None else LITE0),
                width=width,
                channels=channels or (128 if weights is None else 64),
                norm=norm_of(norm, weights or ("imagenet" if pretrained else None)),
                pretrained=pretrained,
                weights=weights,
            )
            self.treatment.apply(self.detector, self.detector.network.backbone.body)
        else:
            self.detector = self._yolo(model, pretrained, weights, norm or "group")
        self.register_buffer("most", torch.tensor(MOST_DETECTIONS))
        self.register_buffer("confidence", torch.tensor(math.nan, dtype=torch.float64))
        self.measured, self._images = Measured(), 0
        self._average: dict[int, float] = {}

    def _yolo(self, model: str, pretrained: bool, weights: str | None, norm: str) -> Detector:
        if pretrained or weights == "imagenet":
            raise UserError(
                f"pretrained: {model!r} has no weights that load safely; train it from scratch, or name a state dict "
                "(weights: FILE)"
            )
        from defectbench.tasks.parts.yolo import Yolo

        file = None if weights in {None, "random"} else weights
        return Yolo(model, classes=len(self.defects), norm=norm, weights=file)

    def encoder(self) -> nn.Module | None:
        """Give the backbone of a pyramid; None for a YOLO, which trains as one."""
        if isinstance(self.detector, OneStage):
            body: nn.Module = self.detector.network.backbone.body
            return body
        return None

    def describe(self) -> dict[str, Any]:
        """Add how many detections an image may have."""
        return {**super().describe(), "most_detections": int(self.most)}

    def targets(self, batch: Batch) -> list[Target]:
        """Give the true boxes of each image; none where none is annotated and the mask is empty or holds only smaller components.

        Raises:
            UserError: an image has a box but no defect name.
        """
        masks = (batch["mask"][:, 0] > 0.5).cpu().numpy()
        names = (batch["defects"] > 0).cpu().numpy()
        device = batch["image"].device
        annotated = batch.get("boxes", torch.zeros(len(masks), 0, 5)).float()
        targets = []
        for mask, named, marked in zip(masks, names, annotated, strict=True):
            rows = marked[marked[:, 4] >= 0].to(device)
            if len(rows):
                targets.append(Target(rows[:, :4].contiguous(), rows[:, 4].long()))
                continue
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
        targets = self.targets(batch)
        self._make_room(targets)
        return self.detector.loss(self.treatment.lay_out(batch["image"]), targets)

    def _make_room(self, targets: Sequence[Target]) -> None:
        """Allow as many detections as the fullest image has boxes."""
        fullest = max((len(target.boxes) for target in targets), default=0)
        if fullest > int(self.most):
            self.most.fill_(fullest)

    def measure(self, batch: Batch) -> None:
        """Keep the detections and the true boxes, in pixels.

        Raises:
            UserError: the network gives NaN, or as `targets`.
        """
        targets = self.targets(batch)
        self._make_room(targets)
        self.detector.most = int(self.most)
        with evaluating(self):
            found = self.detector.detect(self.treatment.lay_out(batch["image"]))
        detected, true = [np.empty((0, 7))], [np.empty((0, 6))]
        for number, (one, target) in enumerate(
            zip(found, targets, strict=True), start=self._images
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
        average = mean_average_precision(found, true, int(self.most))
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
