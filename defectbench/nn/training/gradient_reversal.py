"""Gradient reversal (Ganin & Lempitsky 2015): features go forward unchanged, their gradient comes back negated."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
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
