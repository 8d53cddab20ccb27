"""CutPaste: a patch or a scar of a normal image pasted elsewhere on it. A control that needs no real defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance

from defectbench.batch import Request, Sample
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.imaging.objects import object_area
from defectbench.nn.blocks.painted import Image as Picture
from defectbench.nn.blocks.painted import Mask, paint_each

SCALE = 256
"""Side of the images, pixels, at which the paper's lengths of scars are given."""
VISIBLE = 2.0  # grey levels; least mean change inside the mask, or the piece is drawn again
TRIES = 10


class CutPaste(Generator):
    """Pastes a piece of the asked normal image, in changed colours, at another place of the same image.

    A control without real defects: it learns nothing and knows no defect type, so images of all labels are alike.
    """

    paper: ClassVar[str] = (
        "Li et al. 2021, CutPaste: Self-Supervised Learning for Anomaly Detection and Localization, CVPR, "
        "https://arxiv.org/abs/2104.04015"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    mask_source: ClassVar[MaskSource] = "native"
    tiny: ClassVar[Mapping[str, Any]] = {}
    learns: ClassVar[bool] = False
    draws_labels: ClassVar[bool] = False

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        variant: Literal["union", "patch", "scar"] = "union",  # the paper's best single model
        area: Sequence[float] = (0.02, 0.15),  # of the image; section 2.2
        aspect: float = 3.3,  # U(1 / aspect, 1) or U(1, aspect)
        scar_width: Sequence[float] = (2.0, 16.0),  # pixels of a 256 px image
        scar_length: Sequence[float] = (10.0, 25.0),  # pixels of a 256 px image
        rotate: float = 45.0,  # degrees
        jitter: float = 0.1,
        on_object: bool = True,
    ) -> None:
        """Check the ranges.

        Args:
            size: side of the images, pixels.
            defects: names of the defects.
            products: names of the products.
            variant: a rectangular patch, a thin turned scar, or for each image one of the two by chance.
            area: least and largest share of the image that a patch covers.
            aspect: largest ratio of a patch's sides.
            scar_width: least and largest width of a scar, pixels of a 256 px image; 2 pixels at least.
            scar_length: least and largest length of a scar, pixels of a 256 px image.
            rotate: largest turn of a scar either way, degrees.
            jitter: largest relative change of brightness, contrast and saturation, and of the hue's circle.
            on_object: centre piece and place on the object, where the image shows one before a flat background.

        Raises:
            UserError: a range is impossible.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        for name, span in (
            ("area", area),
            ("scar_width", scar_width),
            ("scar_length", scar_length),
        ):
            if len(span) != 2 or not 0 < span[0] <= span[1]:
                raise UserError(
                    f"cutpaste: {name} is {list(span)}; expected two numbers above 0, ascending"
                )
        if area[1] > 0.5 or aspect < 1 or not 0 <= jitter <= 0.5:
            raise UserError(
                f"cutpaste: area {list(area)}, aspect {aspect}, jitter {jitter}; expected area up to 0.5, aspect 1 or "
                "more, jitter from 0 to 0.5"
            )
        self.variant, self.rotate, self.jitter, self.aspect = variant, rotate, jitter, aspect
        self.on_object = on_object
        self.area = float(area[0]), float(area[1])
        self.scar_width = float(scar_width[0]), float(scar_width[1])
        self.scar_length = float(scar_length[0]), float(scar_length[1])

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Paste one piece per row onto `request["normal"]`; the mask holds the pasted pixels."""
        return paint_each(request["normal"], rng, lambda image, own, _: self.paste(image, own))

    def paste(self, image: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
        """Paste a patch or a scar; one that cannot be seen is drawn again.

        Args:
            image: (H, W, 3).
            rng: source of every draw.

        Returns:
            the image with the piece, and where the piece is, (H, W).
        """
        allowed = object_area(image) if self.on_object else np.ones(image.shape[:2], np.bool_)
        for _ in range(TRIES):
            pasted, mask = self._paste_once(image.copy(), allowed, rng)
            if np.abs(pasted[mask].astype(np.int16) - image[mask]).mean() >= VISIBLE:
                break
        return pasted, mask

    def _paste_once(
        self, image: Picture, allowed: Mask, rng: np.random.Generator
    ) -> tuple[Picture, Mask]:
        """Paste one piece, cut out and put down with its centre where that is allowed."""
        scar = self.variant == "scar" or (self.variant == "union" and rng.random() < 0.5)
        height, width = self._scar_size(rng) if scar else self._patch_size(rng)
        piece = image[_place(allowed, height, width, rng)].copy()
        if self.jitter:
            piece = jitter_colours(piece, self.jitter, rng)
        shape, cut = np.full((height, width), 255, np.uint8), piece
        if scar and self.rotate:
            angle = float(rng.uniform(-self.rotate, self.rotate))
            shape, cut = (
                np.asarray(
                    Image.fromarray(one).rotate(angle, Image.Resampling.BILINEAR, expand=True)
                )
                for one in (shape, piece)
            )
        where = shape[: image.shape[0], : image.shape[1]] > 127
        place = _place(allowed, where.shape[0], where.shape[1], rng)
        mask = np.zeros(image.shape[:2], dtype=np.bool_)
        mask[place] = where
        image[mask] = cut[: where.shape[0], : where.shape[1]][where]
        return image, mask

    def _patch_size(self, rng: np.random.Generator) -> tuple[int, int]:
        """Height and width of a patch, pixels."""
        area = rng.uniform(*self.area) * self.size**2
        wide = (
            rng.uniform(1, self.aspect) if rng.random() < 0.5 else rng.uniform(1 / self.aspect, 1)
        )
        height, width = np.sqrt(area / wide), np.sqrt(area * wide)
        return self._side(height), self._side(width)

    def _scar_size(self, rng: np.random.Generator) -> tuple[int, int]:
        """Height (length) and width of a scar, pixels."""
        factor = self.size / SCALE
        width, length = rng.uniform(*self.scar_width), rng.uniform(*self.scar_length)
        return self._side(length * factor), max(2, self._side(width * factor))

    def _side(self, length: float) -> int:
        return int(np.clip(round(length), 1, self.size - 1))


def _place(allowed: Mask, height: int, width: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a window inside the image, uniformly, or with its centre on allowed pixels as far as the image's border lets it."""
    rows, columns = allowed.shape
    if allowed.all():
        top = int(rng.integers(rows - height + 1))
        left = int(rng.integers(columns - width + 1))
    else:
        row, column = divmod(int(rng.choice(np.flatnonzero(allowed))), columns)
        top = int(np.clip(row - height // 2, 0, rows - height))
        left = int(np.clip(column - width // 2, 0, columns - width))
    return slice(top, top + height), slice(left, left + width)


def jitter_colours(piece: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """Change brightness, contrast, saturation and hue, each by up to `strength` either way; a grey piece stays grey.

    Args:
        piece: (h, w, 3).
        strength: largest relative change; of the hue, the largest turn as a share of its circle.
        rng: source of the four numbers.

    Returns:
        (h, w, 3).
    """
    factors = 1 + rng.uniform(-strength, strength, 4)
    picture = Image.fromarray(piece)
    picture = ImageEnhance.Brightness(picture).enhance(float(factors[0]))
    picture = ImageEnhance.Contrast(picture).enhance(float(factors[1]))
    picture = ImageEnhance.Color(picture).enhance(float(factors[2]))
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + round((factors[3] - 1) * 256)) % 256
    hue = Image.fromarray(turned.astype(np.uint8))
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))
