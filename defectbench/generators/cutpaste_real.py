"""CutPaste with real defects: what learning has to beat. Real defect pixels on other normal images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from defectbench.batch import Batch, Request, Sample, index_batch, to_float, to_uint8
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.imaging.blending import distance_weights, improved_poisson_blend
from defectbench.nn.masks.mask_regions import mask_boxes
from defectbench.nn.training.memory import ImageMemory


class CutPasteReal(Generator):
    """Cuts a real defect out by its mask, turns, scales and moves it, and blends it onto the asked normal image.

    A control: it uses exactly the data that learned generators use and learns nothing, so it is the bar that they must
    clear. The idea of pasting is that of CutPaste (Li et al. 2021), the blending that of DCDGANc (Wei et al. 2023).
    """

    paper: ClassVar[str] = (
        "after Li et al. 2021, CutPaste, https://arxiv.org/abs/2104.04015; a control of ours"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    mask_source: ClassVar[MaskSource] = "native"
    needs_masks: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {}
    learns: ClassVar[bool] = False
    revision: ClassVar[int] = 2

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        rotate: float = 45.0,  # CutPaste's scars turn by as much
        scale: float = 1.3,  # NSA clips its resizing to 1 / 1.3 .. 1.3
        flip: bool = True,
        shift: float = 1.0,
        boundary: float = 5.0,  # DCDGANc, section 2.3
    ) -> None:
        """Remember nothing yet.

        Args:
            size: side of the images, pixels.
            defects: names of the defects.
            products: names of the products.
            rotate: largest turn either way, degrees.
            scale: largest factor of size; the smallest is its inverse.
            flip: whether the defect may be mirrored.
            shift: how far from its old place, as a share of the way to a place drawn uniformly: 0 stays, 1 is anywhere.
            boundary: width of the soft edge, pixels of a 256 px image; less on defects that are thinner than that.

        Raises:
            UserError: a range is impossible.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if scale < 1 or not 0 <= shift <= 1 or boundary <= 0:
            raise UserError(
                f"cutpaste_real: scale {scale}, shift {shift}, boundary {boundary}: want scale >= 1, "
                "shift in [0, 1] and boundary > 0"
            )
        self.rotate, self.scale, self.flip = rotate, scale, flip
        self.shift, self.boundary = shift, boundary
        self.memory = ImageMemory(size=size, defects=len(self.defects))

    def observe(self, defect: Batch, normal: Batch) -> None:
        """Remember the training defects that have a mask."""
        masked = defect["mask"].flatten(1).any(1)
        if not masked.any():
            raise UserError("cutpaste_real: no training defect has a mask; it needs pixel masks")
        self.memory.keep(index_batch(defect, masked))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Paste one real defect per row onto `request["normal"]`; the mask is where its pixels landed."""
        found = self.memory.rows(self.memory.choose(request["defects"], request["product"], rng))
        image, mask = (t.cpu() for t in (found["image"], found["mask"]))
        moved, at = self.jitter(image, mask, rng)
        lost = ~at.flatten(1).any(1)  # a hair's breadth that fell between the pixels
        moved[lost], at[lost] = image[lost], mask[lost] > 0.5
        defects = to_uint8(moved).permute(0, 2, 3, 1).numpy()  # (B, H, W, 3)
        normals = to_uint8(request["normal"]).cpu().permute(0, 2, 3, 1).numpy()
        blended = [
            improved_poisson_blend(content, normal, where, self._edge(where))
            for content, normal, where in zip(defects, normals, at[:, 0].numpy(), strict=True)
        ]
        pasted = torch.stack([torch.from_numpy(one) for one in blended]).permute(0, 3, 1, 2)
        return Sample(
            image=to_float(pasted).contiguous().to(self.device), mask=at.float().to(self.device)
        )

    def _edge(self, mask: npt.NDArray[np.bool_]) -> float:
        """Width of the soft edge, pixels: no wider than the defect is deep, so that a scratch does not fade away."""
        depth = float(distance_weights(mask, self.size).max()) * self.size
        return min(self.boundary * self.size / 256, depth)

    def jitter(self, image: Tensor, mask: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turn, scale, mirror and move defects, keeping them inside the image.

        Only the pixels of the defect are interpolated, so that nothing of its old surroundings bleeds in.

        Args:
            image: (B, 3, H, W) in [-1, 1].
            mask: (B, 1, H, W) in {0, 1}, nowhere empty.
            rng: a CPU generator.

        Returns:
            the moved image, and the bool mask (B, 1, H, W) of where the defect is now.
        """
        b = len(image)
        u = torch.rand(6, b, generator=rng)
        angle = (2 * u[0] - 1) * math.radians(self.rotate)
        factor = self.scale ** (2 * u[1] - 1)
        mirror = torch.where((u[2] < 0.5) & torch.tensor(self.flip), -1.0, 1.0)
        turn = (
            torch.stack(  # (B, 2, 2): where a vector of the old image points in the new
                [
                    torch.stack([angle.cos() * mirror, -angle.sin()], 1),
                    torch.stack([angle.sin() * mirror, angle.cos()], 1),
                ],
                1,
            )
            * factor[:, None, None]
        )
        centre, half = mask_boxes(mask)  # (B, 2) each, of [-1, 1]
        room = (1 - (turn.abs() @ half[..., None])[..., 0]).clamp(min=0)  # (B, 2)
        anywhere = (2 * u[3:5].T - 1) * room
        target = torch.lerp(centre.clamp(-room, room), anywhere, self.shift)
        back = torch.linalg.inv(turn)  # (B, 2, 2)
        offset = centre[..., None] - back @ target[..., None]  # (B, 2, 1)
        grid = F.affine_grid(torch.cat([back, offset], 2), list(image.shape), align_corners=False)
        weighted = torch.cat([image * mask, mask], 1)
        weighted = F.grid_sample(weighted, grid, align_corners=False)  # (B, 4, H, W)
        weight = weighted[:, 3:]
        return weighted[:, :3] / weight.clamp(min=1e-3), weight > 0.5
