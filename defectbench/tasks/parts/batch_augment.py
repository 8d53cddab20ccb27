"""Augmentation of a classifier's batches: traditional, CutOut, CutMix, MixUp; every draw from a given generator.

Labels are soft, (B, C) in [0, 1], because CutMix and MixUp mix them as they mix the pixels. Images are (B, 3, H, W) in
[-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from defectbench.config import UserError, nearest

JITTER = 0.4  # brightness, contrast and saturation of the usual ResNet training (Goyal et al. 2017's code)
LIGHTING = 0.1  # standard deviation along the principal components of colour (Krizhevsky et al. 2012, sec. 4.1)
CUTOUT_SIDE = 0.25  # DeVries & Taylor 2017: 8 of 32 pixels on CIFAR-100; 16 of 32 would often hide a whole defect
CUTMIX_ALPHA = 1.0  # Yun et al. 2019, sec. 3.1
MIXUP_ALPHA = 0.2  # Zhang et al. 2018, sec. 3.1: 0.1 to 0.4 on ImageNet
GREY = (0.299, 0.587, 0.114)  # BT.601 luma
EIGENVALUES = (0.2175, 0.0188, 0.0045)  # of ImageNet's colours in [0, 1] (Krizhevsky et al. 2012)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)

Mixed = tuple[Tensor, Tensor]


def traditional(image: Tensor, labels: Tensor, rng: torch.Generator) -> Mixed:
    """Flip left to right, jitter brightness, contrast and saturation, add lighting noise (DT-GAN, section 4.2).

    Departs: the paper names the three and gives no strengths; those above are of the code it most likely refers to.
    """
    n, device = len(image), image.device
    flipped = (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).to(device)
    image = torch.where(flipped, image.flip(3), image)
    unit = image.add(1).div(2)
    gains = (1 + JITTER * (2 * torch.rand(3, n, 1, 1, 1, generator=rng) - 1)).to(device)
    weights = torch.tensor(GREY, device=device).view(1, 3, 1, 1)
    unit = unit * gains[0]
    mean = (unit * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    unit = mean + gains[1] * (unit - mean)
    grey = (unit * weights).sum(1, keepdim=True)
    unit = grey + gains[2] * (unit - grey)
    alpha = LIGHTING * torch.randn(n, 3, generator=rng)
    shift = (alpha * torch.tensor(EIGENVALUES)) @ torch.tensor(EIGENVECTORS).T  # (B, 3)
    unit = unit + shift.to(device).view(n, 3, 1, 1)
    return unit.mul(2).sub(1).clamp(-1, 1), labels


def cutout(image: Tensor, labels: Tensor, rng: torch.Generator) -> Mixed:
    """Grey out one square per image, centred anywhere, clipped at the border (DeVries & Taylor 2017)."""
    n, _, height, width = image.shape
    inside = _windows(n, height, width, torch.full((n,), CUTOUT_SIDE), rng).to(image.device)
    return torch.where(inside, torch.zeros_like(image), image), labels


def cutmix(image: Tensor, labels: Tensor, rng: torch.Generator) -> Mixed:
    """Paste a window of another image of the batch and mix the labels by its area (Yun et al. 2019, alg. 1)."""
    n, _, height, width = image.shape
    kept, other = _beta(n, CUTMIX_ALPHA, rng), torch.randperm(n, generator=rng)
    inside = _windows(n, height, width, (1 - kept).sqrt(), rng)
    share = inside.float().mean((1, 2, 3)).view(n, 1).to(image.device)
    inside, other = inside.to(image.device), other.to(image.device)
    return (
        torch.where(inside, image[other], image),
        (1 - share) * labels + share * labels[other],
    )


def mixup(image: Tensor, labels: Tensor, rng: torch.Generator) -> Mixed:
    """Average each image and its labels with those of another (Zhang et al. 2018, eq. 1)."""
    n = len(image)
    kept = _beta(n, MIXUP_ALPHA, rng).to(image.device)
    other = torch.randperm(n, generator=rng).to(image.device)
    pixels, share = kept.view(n, 1, 1, 1), kept.view(n, 1)
    return (
        pixels * image + (1 - pixels) * image[other],
        share * labels + (1 - share) * labels[other],
    )


def _beta(n: int, alpha: float, rng: torch.Generator) -> Tensor:
    """Draw (n,) from Beta(alpha, alpha); torch's own takes no generator."""
    seed = int(torch.randint(2**62, (), generator=rng))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n)).float()


def _windows(n: int, height: int, width: int, side: Tensor, rng: torch.Generator) -> Tensor:
    """Mark one window per image, (n, 1, H, W) bool: `side` (n,) is a fraction of both sides, the centre is anywhere."""
    centre = torch.rand(2, n, generator=rng)

    def along(length: int, middle: Tensor) -> Tensor:
        first = ((middle - side / 2) * length).round().view(n, 1)
        last = ((middle + side / 2) * length).round().view(n, 1)
        at = torch.arange(length).view(1, length)
        return (at >= first) & (at < last)

    rows, columns = along(height, centre[0]), along(width, centre[1])
    return (rows.view(n, 1, height, 1)) & (columns.view(n, 1, 1, width))


AUGMENTATIONS: dict[str, Callable[[Tensor, Tensor, torch.Generator], Mixed]] = {
    "traditional": traditional,
    "cutout": cutout,
    "cutmix": cutmix,
    "mixup": mixup,
}


def check(names: Sequence[str]) -> None:
    """Check names of augmentations.

    Raises:
        UserError: one is unknown.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise UserError(f"augment {name!r}: {nearest(name, AUGMENTATIONS)}")


def augment(image: Tensor, labels: Tensor, names: Sequence[str], rng: torch.Generator) -> Mixed:
    """Apply augmentations by name, in order.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        labels: (B, C) in [0, 1].
        names: of `AUGMENTATIONS`; may be empty.
        rng: a CPU generator, the only source of randomness.
    """
    for name in names:
        image, labels = AUGMENTATIONS[name](image, labels, rng)
    return image, labels
