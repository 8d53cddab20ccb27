"""Classification: which defect does the image show?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.metrics import pixel
from defectbench.metrics.false_alarms import false_alarms
from defectbench.metrics.labels import balanced_accuracy
from defectbench.nn.blocks.timm_networks import build_features
from defectbench.nn.pretrained import LITE0
from defectbench.nn.training.gradient_reversal import GradientReversal
from defectbench.nn.training.gradient_reversal import source_loss as source_loss_of
from defectbench.nn.training.optimisers import OptimiserName, ScheduleName
from defectbench.tasks.base import Task
from defectbench.tasks.parts import confusion
from defectbench.tasks.parts.batch_augment import augment as augment_batch
from defectbench.tasks.parts.batch_augment import check as check_augmentations
from defectbench.tasks.parts.encoders import Treatment, norm_of, treatment_of
from defectbench.tasks.parts.measured import Measured, evaluating, finite

NORMAL = "normal"
USUAL = Treatment(rate=0.0, statistics="fixed", channels_last=True)
"""For pretrained networks (docs/tasks.md)."""
SOURCE_WIDTH = 256  # hidden units of the source head; neither paper gives them


class Classification(Task):
    """Names the defect of an image by a timm network, optionally blind to whether the image is synthetic.

    Single-label: the classes are "normal" and the defects, and an image belongs to its first defect. Multi-label: one
    sigmoid per class, "normal" included, as in CODEBRIM's own code. The source head is a classifier of real against
    synthetic behind a gradient reversal (Defect-GAN section 3.2, DT-GAN section 4.2): it makes the features forget it.

    Departs: the source head's loss counts real and synthetic images equally whatever their ratio, and batches that hold
    only one of the two are passed over, so without synthetic data the head changes nothing.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    revision_with_weights: ClassVar[int] = 2  # fixed statistics are held from the first step
    monitor: ClassVar[str] = "accuracy"
    mode: ClassVar[Literal["max", "min"]] = "max"
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "accuracy": "higher",
        "error_rate": "lower",
        "macro_f1": "higher",
        "balanced_accuracy": "higher",
        "exact_match": "higher",
        "label_accuracy": "higher",
        "false_alarms": "lower",
    }
    tiny: ClassVar[Mapping[str, Any]] = {
        "model": "resnet10t",
        "width": 0.25,
        "augment": ["traditional", "cutmix"],
        "source_head": "ganin",
    }
    thresholds: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        steps: int,
        model: str | None = None,
        width: float = 1.0,
        pretrained: bool = False,
        weights: str | None = None,
        norm: Literal["group", "batch"] | None = None,
        encoder_rate: float | None = None,
        encoder_statistics: Literal["train", "fixed"] | None = None,
        channels_last: bool | None = None,
        dropout: float = 0.0,
        multi_label: bool = False,
        normal_class: bool = True,
        threshold: Literal["half", "validation"] = "half",  # CODEBRIM's code: 0.5
        augment: Sequence[Literal["traditional", "cutout", "cutmix", "mixup"]] = (),
        source_head: Literal["none", "ganin", "constant"] = "none",
        source_strength: float = 1.0,
        source_loss: Literal["all", "within_class"] = "all",
        class_weights: Literal["none", "balanced"] = "none",
        choose: Literal["accuracy", "balanced_accuracy", "macro_f1"] = "accuracy",
        optimizer: OptimiserName = "adamw",
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.05,
    ) -> None:
        """Build the network.

        Args:
            size: side of the square images, pixels.
            defects: names of the K defects.
            products: names of the products.
            steps: optimiser steps of the whole training.
            model: any network of timm, e.g. "resnet34", "resnet50", "densenet121"; None takes "resnet34" (Defect-GAN section
                4.2), with `weights` "tf_efficientnet_lite0".
            width: factor on the channels of a ResNet.
            pretrained: load ImageNet weights by timm; wants norm "batch".
            weights: first weights by nn/pretrained.py: "imagenet", "random" or a file; None leaves it to `pretrained`.
            norm: "group" makes training and evaluation alike and is better on few images; "batch" is the papers'; None
                takes what suits `weights`.
            encoder_rate: factor on lr for all but the head, 0 freezes it; None takes 0 with pretrained weights, 1 without.
            encoder_statistics: of the network's batch normalisation in training: "train", of the batch, or "fixed"; None
                takes "fixed" with pretrained weights.
            channels_last: memory layout; None takes it where `weights` is given.
            dropout: share of the features that a training step leaves out before the head.
            multi_label: one sigmoid per class instead of one softmax over all.
            normal_class: whether "normal" is a class beside the defects; without it a normal image is an error.
            threshold: of multi-label probabilities: 0.5, or each class's best F1 on the validation images.
            augment: "traditional", "cutout", "cutmix", "mixup", in the order of application.
            source_head: "none", or the schedule of the reversal's strength: "ganin" or "constant".
            source_strength: the largest strength of the reversal.
            source_loss: "all" compares all real images with all synthetic ones (the papers); "within_class" those of one
                class with one another, so that the source says nothing about the class (docs/tasks.md).
            class_weights: "balanced" lets every class of a batch weigh the same in the loss.
            choose: the score by which the validation images choose the checkpoint.
            optimizer: "adamw", "adam" or "sgd".
            lr: peak learning rate.
            momentum: of SGD.
            weight_decay: of the optimiser.
            schedule: "cosine", "one_cycle", "step" or "constant".
            warmup: fraction of the steps with a rising learning rate.

        Raises:
            UserError: the network cannot be built so, a name is unknown, or there is only one class.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products, steps=steps)
        self.classes = ((NORMAL,) if normal_class else ()) + self.defects
        if len(self.classes) < 2 and not multi_label:
            raise UserError(
                f"one class only ({', '.join(self.classes)}): there is nothing to tell apart; "
                "add defects or set normal_class: true"
            )
        if threshold not in {"half", "validation"}:
            raise UserError(f"threshold {threshold!r}; known: half, validation")
        if source_head not in {"none", "ganin", "constant"}:
            raise UserError(f"source_head {source_head!r}; known: none, ganin, constant")
        if source_loss not in {"all", "within_class"}:
            raise UserError(f"source_loss {source_loss!r}; known: all, within_class")
        if class_weights not in {"none", "balanced"}:
            raise UserError(f"class_weights {class_weights!r}; known: none, balanced")
        if choose not in {"accuracy", "balanced_accuracy", "macro_f1"}:
            raise UserError(f"choose {choose!r}; known: accuracy, balanced_accuracy, macro_f1")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout {dropout}: want a share in [0, 1)")
        check_augmentations(augment)
        self.monitor = choose  # type: ignore[misc]  # of this inspector, over the class's
        self.source_loss, self.class_weights = source_loss, class_weights
        self.multi_label, self.normal_class, self.threshold = multi_label, normal_class, threshold
        self.augment = tuple(augment)
        self.treatment = treatment_of(
            weights,
            rate=encoder_rate,
            statistics=encoder_statistics,
            channels_last=channels_last,
            usual=USUAL,
        )
        self.network, features = build_features(
            model or ("resnet34" if weights is None else LITE0),
            width=width,
            norm=norm_of(norm, weights or ("imagenet" if pretrained else None)),
            pretrained=pretrained,
            weights=weights,
        )
        self.treatment.apply(self.network, self.network)
        self.dropout = dropout
        self.head = nn.Linear(features, len(self.classes))
        self.reversal: GradientReversal | None = None
        self.source: nn.Module | None = None
        if source_head != "none":
            self.reversal = GradientReversal(source_head, source_strength)
            self.source = nn.Sequential(
                nn.Linear(features, SOURCE_WIDTH), nn.ReLU(), nn.Linear(SOURCE_WIDTH, 1)
            )
        self.register_buffer("thresholds", torch.full((len(self.classes),), 0.5).double())
        self.measured = Measured()
        self.per_class: dict[str, float] = {}
        """Accuracy of each class at the last `scores()`: recall, or for multi-label the share of right labels."""
        self.confusion: npt.NDArray[np.int64] = np.zeros((0, 0), np.int64)
        """Confusion counts of the last `scores()`: (C, C) true by predicted; (C, 2, 2) for multi-label."""

    def forward(self, image: Tensor) -> Tensor:
        """Give the logits (B, C) of images (B, 3, H, W) in [-1, 1]."""
        logits: Tensor = self.head(self.network(self.treatment.lay_out(image)))
        return logits

    def encoder(self) -> nn.Module | None:
        """Give all but the heads."""
        return self.network

    def targets(self, batch: Batch) -> Tensor:
        """Give what is true of the images, (B, C) in {0, 1}; one class per row unless multi-label.

        Raises:
            UserError: an image is normal but normal is no class.
        """
        present = (batch["defects"] > 0).float()  # (B, K)
        normal = (
            1 - present.amax(1, keepdim=True)
            if present.shape[1]
            else present.new_ones(len(present), 1)
        )
        if not self.normal_class and not self.multi_label and bool(normal.any()):
            raise UserError(
                f"{int(normal.sum())} of {len(normal)} images are normal, but normal is no class; "
                "leave them out or set normal_class: true"
            )
        if not self.multi_label:
            first = present.cumsum(1) <= 1
            present = present * first
        return torch.cat([normal, present], dim=1) if self.normal_class else present

    def loss(self, batch: Batch) -> Tensor:
        """Augment, classify, and let the source head's gradient come back reversed; float32 whatever the precision.

        Raises:
            UserError: an image is normal but normal is no class.
        """
        source = batch["synthetic"].float().unsqueeze(1)  # (B, 1)
        known = torch.cat([self.targets(batch), source], dim=1)
        image, known = augment_batch(batch["image"], known, self.augment, torch.default_generator)
        target, source = known[:, :-1], known[:, -1]
        features = self.network(self.treatment.lay_out(image))
        if self.dropout:
            features = F.dropout(features, self.dropout, self.training)
        logits = self.head(features).float()
        weight = balanced(target) if self.class_weights == "balanced" else None
        if self.multi_label:
            loss = F.binary_cross_entropy_with_logits(logits, target, weight)
        elif weight is None:
            loss = F.cross_entropy(logits, target)
        else:
            loss = -(weight * target * logits.log_softmax(1)).sum(1).mean()
        if self.source is None or self.reversal is None:
            return loss
        progress = min(self.clock.step / self.steps, 1.0)
        guess = self.source(self.reversal(features, progress)).float()[:, 0]  # (B,)
        groups = target if self.source_loss == "within_class" else None
        return loss + source_loss_of(guess, source, groups)

    def measure(self, batch: Batch) -> None:
        """Keep the probability of every class, float32, with what is true.

        Raises:
            UserError: the network gives NaN, or an image is normal but normal is no class.
        """
        with evaluating(self):
            logits = self(batch["image"]).float()
            probability = logits.sigmoid() if self.multi_label else logits.softmax(1)
        self.measured.add(
            probability=finite(probability, "classification").numpy(),  # (B, C)
            target=(self.targets(batch) > 0).cpu().numpy(),
        )

    def calibrate(self) -> None:
        """Choose each class's threshold if asked for; a class without validation images keeps 0.5.

        Raises:
            UserError: nothing was measured.
        """
        rows = self.measured.gather("choose thresholds")
        if self.multi_label and self.threshold == "validation":
            for number in range(len(self.classes)):
                best = pixel.best_f1_threshold(
                    rows["probability"][:, number], rows["target"][:, number]
                )
                self.thresholds[number] = 0.5 if math.isnan(best.threshold) else best.threshold
        self.measured.used()

    def scores(self) -> dict[str, float]:
        """Score what was measured; fractions. `accuracy` is the papers' number.

        For multi-label `accuracy` is the exact match, CODEBRIM's "hard precision" and the accuracy of Defect-GAN's
        Table 3; `label_accuracy` is the mean over labels, CODEBRIM's "soft precision". `macro_f1` and, of single labels,
        `balanced_accuracy` are means over the classes that occur in the truth; of several labels it is each label's own
        balanced accuracy, averaged.

        Raises:
            UserError: nothing was measured.
        """
        rows = self.measured.gather("score")
        self.measured.forget()
        probability, target = rows["probability"], rows["target"]
        if self.multi_label:
            predicted = probability >= self.thresholds.cpu().numpy()
            counts = self.confusion = confusion.count_labels(target, predicted)
            self._name_classes(confusion.accuracy_by_class(counts))
        else:
            chosen = probability.argmax(1)
            predicted = np.eye(len(self.classes), dtype=bool)[chosen]
            self.confusion = confusion.count_classes(target.argmax(1), chosen, len(self.classes))
            counts = confusion.one_against_rest(self.confusion)
            self._name_classes(confusion.recall_by_class(counts))
        occurring = counts[:, 1].sum(1) > 0
        self.reasons = {
            f"per_class.{name}": "no measured image shows it"
            for name, there in zip(self.classes, occurring, strict=True)
            if not there
        }
        exact = float((predicted == target).all(1).mean())
        recall, f1 = confusion.recall_by_class(counts), confusion.f1_by_class(counts)
        balanced = float(recall[occurring].mean()) if occurring.any() else math.nan
        if self.multi_label:
            balanced = balanced_accuracy(predicted, target)
        if not occurring.any():
            self.reasons |= dict.fromkeys(("macro_f1", "balanced_accuracy"), "no class occurs")
        elif math.isnan(balanced):
            self.reasons["balanced_accuracy"] = "no class has images with and without it"
        first = int(self.normal_class)  # column of the first defect
        alarms = false_alarms(predicted[:, first:].any(1), target[:, first:].any(1))
        if math.isnan(alarms):
            self.reasons["false_alarms"] = "no image is normal"
        return {
            "accuracy": exact,
            "error_rate": 1 - exact,
            "macro_f1": float(f1[occurring].mean()) if occurring.any() else math.nan,
            "balanced_accuracy": balanced,
            "exact_match": exact,
            "label_accuracy": float((predicted == target).mean()),
            "false_alarms": alarms,
        }

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Draw `confusion.png`; give each class's accuracy and F1."""
        confusion.draw(self.confusion, self.classes, folder / "confusion.png")
        counts = self.confusion if self.multi_label else confusion.one_against_rest(self.confusion)
        f1 = dict(zip(self.classes, confusion.f1_by_class(counts).tolist(), strict=True))
        return {"accuracy": dict(self.per_class), "f1": f1}

    def _name_classes(self, values: npt.NDArray[np.float64]) -> None:
        self.per_class = {
            name: float(value) for name, value in zip(self.classes, values, strict=True)
        }


def balanced(target: Tensor) -> Tensor:
    """Give every class of a batch the same weight, and the batch that of its size.

    Args:
        target: (B, C) in [0, 1].

    Returns:
        (B, C) factors; the sum of `factors * target` over a class is the same for each that occurs, B over all.
    """
    share = target.sum(0)  # (C,)
    there = share > 0
    factor = target.sum() / (there.sum() * share.clamp(min=1e-6))
    return (there * factor).expand_as(target)
