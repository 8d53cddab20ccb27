"""Networks that pass gradients on without keeping any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def held(*networks: nn.Module) -> Iterator[None]:
    """Keep what the networks compute inside the block from training them; gradients still flow to their inputs.

    Unlike `Turn.holding`, which puts gradients back after a backward pass, this works while the graph is built, so that
    one backward pass serves losses with and without the held networks.
    """
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
