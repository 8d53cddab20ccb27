"""How a task trains its encoder: learning-rate factor, frozen statistics, memory layout; one set of rules for all tasks.

An argument that is left out is decided by `weights`: with pretrained weights by the trial in docs/tasks.md, without as
the papers' networks train from scratch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from defectbench.config import UserError

Statistics = Literal["train", "fixed"]


@dataclass(frozen=True)
class Treatment:
    """What happens to the encoder in training.

    Attributes:
        rate: factor on the learning rate; 0 freezes its weights.
        statistics: of its batch normalisation: "train" takes those of the batch, "fixed" the ones that it came with.
        channels_last: memory layout of the whole network, 1.25 to 1.4 times as fast for depthwise convolutions on a CPU.
    """

    rate: float
    statistics: Statistics
    channels_last: bool

    def apply(self, network: nn.Module, encoder: nn.Module | None) -> None:
        """Freeze and lay out in place."""
        if encoder is not None and not self.rate:
            encoder.requires_grad_(False)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)

    def hold_statistics(self, encoder: nn.Module | None) -> None:
        """Put the encoder's batch normalisation into evaluation mode if its statistics are fixed."""
        if encoder is None or self.statistics == "train":
            return
        for layer in encoder.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()

    def lay_out(self, image: Tensor) -> Tensor:
        """Give images (B, 3, H, W) in the layout of the network."""
        if self.channels_last:
            return image.contiguous(memory_format=torch.channels_last)
        return image


FROM_SCRATCH = Treatment(rate=1.0, statistics="train", channels_last=False)


def treatment_of(
    weights: str | None,
    *,
    rate: float | None,
    statistics: Statistics | None,
    channels_last: bool | None,
    usual: Treatment,
) -> Treatment:
    """Fill in what a user left out.

    Args:
        weights: the task's argument; None trains as the papers' networks do.
        rate: its `encoder_rate`.
        statistics: its `encoder_statistics`.
        channels_last: its `channels_last`.
        usual: what pretrained weights take.

    Raises:
        UserError: a value is out of range.
    """
    base = FROM_SCRATCH if weights in {None, "random"} else usual
    if rate is not None and not 0 <= rate <= 10:
        raise UserError(f"encoder_rate {rate}: want a factor on lr from 0 (frozen) to 10")
    if statistics not in {None, "train", "fixed"}:
        raise UserError(f"encoder_statistics {statistics!r}; known: train, fixed")
    chosen = base.rate if rate is None else rate
    fixed: Statistics = base.statistics if statistics is None else statistics
    if statistics is None and not chosen:
        fixed = "fixed"
    layout = weights is not None if channels_last is None else channels_last
    return Treatment(rate=float(chosen), statistics=fixed, channels_last=layout)


def norm_of(norm: str | None, weights: str | None) -> str:
    """Choose the normalisation: batch with pretrained weights, group for a network drawn at random.

    Raises:
        UserError: pretrained weights and group normalisation do not go together.
    """
    loaded = weights not in {None, "random"}
    if norm == "group" and loaded:
        raise UserError("pretrained weights were made with batch normalisation; set norm: batch")
    return norm or ("batch" if loaded else "group")
