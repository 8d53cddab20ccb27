"""NSA: patches of other normal images, blended in by Poisson's equation. A control that needs no real defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from defectbench.batch import Batch, Request, Sample, index_batch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.imaging.blending import mixed_poisson_blend, poisson_blend
from defectbench.imaging.objects import object_area
from defectbench.nn.blocks.painted import Image as Picture
from defectbench.nn.blocks.painted import Mask, paint_each
from defectbench.nn.training.memory import ImageMemory

SCALE = 256
"""Side of the images, pixels, at which the official code's numbers of pixels are taken to be given."""
LEAST_PIXELS = 50  # of a patch that changes anything
MEDIAN = 5  # side of the median filter of the label
MIN_OVERLAP = 0.25  # of the patch's object with the object that it is put on
TRIES = 20


class NSA(Generator):
    """Blends patches of other normal images into the asked one, so that structures break without a visible seam.

    A control without real defects: it learns nothing and knows no defect type, so images of all labels are alike. It
    remembers some normal images as sources of patches.
    """

    paper: ClassVar[str] = (
        "Schlüter et al. 2022, Natural Synthetic Anomalies for Self-Supervised Anomaly Detection and Localization, ECCV, "
        "https://arxiv.org/abs/2109.15222"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    mask_source: ClassVar[MaskSource] = "native"
    tiny: ClassVar[Mapping[str, Any]] = {}
    learns: ClassVar[bool] = False
    draws_labels: ClassVar[bool] = False
    least_size: ClassVar[int] = 16

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        patches: int = 4,
        width: Sequence[float] = (0.03, 0.4),
        gamma: Sequence[float] = (2.0, 0.05, 0.03),
        resize: Sequence[float] = (0.7, 1.3),
        tolerance: float = 1.0,
        on_object: bool = True,
        remember: int = 200,
    ) -> None:
        """Remember nothing yet. Defaults are the official code's, where it has one value for most products.

        Args:
            size: side of the images, pixels.
            defects: names of the defects.
            products: names of the products.
            patches: largest number of patches; the first is always put, each other one with probability one half.
            width: least and largest half side of a patch, as a share of the image's side.
            gamma: shape, scale and least value of the Gamma distribution of half sides, as shares of the side.
            resize: least and largest factor of a patch's size, normally distributed around 1 with deviation 0.5.
            tolerance: grey levels; a pixel that changed by more is defect.
            on_object: keep patches on the object, where the image shows one before a flat background.
            remember: normal images kept as sources, chosen evenly from those that are shown.

        Raises:
            UserError: a range is impossible.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        ranges = {"width": width, "resize": resize}
        for name, span in ranges.items():
            if len(span) != 2 or not 0 < span[0] <= span[1]:
                raise UserError(
                    f"nsa: {name} is {list(span)}; expected two numbers above 0, ascending"
                )
        if len(gamma) != 3 or min(gamma) <= 0 or width[1] > 0.5:
            raise UserError(
                f"nsa: gamma {list(gamma)}, width {list(width)}; expected three numbers above 0, and widths up to 0.5"
            )
        if patches < 1 or remember < 1 or tolerance < 0:
            raise UserError(
                f"nsa: patches {patches}, remember {remember}, tolerance {tolerance}; expected patches and remember of 1 "
                "or more, tolerance of 0 or more"
            )
        self.patches, self.tolerance, self.on_object = patches, tolerance, on_object
        self.width = float(width[0]), float(width[1])
        self.resize = float(resize[0]), float(resize[1])
        self.gamma = float(gamma[0]), float(gamma[1]), float(gamma[2])
        self.remember = remember
        self.memory = ImageMemory(size=size, defects=len(self.defects))

    def observe(self, defect: Batch, normal: Batch) -> None:
        """Remember normal images; defective ones are not looked at."""
        count = len(normal["image"])
        rows = torch.linspace(0, count - 1, min(count, self.remember)).round().long()
        self.memory.keep(index_batch(normal, rows))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Blend patches into `request["normal"]`; the mask is where that changed the image."""
        nothing = torch.zeros_like(request["defects"])
        chosen = self.memory.choose(nothing, request["product"], rng)
        sources = self.memory.image[chosen.to(self.memory.image.device)]
        pictures = sources.permute(0, 2, 3, 1).cpu().numpy()
        return paint_each(
            request["normal"],
            rng,
            lambda image, own, row: self.blend(image, np.ascontiguousarray(pictures[row]), own),
        )

    def blend(
        self, image: Picture, source: Picture, rng: np.random.Generator
    ) -> tuple[Picture, Mask]:
        """Blend up to `patches` patches of one image into another.

        Args:
            image: (H, W, 3).
            source: (H, W, 3).
            rng: source of every draw.

        Returns:
            the blended image, and the mask of section 3.2's binary label: a change above the tolerance, after a median
            filter; empty if no patch left any.
        """
        whole = np.ones(image.shape[:2], dtype=np.bool_)
        there = object_area(source) if self.on_object else whole
        here = object_area(image) if self.on_object else whole
        result = image
        for number in range(self.patches):
            if number and rng.random() < 0.5:
                continue
            result = self._put(result, source, here, there, rng)
        return result, self.label(image, result)

    def label(self, image: Picture, result: Picture) -> Mask:
        """Find what changed.

        Args:
            image: (H, W, 3).
            result: (H, W, 3).
        """
        changed = np.abs(result.astype(np.int16) - image).max(axis=2) > self.tolerance
        side = max(3, round(MEDIAN * self.size / SCALE) // 2 * 2 + 1)
        found: Mask = ndimage.median_filter(changed, size=side)
        return found

    def _put(
        self,
        image: Picture,
        source: Picture,
        here: Mask,
        there: Mask,
        rng: np.random.Generator,
    ) -> Picture:
        """Blend one patch in; the image comes back as it was if no place is found."""
        side, least = self.size, max(4, round(LEAST_PIXELS * (self.size / SCALE) ** 2))
        for _ in range(TRIES):
            shape, scale, offset = self.gamma
            halves = np.clip(offset + rng.gamma(shape, scale, 2), *self.width) * side
            centre = rng.integers(0, side, 2)
            low = np.clip(np.rint(centre - halves), 0, side - 2).astype(int)
            high = np.clip(np.rint(centre + halves), low + 2, side).astype(int)
            factor = float(np.clip(rng.normal(1, 0.5), *self.resize))
            box = np.clip(np.rint((high - low) * factor), 3, side - 2).astype(int)
            top, left = (int(rng.integers(1, side - length)) for length in box)
            blend = mixed_poisson_blend if rng.random() < 0.5 else poisson_blend
            cut = slice(low[0], high[0]), slice(low[1], high[1])
            place = slice(top, top + box[0]), slice(left, left + box[1])
            own = _resized(there[cut].astype(np.uint8) * 255, box) > 127
            overlap = own & here[place]
            if own.mean() < MIN_OVERLAP or overlap.sum() < MIN_OVERLAP * max(1, own.sum()):
                continue
            mask = np.zeros((side, side), dtype=np.bool_)
            mask[place] = own | here[place]
            mask[[0, -1]] = mask[:, [0, -1]] = False
            if mask.sum() < least:
                continue
            canvas = image.copy()
            canvas[place] = _resized(source[cut], box)
            return blend(canvas, image, mask)
        return image


def _resized(patch: Picture, box: np.ndarray) -> Picture:
    """Resize a patch (h, w) or (h, w, 3) to `box`, height and width."""
    picture = Image.fromarray(np.ascontiguousarray(patch))
    return np.asarray(picture.resize((int(box[1]), int(box[0])), Image.Resampling.BILINEAR))
