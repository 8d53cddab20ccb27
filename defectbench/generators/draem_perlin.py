"""DRAEM's synthetic anomalies: a foreign texture in the shape of thresholded Perlin noise. Needs no real defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import ndimage

from defectbench.batch import Batch, Request, Sample, index_batch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.imaging.foreign_texture import foreign_texture
from defectbench.imaging.objects import object_area
from defectbench.imaging.perlin import perlin
from defectbench.nn.blocks.painted import Image as Picture
from defectbench.nn.blocks.painted import Mask, paint_each
from defectbench.nn.training.memory import ImageMemory

TRIES = 20


class DraemPerlin(Generator):
    """Lays a changed texture over the asked normal image where Perlin noise exceeds a threshold.

    A control without real defects: it learns nothing and knows no defect type, so images of all labels are alike. The
    texture is a normal image of the training set under strong changes, in place of DRAEM's downloaded textures.
    """

    paper: ClassVar[str] = (
        "Zavrtanik et al. 2021, DRAEM: A discriminatively trained reconstruction embedding for surface anomaly detection, "
        "ICCV, https://arxiv.org/abs/2108.07610"
    )
    title: ClassVar[str] = "draem_perlin (self-texture)"
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
        scales: int = 6,
        threshold: float = 0.5,
        opacity: float = 0.8,
        largest: float = 1.0,
        on_object: bool = True,
        remember: int = 200,
    ) -> None:
        """Remember nothing yet. Defaults are the official code's, but for `on_object`.

        Args:
            size: side of the images, pixels.
            defects: names of the defects.
            products: names of the products.
            scales: the noise has 2^U{0 .. scales - 1} cells across each axis.
            threshold: noise above it is defect; the noise is stretched so that single noises reach about 0.9.
            opacity: largest share of the normal image that shows through; it is drawn uniformly from 0 on.
            largest: largest share of the image that may be defect; other masks are drawn again.
            on_object: keep the defect on the object, where the image shows one before a flat background.
            remember: normal images kept as textures, chosen evenly from those that are shown.

        Raises:
            UserError: a range is impossible.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if scales < 1 or not 0 < threshold < 0.9 or not 0 <= opacity < 1 or not 0 < largest <= 1:
            raise UserError(
                f"draem_perlin: scales {scales}, threshold {threshold}, opacity {opacity}, largest {largest}; expected "
                "scales of 1 or more, threshold in (0, 0.9), opacity in [0, 1), largest in (0, 1]"
            )
        if remember < 1:
            raise UserError(f"draem_perlin: remember is {remember}; expected 1 or more")
        self.scales, self.threshold, self.opacity = scales, threshold, opacity
        self.largest, self.on_object, self.remember = largest, on_object, remember
        self.memory = ImageMemory(size=size, defects=len(self.defects))

    def observe(self, defect: Batch, normal: Batch) -> None:
        """Remember normal images; defective ones are not looked at."""
        count = len(normal["image"])
        rows = torch.linspace(0, count - 1, min(count, self.remember)).round().long()
        self.memory.keep(index_batch(normal, rows))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Paint on `request["normal"]`; the mask is where the noise exceeds the threshold."""
        nothing = torch.zeros_like(request["defects"])
        chosen = self.memory.choose(nothing, request["product"], rng)
        textures = self.memory.image[chosen.to(self.memory.image.device)]
        pictures = textures.permute(0, 2, 3, 1).cpu().numpy()
        return paint_each(
            request["normal"],
            rng,
            lambda image, own, row: self.paint(image, np.ascontiguousarray(pictures[row]), own),
        )

    def paint(
        self, image: Picture, texture: Picture, rng: np.random.Generator
    ) -> tuple[Picture, Mask]:
        """Lay a texture over an image: I = (1 - M) I + M ((1 - b) T + b I), section 3.3.

        Args:
            image: (H, W, 3).
            texture: (H, W, 3), before its changes.
            rng: source of every draw.

        Returns:
            the painted image, and the mask M, (H, W).
        """
        over = foreign_texture(texture, rng).astype(np.float64)
        mask = self.shape(image, rng)
        through = rng.uniform(0, self.opacity)
        mixed = (1 - through) * over + through * image
        image[mask] = np.rint(mixed[mask]).clip(0, 255).astype(np.uint8)
        return image, mask

    def shape(self, image: Picture, rng: np.random.Generator) -> Mask:
        """Draw the mask; it is empty only if the object is a speck.

        Args:
            image: (H, W, 3).
            rng: source of every draw.
        """
        allowed = object_area(image) if self.on_object else np.ones(image.shape[:2], np.bool_)
        height, width = image.shape[:2]
        for _ in range(TRIES):
            cells = 2.0 ** rng.integers(0, self.scales, 2)
            # DRAEM's noise of unit gradients is scaled by sqrt(2), as ours is, and cut at 0.5.
            noise = perlin(rng, (height, width), (float(cells[0]), float(cells[1])))
            angle = float(rng.uniform(-90, 90))
            noise = ndimage.rotate(noise, angle, reshape=False, order=1, mode="constant", cval=0.0)
            mask: Mask = (noise > self.threshold) & allowed
            if 0 < mask.mean() <= self.largest:
                return mask
        best = np.where(allowed, noise, -1.0)
        return np.asarray((best >= np.quantile(best, 0.98)) & allowed, dtype=np.bool_)
