"""Segmentation: which pixels are defective?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.metrics import pixel
from defectbench.metrics.false_alarms import false_alarms_at
from defectbench.nn.training.optimisers import OptimiserName, ScheduleName
from defectbench.tasks.base import Task
from defectbench.tasks.parts.encoders import Treatment, norm_of, treatment_of
from defectbench.tasks.parts.measured import Measured, evaluating, finite
from defectbench.tasks.parts.own_size import own_pixel_scores
from defectbench.tasks.parts.segmenters import build_segmenter

USUAL = Treatment(rate=0.3, statistics="train", channels_last=True)
"""For pretrained encoders (docs/tasks.md)."""
IMAGE_WINDOW = 21  # pixels at 256: AnomalyDiffusion's and DRAEM's image score


class Segmentation(Task):
    """Marks defective pixels: a U-Net, a ResNet pyramid, or any network of segmentation-models-pytorch.

    All pixels of an evaluation are pooled, as in DCDGANc and MVTec AD. The threshold of `pixel_f1`, `defect_iou` and
    `miou` is the one with the best F1 on the images that `calibrate` sees; all other scores need none.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"mask"})
    revision_with_weights: ClassVar[int] = 2  # fixed statistics are held from the first step
    monitor: ClassVar[str] = "pixel_ap"
    mode: ClassVar[Literal["max", "min"]] = "max"
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "pixel_auc": "higher",
        "pixel_f1": "higher",
        "pixel_ap": "higher",
        "pixel_f1_max": "higher",
        "defect_iou": "higher",
        "miou": "higher",
        "image_auroc": "higher",
        "image_ap": "higher",
        "pro": "higher",
        "false_alarms": "lower",
    }
    better_own: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "pixel_ap_own": "higher",
        "pixel_f1_own": "higher",
    }
    tiny: ClassVar[Mapping[str, Any]] = {
        "encoder": "tu-resnet10t",
        "encoder_depth": 3,
        "encoder_width": 0.25,
        "decoder_channels": [16, 8, 8],
    }
    threshold: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        steps: int,
        architecture: str = "unet",  # DCDGANc's "U-Net"; "res" is its "Res"
        encoder: str | None = None,
        encoder_depth: int = 5,
        encoder_width: float = 1.0,
        encoder_weights: str | None = None,
        weights: str | None = None,
        decoder_channels: Sequence[int] | None = None,
        norm: Literal["group", "batch"] | None = None,
        encoder_rate: float | None = None,
        encoder_statistics: Literal["train", "fixed"] | None = None,
        channels_last: bool | None = None,
        loss: Literal["bce_dice", "focal"] = "bce_dice",
        choose_threshold: Literal["pixels", "images"] = "pixels",
        optimizer: OptimiserName = "adamw",
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.05,
    ) -> None:
        """Build the network.

        Args:
            size: side of the square images, pixels; a multiple of 2 ** encoder_depth (but for "unet").
            defects: names of the K defects.
            products: names of the products.
            steps: optimiser steps of the whole training.
            architecture: "unet", "res" or "fpn" (a feature pyramid) or any name of segmentation-models-pytorch.
            encoder: a name of segmentation-models-pytorch, or "tu-" and a timm name; None takes "resnet18", with `weights`
                "tf_efficientnet_lite0".
            encoder_depth: how often the encoder halves the image.
            encoder_width: factor on the channels of a timm ResNet ("tu-resnet..." only).
            encoder_weights: None (drawn at random) or "imagenet", by segmentation-models-pytorch.
            weights: first weights of the encoder by nn/pretrained.py: "imagenet", "random" or a file; the encoder then is a
                network of timm. None leaves it to `encoder_weights`.
            decoder_channels: of a U-Net, one per level from deep to shallow; of "res", those of the pyramid and of the
                segmentation branch (a multiple of 32); None takes the library's.
            norm: "group" makes training and evaluation alike and is better on few images (docs/tasks.md);
                "batch" is what pretrained encoders need; None takes what suits `weights`.
            encoder_rate: factor on lr for the encoder, 0 freezes it; None takes 0.3 with pretrained weights, 1 without.
            encoder_statistics: of the encoder's batch normalisation in training: "train", of the batch, or "fixed"; None
                takes "train" with pretrained weights.
            channels_last: memory layout; None takes it where `weights` is given.
            loss: "bce_dice" (binary cross-entropy plus soft Dice) or "focal" (gamma 2; DRAEM, AnomalyDiffusion).
            choose_threshold: by the validation images' F1 over all their pixels together, or averaged over images, where a
                few large masks do not decide alone.
            optimizer: "adamw", "adam" or "sgd".
            lr: peak learning rate.
            momentum: of SGD.
            weight_decay: of the optimiser.
            schedule: "cosine", "one_cycle", "step" or "constant".
            warmup: fraction of the steps with a rising learning rate.

        Raises:
            UserError: the network cannot be built from these names and sizes.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products, steps=steps)
        self.treatment = treatment_of(
            weights,
            rate=encoder_rate,
            statistics=encoder_statistics,
            channels_last=channels_last,
            usual=USUAL,
        )
        self.network = build_segmenter(
            architecture,
            size=size,
            encoder=encoder,
            encoder_depth=encoder_depth,
            encoder_width=encoder_width,
            encoder_weights=encoder_weights,
            weights=weights,
            decoder_channels=decoder_channels,
            norm=norm_of(norm, weights or encoder_weights),
        )
        self.treatment.apply(self.network, self.encoder())
        if loss not in {"bce_dice", "focal"}:
            raise UserError(f"loss {loss!r}; known: bce_dice, focal")
        self.kind = loss
        self.choose_threshold = choose_threshold
        self.dice = smp.losses.DiceLoss(mode="binary", from_logits=True)
        self.focal = smp.losses.FocalLoss(mode="binary", gamma=2.0)
        self.register_buffer("threshold", torch.tensor(math.nan, dtype=torch.float64))
        self.measured = Measured()
        self._scored: dict[str, npt.NDArray[Any]] = {}

    def forward(self, image: Tensor) -> Tensor:
        """Give the logits (B, 1, H, W) of images (B, 3, H, W) in [-1, 1]."""
        logits: Tensor = self.network(self.treatment.lay_out(image))
        return logits

    def encoder(self) -> nn.Module | None:
        """Give the encoder of the network."""
        found: nn.Module | None = getattr(getattr(self.network, "1", None), "encoder", None)
        return found

    def loss(self, batch: Batch) -> Tensor:
        """Compare logits and masks, in float32 whatever the network's precision."""
        logits, mask = self(batch["image"]).float(), batch["mask"].float()
        if self.kind == "focal":
            focal: Tensor = self.focal(logits, mask)
            return focal
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, mask)
        dice: Tensor = self.dice(logits, mask)  # over the whole batch; 0 if it has no defect
        return cross_entropy + dice

    def measure(self, batch: Batch) -> None:
        """Keep the defect probability of every pixel, float32, with its mask.

        Raises:
            UserError: the network gives NaN.
        """
        with evaluating(self):
            probability = finite(self(batch["image"]).float().sigmoid(), "segmentation")
        self.measured.add(
            probability=probability[:, 0].numpy(),  # (B, H, W)
            mask=(batch["mask"][:, 0] > 0.5).cpu().numpy(),
            defects=(batch["defects"] > 0).cpu().numpy(),  # (B, K)
        )

    def calibrate(self) -> None:
        """Choose the threshold with the best F1 on what was measured, over pixels or averaged over images.

        Raises:
            UserError: nothing was measured, or no defective pixel is among it.
        """
        rows = self.measured.gather("choose a threshold")
        ways: dict[str, Callable[..., pixel.BestF1]] = {
            "pixels": pixel.best_f1_threshold,
            "images": pixel.best_image_f1_threshold,
        }
        best = ways[self.choose_threshold](rows["probability"], rows["mask"])
        if math.isnan(best.threshold):
            raise UserError(
                f"no defective pixel in {len(rows['mask'])} validation images, so no threshold can be chosen; "
                "validate on images with a mask"
            )
        self.threshold.fill_(best.threshold)
        self.measured.used()

    def scores(self) -> dict[str, float]:
        """Score what was measured; a score that is undefined is NaN and explained in `reasons`.

        Raises:
            UserError: nothing was measured.
        """
        rows = self.measured.gather("score")
        self.measured.forget()
        self._scored = rows
        maps, masks = rows["probability"], rows["mask"]
        defective = np.asarray(rows["defects"].any(axis=1))
        window = round(IMAGE_WINDOW * self.size / 256) // 2 * 2 + 1
        image = pixel.image_scores(maps, window)
        scores = {
            "pixel_auc": pixel.pixel_auc(maps, masks),
            "pixel_f1": self._at_threshold(pixel.f1_at, maps, masks),
            "pixel_ap": pixel.average_precision(maps, masks),
            "pixel_f1_max": pixel.f1_max(maps, masks),
            "defect_iou": self._at_threshold(pixel.iou_at, maps, masks),
            "miou": self._at_threshold(pixel.mean_iou_at, maps, masks),
            "image_auroc": pixel.image_auroc(image, defective),
            "image_ap": pixel.image_average_precision(image, defective),
            "pro": pixel.pro(maps, masks),
            "false_alarms": self._at_threshold(false_alarms_at, maps, defective),
        }
        self.reasons = {
            name: self._reason(name, bool(masks.any()), defective)
            for name, value in scores.items()
            if math.isnan(value)
        }
        return scores

    def own_scores(self, masks: Sequence[npt.NDArray[np.uint8]]) -> dict[str, float]:
        """Score the last images at their masks' own size, at the threshold of the prepared size."""
        scores = own_pixel_scores(self._scored["probability"], masks, float(self.threshold))
        any_pixel = any(bool(mask.any()) for mask in masks)
        defective = np.asarray(self._scored["defects"].any(axis=1))
        self.reasons |= {
            name: self._reason(name.removesuffix("_own"), any_pixel, defective)
            for name, value in scores.items()
            if math.isnan(value)
        }
        return scores

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Give the pixel scores of each defect: over the images that show it, at the same threshold.

        `chance` holds what guessing reaches over all images: of `pixel_ap` the share of defective pixels.
        """
        del folder
        parts = {
            name: (self._scored["probability"][shown], self._scored["mask"][shown])
            for name, shown in zip(self.defects, self._scored["defects"].T, strict=True)
        }
        ways = {"pixel_f1": pixel.f1_at, "defect_iou": pixel.iou_at}
        found = {
            score: {name: self._at_threshold(way, *part) for name, part in parts.items()}
            for score, way in ways.items()
        }
        found["pixel_ap"] = {name: pixel.average_precision(*part) for name, part in parts.items()}
        found["chance"] = {"pixel_ap": float(self._scored["mask"].mean())}
        return found

    def _at_threshold(
        self, score: Callable[..., float], maps: npt.NDArray[Any], masks: npt.NDArray[Any]
    ) -> float:
        """Take a score at the chosen threshold; NaN without one or without images."""
        at = float(self.threshold)
        return math.nan if math.isnan(at) or not len(maps) else score(maps, masks, at)

    def _reason(self, name: str, any_pixel: bool, defective: np.ndarray[Any, Any]) -> str:
        if name in {"pixel_f1", "defect_iou", "miou", "false_alarms"} and math.isnan(
            float(self.threshold)
        ):
            return "no threshold was chosen on validation images"
        if name.startswith("image") or name == "false_alarms":
            kinds = "defective" if defective.all() else "normal"
            return f"all {len(defective)} images are {kinds}"
        return "every pixel is defective" if any_pixel else "no pixel is defective"
