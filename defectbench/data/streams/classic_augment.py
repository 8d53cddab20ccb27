"""Traditional augmentation of batches: flips, crops, brightness, rotation, noise; every draw from a given generator.

Geometry moves image, mask (by nearest neighbour) and boxes together; photometry touches the image only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from defectbench.batch import Batch
from defectbench.config import UserError, nearest
from defectbench.data.files.moved_boxes import mirrored, turned, warped


def _uniform(rng: torch.Generator, n: int, low: float, high: float) -> Tensor:
    return torch.rand(n, generator=rng) * (high - low) + low


def flip(batch: Batch, rng: torch.Generator) -> Batch:
    """Mirror each image left to right with probability one half."""
    chosen = (torch.rand(len(batch["image"]), generator=rng) < 0.5).view(-1, 1, 1, 1)
    image, mask = batch["image"], batch["mask"]
    moved: Batch = {
        **batch,
        "image": torch.where(chosen, image.flip(3), image),
        "mask": torch.where(chosen, mask.flip(3), mask),
    }
    if "boxes" in batch:
        boxes = batch["boxes"]
        moved["boxes"] = torch.where(chosen[:, :, 0], mirrored(boxes, image.shape[3]), boxes)
    return moved


def dihedral(batch: Batch, rng: torch.Generator) -> Batch:
    """Turn each image by a random one of the square's eight symmetries; for textures without a direction."""
    turns = torch.randint(4, (len(batch["image"]),), generator=rng)
    image, mask = batch["image"].clone(), batch["mask"].clone()
    for quarter in range(1, 4):
        rows = turns == quarter
        image[rows] = image[rows].rot90(quarter, (2, 3))
        mask[rows] = mask[rows].rot90(quarter, (2, 3))
    moved: Batch = {**batch, "image": image, "mask": mask}
    if "boxes" in batch:
        moved["boxes"] = turned(batch["boxes"], turns, image.shape[3])
    return flip(moved, rng)


def resize_crop(batch: Batch, rng: torch.Generator, factor: float = 1.12) -> Batch:
    """Enlarge by `factor`, then cut a random window of the old size (DCDGANc's code)."""
    n = len(batch["image"])
    angle = torch.zeros(n)
    shift = (factor - 1) * torch.stack([_uniform(rng, n, -1, 1), _uniform(rng, n, -1, 1)], dim=1)
    return _warp(batch, angle, torch.full((n,), factor), shift)


def brightness(batch: Batch, rng: torch.Generator, strength: float = 0.2) -> Batch:
    """Scale and shift the grey values of each image by up to `strength` of the range."""
    n = len(batch["image"])
    gain = _uniform(rng, n, 1 - strength, 1 + strength).view(-1, 1, 1, 1)
    offset = _uniform(rng, n, -strength, strength).view(-1, 1, 1, 1)
    return {**batch, "image": (batch["image"] * gain + offset).clamp(-1, 1)}


def rotation(batch: Batch, rng: torch.Generator, degrees: float = 15.0) -> Batch:
    """Rotate each image by up to `degrees` about its centre; what comes in at the edges is reflected."""
    n = len(batch["image"])
    angle = _uniform(rng, n, -degrees, degrees) * (math.pi / 180)
    return _warp(batch, angle, torch.ones(n), torch.zeros(n, 2))


def noise(batch: Batch, rng: torch.Generator, sigma: float = 0.04) -> Batch:
    """Add white Gaussian noise of a standard deviation drawn up to `sigma` (in units of half the range)."""
    image = batch["image"]
    level = _uniform(rng, len(image), 0, sigma).view(-1, 1, 1, 1)
    return {
        **batch,
        "image": (image + level * torch.randn(image.shape, generator=rng)).clamp(-1, 1),
    }


def traditional(batch: Batch, rng: torch.Generator) -> Batch:
    """Apply brightness, rotation and noise: the "Augment" arm of DCDGANc (section 3.3)."""
    return noise(rotation(brightness(batch, rng), rng), rng)


def _warp(batch: Batch, angle: Tensor, zoom: Tensor, shift: Tensor) -> Batch:
    """Resample every image by a rotation, a zoom and a shift (in half sides), reflecting at the edges."""
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    theta = torch.stack(
        [
            torch.stack([cos, -sin, shift[:, 0] / zoom], dim=1),
            torch.stack([sin, cos, shift[:, 1] / zoom], dim=1),
        ],
        dim=1,
    )  # (B, 2, 3)
    size = list(batch["image"].shape)
    where = F.affine_grid(theta, size, align_corners=False)
    image = F.grid_sample(
        batch["image"], where, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    mask = F.grid_sample(
        batch["mask"], where, mode="nearest", padding_mode="reflection", align_corners=False
    )
    moved: Batch = {**batch, "image": image, "mask": mask}
    if "boxes" in batch:
        moved["boxes"] = warped(batch["boxes"], theta, size[3])
    return moved


AUGMENTATIONS: dict[str, Callable[[Batch, torch.Generator], Batch]] = {
    "flip": flip,
    "dihedral": dihedral,
    "resize_crop": resize_crop,
    "brightness": brightness,
    "rotation": rotation,
    "noise": noise,
    "traditional": traditional,
}


def augment(batch: Batch, names: tuple[str, ...], rng: torch.Generator) -> Batch:
    """Apply augmentations by name, in order.

    Raises:
        UserError: there is no augmentation of that name.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise UserError(f"no augmentation {name!r}; {nearest(name, AUGMENTATIONS)}")
        batch = AUGMENTATIONS[name](batch, rng)
    return batch
