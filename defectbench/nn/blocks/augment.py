"""Augmentation inside the game: what the critic sees, of real and generated images alike (Karras et al. 2020b; Zhao et al. 2020).

Channels after the third (masks) follow the geometry of the image and keep their values. All draws come from torch's own
generator, which the loop seeds before each training step.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.config import UserError, nearest
from defectbench.nn.training.penalties import full_precision

Ada = Literal["none", "geometric", "all"]
"""Which of ADA's transforms: none; pixel blitting and geometry; those and colour ("bgc", the paper's choice)."""
DIFFERENTIABLE = ("color", "translation", "cutout")


class AdaptiveAugment(nn.Module):
    """ADA: transforms that are each applied with probability p, and p that follows the critic's overfitting.

    p rises while the critic's outputs on real images are positive more often than the target says, and falls otherwise
    (Karras et al. 2020b, sec. 3). In distributed training the first process's images decide.

    Departs: the geometric transforms are one bilinear resampling, without the wavelet filters of the official code; they
    can be differentiated once, so R1 is taken at the augmented images (see `style_game`).

    Args:
        kind: which transforms.
        target: fraction of positive outputs, minus that of negative ones, that p holds.
        speed: images in which p can go from 0 to 1.
        every: steps between changes of p.
    """

    p: Tensor
    signs: Tensor
    steps: Tensor

    def __init__(
        self, *, kind: Ada = "all", target: float = 0.6, speed: int = 500_000, every: int = 4
    ) -> None:
        super().__init__()
        self.kind, self.target, self.speed, self.every = kind, target, speed, every
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, judged: Tensor, images: int) -> None:
        """Look at the critic's logits (B,) on real images of one step, and change p when it is time.

        Args:
            judged: logits of augmented real images.
            images: images per step over all processes.
        """
        if self.kind == "none":
            return
        self.signs.add_(judged.float().sign().mean())
        self.steps.add_(1)
        due = (self.steps % self.every == 0).float()
        step = (self.signs / self.every - self.target).sign() * (images * self.every / self.speed)
        self.p.add_(due * step).clamp_(0, 1)
        self.signs.mul_(1 - due)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, H, W), each image by its own draws; float32."""
        if self.kind == "none":
            return x
        with full_precision(x.device):
            x = self._geometry(x.float())
            return torch.cat([self._colour(x[:, :3]), x[:, 3:]], 1) if self.kind == "all" else x

    def _chance(self, b: int, p: Tensor | None = None) -> Tensor:
        """Draw (B,) bools, true with probability p."""
        return torch.rand(b, device=self.p.device) < (self.p if p is None else p)

    def _geometry(self, x: Tensor) -> Tensor:
        """Flip, quarter turns, shifts, scaling, rotation, stretching: one affine resampling with mirrored borders."""
        b, _, h, w = x.shape
        device = x.device

        def uniform(low: float, high: float) -> Tensor:
            return torch.rand(b, device=device) * (high - low) + low

        def normal(spread: float) -> Tensor:
            return torch.randn(b, device=device) * spread

        def or_else(value: Tensor, neutral: float, p: Tensor | None = None) -> Tensor:
            return torch.where(self._chance(b, p), value, neutral)

        flip = or_else(torch.where(uniform(0, 1) < 0.5, -1.0, 1.0), 1.0)
        quarter = or_else(uniform(0, 4).floor(), 0.0) * (math.pi / 2)
        shift = torch.stack(
            [or_else(uniform(-0.125, 0.125), 0.0), or_else(uniform(-0.125, 0.125), 0.0)]
        )
        pixels = torch.tensor([w, h], device=device)[:, None]
        shift = (shift * pixels).round() / pixels * 2  # whole pixels, in units of half the image
        scale = or_else(torch.exp2(normal(0.2)), 1.0)
        once = 1 - (1 - self.p).clamp(min=0).sqrt()  # two turns of this chance make one of chance p
        before, after = (or_else(uniform(-math.pi, math.pi), 0.0, once) for _ in range(2))
        stretch = or_else(torch.exp2(normal(0.2)), 1.0)
        slide = torch.stack([or_else(normal(0.125), 0.0), or_else(normal(0.125), 0.0)]) * 2

        matrix = _scaling(flip, torch.ones_like(flip))
        matrix = _turning(quarter) @ matrix
        matrix = _moving(shift[0], shift[1]) @ matrix
        matrix = _scaling(scale, scale) @ matrix
        matrix = _turning(before) @ matrix
        matrix = _scaling(stretch, 1 / stretch) @ matrix
        matrix = _turning(after) @ matrix
        matrix = _moving(slide[0], slide[1]) @ matrix  # (B, 3, 3): where a point goes
        neutral = torch.eye(3, device=device)
        moved = (matrix - neutral).abs().amax((1, 2)) > 0  # untouched images stay bit for bit
        grid = F.affine_grid(torch.linalg.inv(matrix)[:, :2], [b, 1, h, w], align_corners=False)
        warped = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        return torch.where(moved[:, None, None, None], warped, x)

    def _colour(self, x: Tensor) -> Tensor:
        """Brightness, contrast, luma flip, hue and saturation: one 3x4 matrix per image."""
        b, device = len(x), x.device
        grey = torch.full((3, 3), 1 / 3, device=device)  # projection on the grey axis
        rest = torch.eye(3, device=device) - grey
        axis = torch.ones(3, device=device) / math.sqrt(3)
        cross = torch.linalg.cross(
            torch.eye(3, device=device), axis.expand(3, 3), dim=1
        )  # turns a colour about the grey axis
        bright = torch.where(self._chance(b), torch.randn(b, device=device) * 0.2, 0.0)
        contrast = torch.where(
            self._chance(b), torch.exp2(torch.randn(b, device=device) * 0.5), 1.0
        )
        luma = torch.where(self._chance(b) & (torch.rand(b, device=device) < 0.5), -1.0, 1.0)
        angle = torch.where(self._chance(b), (torch.rand(b, device=device) * 2 - 1) * math.pi, 0.0)
        saturation = torch.where(self._chance(b), torch.exp2(torch.randn(b, device=device)), 1.0)

        def each(value: Tensor) -> Tensor:
            return value[:, None, None]

        turn = grey + each(angle.cos()) * rest + each(angle.sin()) * cross
        matrix = (each(luma) * grey + rest) * each(contrast)
        matrix = (grey + each(saturation) * rest) @ turn @ matrix  # (B, 3, 3)
        offset = (bright * contrast * luma)[:, None].expand(b, 3)
        changed = torch.einsum("bij,bjhw->bihw", matrix, x) + offset[..., None, None]
        touched = (bright != 0) | (contrast != 1) | (luma != 1) | (angle != 0) | (saturation != 1)
        return torch.where(touched[:, None, None, None], changed, x)


def _affine(rows: list[list[Tensor]]) -> Tensor:
    """Stack (B,) entries to (B, 3, 3)."""
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _affine([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def _turning(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    cos, sin = angle.cos(), angle.sin()
    return _affine([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def _moving(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _affine([[one, zero, x], [zero, one, y], [zero, zero, one]])


def policy(names: str) -> tuple[str, ...]:
    """Read a comma-separated policy of DiffAugment, e.g. "translation,cutout"; "" is none.

    Raises:
        UserError: a name is unknown.
    """
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in DIFFERENTIABLE:
            raise UserError(f"diffaugment: no transform {name!r}; {nearest(name, DIFFERENTIABLE)}")
    return chosen


def differentiable_augment(x: Tensor, names: tuple[str, ...]) -> Tensor:
    """DiffAugment (Zhao et al. 2020, sec. 4): each image by its own draws, differentiable.

    Brightness ±0.5, saturation ×[0, 2], contrast ×[0.5, 1.5]; translation ±12.5 %; cutout of half the side.

    Args:
        x: (B, C, H, W) in [-1, 1].
        names: of `color`, `translation`, `cutout`.
    """
    if "color" in names:
        x = torch.cat([_jitter(x[:, :3]), x[:, 3:]], 1)
    if "translation" in names:
        x = _translate(x)
    return _cut_out(x) if "cutout" in names else x


def _jitter(x: Tensor) -> Tensor:
    u = torch.rand(3, len(x), 1, 1, 1, device=x.device)
    x = x + (u[0] - 0.5)
    mean = x.mean(1, keepdim=True)
    x = mean + (x - mean) * (2 * u[1])
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + u[2])


def _translate(x: Tensor) -> Tensor:
    """Shift by whole pixels; what comes in is grey 0, as in the reference code."""
    b, _, h, w = x.shape
    rows, columns = (
        torch.arange(side, device=x.device)
        + torch.randint(-round(side / 8), round(side / 8) + 1, (b, 1), device=x.device)
        + 1
        for side in (h, w)
    )  # (B, side) each, into an image with one pixel of padding
    padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)  # (B, H + 2, W + 2, C)
    rows, columns = rows.clamp(0, h + 1), columns.clamp(0, w + 1)
    image = torch.arange(b, device=x.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def _cut_out(x: Tensor) -> Tensor:
    """Set a square of half the side to 0; its centre may lie anywhere in the image."""
    b, _, h, w = x.shape
    hidden = []
    for side in (h, w):
        centre = torch.randint(0, side + 1, (b, 1), device=x.device)
        place = torch.arange(side, device=x.device)
        hidden.append((place >= centre - side // 4) & (place < centre + (side + 2) // 4))
    square = hidden[0][:, None, :, None] & hidden[1][:, None, None]
    return x * ~square
