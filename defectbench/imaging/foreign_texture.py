"""A texture that does not belong to an image: three of DRAEM's ten changes, applied to a photograph.

Source: Zavrtanik et al. 2021, section 3.3 and the official code's list of operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

Image = npt.NDArray[np.uint8]
Change = Callable[[Pillow.Image, np.random.Generator], Pillow.Image]
CHOSEN = 3


def foreign_texture(image: Image, rng: np.random.Generator) -> Image:
    """Apply three different changes in random order.

    Args:
        image: (H, W, 3).
        rng: source of every draw.

    Returns:
        (H, W, 3). A grey image stays grey.
    """
    picture = Pillow.fromarray(image)
    for number in rng.choice(len(CHANGES), size=CHOSEN, replace=False):
        picture = CHANGES[number](picture, rng)
    return np.asarray(picture)


def _gamma(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Raise each channel to a power in [0.5, 2]; all channels of a grey image to the same."""
    values = np.asarray(picture) / 255
    powers = rng.uniform(0.5, 2.0, 3)
    if _is_grey(picture):
        powers[:] = powers[0]
    return Pillow.fromarray(np.rint(values**powers * 255).astype(np.uint8))


def _brightness(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Multiply by [0.8, 1.2] and add [-30, 30]."""
    values = np.asarray(picture) * rng.uniform(0.8, 1.2) + rng.uniform(-30, 30)
    return Pillow.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


def _sharpness(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Blur or sharpen, factor in [0.1, 1.9]."""
    return ImageEnhance.Sharpness(picture).enhance(float(rng.uniform(0.1, 1.9)))


def _colour(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Add [-50, 50] of 255 to hue and to saturation; a grey image has neither and stays."""
    added = rng.uniform(-50, 50, 2)
    if _is_grey(picture):
        return picture
    values = np.asarray(picture.convert("HSV")).astype(np.int16)
    values[..., 0] = (values[..., 0] + round(added[0])) % 256
    values[..., 1] = (values[..., 1] + round(added[1])).clip(0, 255)
    bands = [Pillow.fromarray(values[..., k].astype(np.uint8)) for k in range(3)]
    return Pillow.merge("HSV", bands).convert("RGB")


def _solarise(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Invert what is brighter than a threshold in [32, 128], with probability one half."""
    threshold = int(rng.integers(32, 129))
    return ImageOps.solarize(picture, threshold) if rng.random() < 0.5 else picture


def _posterise(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Keep 1 to 8 bits of each channel."""
    return ImageOps.posterize(picture, int(rng.integers(1, 9)))


def _invert(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:  # noqa: ARG001
    return ImageOps.invert(picture)


def _autocontrast(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Stretch to the full range, after cutting up to 20 % off both ends."""
    return ImageOps.autocontrast(picture, cutoff=int(rng.integers(0, 21)))


def _equalise(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:  # noqa: ARG001
    return ImageOps.equalize(picture)


def _turn(picture: Pillow.Image, rng: np.random.Generator) -> Pillow.Image:
    """Turn by up to 45 degrees either way; corners repeat the mirrored image."""
    wide = np.asarray(picture)
    pad = max(wide.shape[:2]) // 2
    mirrored = np.pad(wide, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    turned = Pillow.fromarray(mirrored).rotate(
        float(rng.uniform(-45, 45)), Pillow.Resampling.BILINEAR
    )
    return turned.crop((pad, pad, pad + wide.shape[1], pad + wide.shape[0]))


def _is_grey(picture: Pillow.Image) -> bool:
    values = np.asarray(picture)
    return bool((values[..., :1] == values).all())


CHANGES: Final[tuple[Change, ...]] = (
    _gamma,
    _brightness,
    _sharpness,
    _colour,
    _solarise,
    _posterise,
    _invert,
    _autocontrast,
    _equalise,
    _turn,
)
