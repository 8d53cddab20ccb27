"""Gradient reversal (Ganin & Lempitsky 2015): features go forward unchanged, their gradient comes back negated."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Schedule = Literal["ganin", "constant"]


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].neg() * ctx.strength, None


def reverse_gradient(features: Tensor, strength: float) -> Tensor:
    """Return `features` as they are; in the backward pass their gradient is multiplied by `-strength`.

    Args:
        features: any shape.
        strength: the lambda of Ganin & Lempitsky 2015, eq. 9 and 10.
    """
    reversed_: Tensor = _Reverse.apply(features, strength)
    return reversed_


def ganin_strength(progress: float, gamma: float = 10.0) -> float:
    """Give the strength at a fraction of the training: `2 / (1 + exp(-gamma progress)) - 1` (idem, section 4).

    Args:
        progress: finished fraction of the training, in [0, 1].
        gamma: steepness; 10 in the paper.
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def source_loss(guess: Tensor, source: Tensor, groups: Tensor | None = None) -> Tensor:
    """Compare real with synthetic images; both count alike whatever their ratio.

    Where every synthetic image is a defect, telling the sources apart is telling defect from normal, and the reversal
    makes features forget that. Within groups, e.g. classes, the source says nothing about the group.

    Args:
        guess: (B,) logits of being synthetic, float32.
        source: (B,) what is true, in [0, 1]; 1 is synthetic.
        groups: (B, C) membership in [0, 1]; the loss is the mean over the groups that hold both sources. None is one group.

    Returns:
        a scalar; 0 where no group holds both.
    """
    member = torch.ones_like(guess).unsqueeze(1) if groups is None else groups  # (B, C)
    synthetic, real = member * source.unsqueeze(1), member * (1 - source).unsqueeze(1)
    n_synthetic, n_real = synthetic.sum(0), real.sum(0)  # (C,)
    both = ((n_real > 0) & (n_synthetic > 0)).float()
    as_synthetic = (synthetic * F.softplus(-guess).unsqueeze(1)).sum(0)
    as_real = (real * F.softplus(guess).unsqueeze(1)).sum(0)
    each = as_real / n_real.clamp(min=1e-6) + as_synthetic / n_synthetic.clamp(min=1e-6)
    return 0.5 * (both * each).sum() / both.sum().clamp(min=1)


class GradientReversal(nn.Module):
    """The reversal as a layer, with its strength as a function of the training's progress.

    Args:
        schedule: "ganin" rises from 0 to `strength`, "constant" is `strength` throughout.
        strength: the largest strength, 0 or more.

    Raises:
        ValueError: there is no schedule of that name, or `strength` is negative.
    """

    def __init__(self, schedule: Schedule = "ganin", strength: float = 1.0) -> None:
        super().__init__()
        if schedule not in {"ganin", "constant"}:
            raise ValueError(f"no schedule {schedule!r}; known: ganin, constant")
        if strength < 0:
            raise ValueError(f"strength is {strength}; want 0 or more, the layer negates by itself")
        self.schedule, self.strength = schedule, strength

    def forward(self, features: Tensor, progress: float) -> Tensor:
        """Pass features (any shape) on; `progress` in [0, 1] sets the strength of the reversal."""
        rise = ganin_strength(progress) if self.schedule == "ganin" else 1.0
        return reverse_gradient(features, self.strength * rise)

    def extra_repr(self) -> str:
        """Name the schedule and its strength."""
        return f"{self.schedule}, strength={self.strength}"
