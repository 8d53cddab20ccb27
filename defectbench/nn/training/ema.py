"""An exponential moving average of a network, as a plain submodule.

It is therefore in the state dict, on the right device and in every checkpoint, which Lightning's weight-averaging
callback (it averages the whole module, discriminators too) cannot give.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", bound=nn.Module)


class Ema(nn.Module, Generic[T]):
    """A frozen copy of `network` that follows it.

    Args:
        network: the network to follow; it is copied, not kept.
    """

    def __init__(self, network: T) -> None:
        super().__init__()
        self.network: T = copy.deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def follow(self, network: T, decay: float) -> None:
        """Move towards `network`: `average = decay * average + (1 - decay) * weight`; buffers are copied.

        Args:
            network: the network that the average was made from.
            decay: in [0, 1]; a half-life of `h` images with batches of `b` is `0.5 ** (b / h)`.
        """
        mine: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1.0 - decay)
        for own, other in zip(self.network.buffers(), network.buffers(), strict=True):
            own.copy_(other)

    def train(self, mode: bool = True) -> Ema[T]:
        """Stay in evaluation mode whatever is asked: an average never trains."""
        super().train(False)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged network."""
        call: Callable[..., Any] = self.network
        return call(*args, **kwargs)
