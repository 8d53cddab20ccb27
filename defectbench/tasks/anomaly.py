"""Anomaly detection: what is unlike every normal image? It sees no defect, so a factory can ask it before it has any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.metrics import pixel
from defectbench.nn.pretrained import LITE0, input_of, load_backbone
from defectbench.rng import torch_rng
from defectbench.tasks.base import Task
from defectbench.tasks.parts.measured import Measured, evaluating, finite
from defectbench.tasks.parts.own_size import own_pixel_scores

SMOOTHING = (
    4 / 224
)  # standard deviation of the map's blur over the side (Roth et al. 2022, sec. 3.3)
CHUNK = 4096  # patches whose distances are computed at once


class Anomaly(Task):
    """Scores patches by their distance to the nearest patch of normal training images, as PatchCore does.

    Features of a frozen backbone at some strides are averaged over 3 x 3 places, brought to the finest of these grids, put
    together and standardised by channel over the normal training images. `memory` patches of these are kept. A patch's
    score is its distance to the nearest kept one; an image's score is the largest of its patches' scores, and its map the
    patches' scores, enlarged and blurred. Defective training images are not looked at, real or synthetic, and nothing is
    chosen on validation images.

    Source: Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022. Departs: the memory is drawn at
    random where the paper picks a greedy coreset of 1 to 25 %; the image's score is not reweighted by its neighbours; the
    backbone is small.
    """

    by_steps: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    monitor: ClassVar[str] = "image_auroc"
    mode: ClassVar[Literal["max", "min"]] = "max"
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "image_auroc": "higher",
        "image_ap": "higher",
        "pixel_ap": "higher",
        "pixel_auc": "higher",
    }
    better_own: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "pixel_ap_own": "higher",
        "pixel_auc_own": "higher",
    }
    tiny: ClassVar[Mapping[str, Any]] = {
        "backbone": "resnet10t",
        "weights": "random",
        "strides": [4, 8],
        "memory": 200,
    }
    memory: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        steps: int,
        backbone: str = LITE0,
        weights: str = "imagenet",
        strides: Sequence[int] = (8, 16),
        memory: int = 4000,
    ) -> None:
        """Build the network and an empty memory.

        Args:
            size: side of the square images, pixels.
            defects: names of the K defects; only whether there is one counts.
            products: names of the products.
            steps: not used: it learns from one look at the normal training images.
            backbone: a name of timm.
            weights: its weights: "imagenet", "random" or the path of a state dict.
            strides: which of its feature maps, by how often they are coarser than the image; the first sets the grid.
            memory: patches that are kept, drawn uniformly from all normal training patches; all if there are fewer.

        Raises:
            UserError: the network or its weights cannot be had, or it has no map of such a stride.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products, steps=steps)
        if memory < 1:
            raise UserError(f"memory {memory}: want patches, 1 or more")
        if not strides:
            raise UserError("strides: want at least one, e.g. [8, 16]")
        self.wanted = memory
        self.input = input_of(backbone)
        self.features, self.maps = _features(backbone, weights, strides)
        self.features.requires_grad_(False)
        width = sum(self._channels())
        self.register_buffer("memory", torch.zeros(0, width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.measured = Measured()
        self._scored: dict[str, npt.NDArray[Any]] = {}

    def _channels(self) -> list[int]:
        with evaluating(self.features):
            maps = self.features(torch.zeros(1, 3, self.size, self.size))
        return [int(maps[number].shape[1]) for number in self.maps]

    def patches(self, image: Tensor) -> Tensor:
        """Give the features of every patch, before they are standardised.

        Args:
            image: (B, 3, H, W) in [-1, 1].

        Returns:
            (B, h, w, D) float32; h and w are those of the first stride.
        """
        maps = self.features(self.input(image.float()))
        chosen = [
            F.avg_pool2d(maps[number].float(), 3, stride=1, padding=1) for number in self.maps
        ]
        grid = chosen[0].shape[2:]
        chosen[1:] = [
            F.interpolate(part, size=grid, mode="bilinear", align_corners=False)
            for part in chosen[1:]
        ]
        return torch.cat(chosen, dim=1).permute(0, 2, 3, 1)

    def learn(self, batches: Iterator[Batch], seed: int) -> None:
        """Keep patches of the normal images.

        Args:
            batches: all training images, once; the defective ones are left out.
            seed: chooses the patches.

        Raises:
            UserError: no image is normal, or the network gives NaN.
        """
        rng = torch_rng(seed, "memory")
        kept, keys = torch.zeros(0, self.memory.shape[1]), torch.zeros(0)
        total = torch.zeros(2, self.memory.shape[1], dtype=torch.float64)
        count = 0
        for batch in batches:
            image = batch["image"][~(batch["defects"] > 0).any(dim=1)]
            if not len(image):
                continue
            with evaluating(self):
                rows = finite(self.patches(image), "anomaly").flatten(0, 2)
            count += len(rows)
            total += torch.stack([rows.double().sum(0), rows.double().square().sum(0)])
            kept = torch.cat([kept, rows])
            keys = torch.cat([keys, torch.rand(len(rows), generator=rng)])
            smallest = keys.argsort()[: self.wanted]  # a uniform draw without replacement
            kept, keys = kept[smallest], keys[smallest]
        if not count:
            raise UserError(
                "anomaly: no normal training image, and it learns from nothing else; set task.normals, or leave this "
                "task out where a dataset has none"
            )
        mean, square = total / count
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        device = self.memory.device
        self.mean = mean.float().to(device)
        self.scale = torch.where(deviation > 1e-6, deviation, 1.0).float().to(device)
        self.memory = (kept.to(device) - self.mean) / self.scale

    def forward(self, image: Tensor) -> Tensor:
        """Give the distance of each patch to the nearest kept one.

        Args:
            image: (B, 3, H, W) in [-1, 1].

        Returns:
            (B, h, w) float32, 0 or more.

        Raises:
            UserError: it has learned nothing yet.
        """
        if not len(self.memory):
            raise UserError("anomaly: has learned from no image; let it learn first")
        found = (self.patches(image) - self.mean) / self.scale
        rows = found.flatten(0, 2)
        nearest = [
            torch.cdist(rows[i : i + CHUNK], self.memory).amin(1)
            for i in range(0, len(rows), CHUNK)
        ]
        return torch.cat(nearest).view(found.shape[:3])

    def measure(self, batch: Batch) -> None:
        """Keep each image's score and map, float32, with its mask.

        Raises:
            UserError: the network gives NaN, or it has learned nothing.
        """
        with evaluating(self):
            distance = finite(self(batch["image"]), "anomaly")
        self.measured.add(
            score=distance.flatten(1).amax(1).numpy(),  # (B,)
            map=enlarge(distance, self.size).numpy(),  # (B, H, W)
            mask=(batch["mask"][:, 0] > 0.5).cpu().numpy(),
            defects=(batch["defects"] > 0).cpu().numpy(),  # (B, K)
        )

    def scores(self) -> dict[str, float]:
        """Score what was measured; a score that is undefined is NaN and explained in `reasons`.

        Raises:
            UserError: nothing was measured.
        """
        rows = self.measured.gather("score")
        self.measured.forget()
        self._scored = rows
        defective = np.asarray(rows["defects"].any(axis=1))
        scores = {
            "image_auroc": pixel.image_auroc(rows["score"], defective),
            "image_ap": pixel.image_average_precision(rows["score"], defective),
            "pixel_ap": pixel.average_precision(rows["map"], rows["mask"]),
            "pixel_auc": pixel.pixel_auc(rows["map"], rows["mask"]),
        }
        kinds = "defective" if defective.all() else "normal"
        self.reasons = {
            name: f"all {len(defective)} images are {kinds}"
            if name.startswith("image")
            else "no pixel is defective"
            for name, value in scores.items()
            if math.isnan(value)
        }
        return scores

    def own_scores(self, masks: Sequence[npt.NDArray[np.uint8]]) -> dict[str, float]:
        """Score the last images at their masks' own size."""
        scores = own_pixel_scores(self._scored["map"], masks)
        self.reasons |= {k: "no pixel is defective" for k, v in scores.items() if math.isnan(v)}
        return scores

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Give the scores of each defect: its images against the normal ones, and the pixels of its images."""
        del folder
        rows = self._scored
        normal = ~rows["defects"].any(axis=1)
        found: dict[str, dict[str, float]] = {"image_auroc": {}, "pixel_ap": {}}
        for name, shown in zip(self.defects, rows["defects"].T, strict=True):
            both = normal | shown
            found["image_auroc"][name] = pixel.image_auroc(rows["score"][both], shown[both])
            found["pixel_ap"][name] = pixel.average_precision(
                rows["map"][shown], rows["mask"][shown]
            )
        return found


def enlarge(distance: Tensor, size: int) -> Tensor:
    """Enlarge patch scores (B, h, w) to maps (B, size, size), bilinearly, and blur them."""
    maps = F.interpolate(distance[:, None], size=(size, size), mode="bilinear", align_corners=False)
    sigma = SMOOTHING * size
    reach = min(math.ceil(3 * sigma), size - 1)
    places = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-places.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    maps = F.pad(maps, [reach] * 4, mode="reflect")
    maps = F.conv2d(maps, kernel.view(1, 1, -1, 1))
    return F.conv2d(maps, kernel.view(1, 1, 1, -1))[:, 0]


def _features(name: str, weights: str, strides: Sequence[int]) -> tuple[torch.nn.Module, list[int]]:
    """Build the part of a backbone that gives the maps of some strides, and say which of its maps they are."""
    with torch.device("meta"):
        layout = load_backbone(name, "random", features_only=True)
    known = list(layout.feature_info.reduction())  # type: ignore[union-attr,operator]  # timm's FeatureListNet
    for stride in strides:
        if stride not in known:
            raise UserError(
                f"strides: {name} has no feature map of stride {stride}; it has {', '.join(map(str, known))}"
            )
    last = known.index(max(strides))
    network = load_backbone(name, weights, features_only=True, out_indices=range(last + 1))
    return network, [known.index(stride) for stride in strides]
