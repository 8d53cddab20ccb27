"""VGG16 and AlexNet up to their five LPIPS layers, pretrained or with seeded random weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from defectbench.features.weights import ALEXNET, VGG16
from defectbench.nn.weights import WeightFile, obtain, sha256_of

Net = Literal["vgg", "alex"]


@dataclass(frozen=True)
class Layout:
    """A torchvision network and the layers that are read.

    Attributes:
        builder: its name in torchvision.models.
        taps: index after each layer that is read (the end of a slice of `features`).
        channels: channels of each.
        smallest: side in pixels below which some layer would be empty.
        weights: the published file.
    """

    builder: str
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    smallest: int
    weights: WeightFile


LAYOUTS: dict[Net, Layout] = {
    "vgg": Layout("vgg16", (4, 9, 16, 23, 30), (64, 128, 256, 512, 512), 16, VGG16),
    "alex": Layout("alexnet", (2, 5, 8, 10, 12), (64, 192, 384, 256, 256), 31, ALEXNET),
}


class Backbone(nn.Module):
    """The convolutions of a network; its forward gives the five layers that LPIPS compares.

    Seeded weights are Kaiming-normal over the inputs of each unit (He et al. 2015), which keeps the
    variance from layer to layer, with zero biases. They are drawn by NumPy, whose streams are the same
    on every machine.
    """

    def __init__(self, net: Net, *, seed: int | None = None, weights: Path | None = None) -> None:
        """Build the network.

        Args:
            net: "vgg" or "alex".
            seed: draws random weights; None takes pretrained ones.
            weights: a torchvision state dict to use unchecked; None takes the published one.

        Raises:
            UserError: pretrained weights cannot be had.
        """
        super().__init__()
        self.net, self.layout = net, LAYOUTS[net]
        import torchvision

        with torch.device("meta"):  # no memory and no draws for weights that are replaced at once
            whole = getattr(torchvision.models, self.layout.builder)(weights=None)
        self.layers: Any = whole.features[: self.layout.taps[-1]]
        if seed is None:
            path = weights or obtain(self.layout.weights)
            self.sha256 = sha256_of(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = {key.removeprefix("features."): value for key, value in state.items()}
            wanted = self.layers.state_dict().keys()
            state = {key: value for key, value in state.items() if key in wanted}
        else:
            state = self._drawn(seed)
            self.sha256 = _digest(state)
        self.layers.load_state_dict(state, assign=True)
        self.requires_grad_(False)
        self.eval()
        self.to(memory_format=torch.channels_last)

    def _drawn(self, seed: int) -> dict[str, Tensor]:
        """Seeded weights for every parameter, in order."""
        rng = np.random.default_rng(seed)
        state = {}
        for key, empty in self.layers.state_dict().items():
            if key.endswith("bias"):
                state[key] = torch.zeros(empty.shape)
                continue
            fan_in = empty[0].numel()
            values = rng.standard_normal(empty.shape) * np.sqrt(2 / fan_in)
            state[key] = torch.from_numpy(values.astype(np.float32))
        return state

    def forward(self, images: Tensor) -> list[Tensor]:
        """Run the network.

        Args:
            images: (N, 3, H, W) float, normalised as the network wants.

        Returns:
            Five (N, C, h, w) layers after their ReLU.

        Raises:
            ValueError: images are smaller than the network's smallest.
        """
        if min(images.shape[2:]) < self.layout.smallest:
            raise ValueError(
                f"images are {images.shape[2]} x {images.shape[3]} px; {self.layout.builder} needs "
                f">= {self.layout.smallest}: resize them, or take another extractor"
            )
        found, start = [], 0
        hidden = images.contiguous(memory_format=torch.channels_last)
        for end in self.layout.taps:
            hidden = self.layers[start:end](hidden)
            found.append(hidden)
            start = end
        return found


def _digest(state: dict[str, Tensor]) -> str:
    """SHA-256 of names and bytes of a state dict."""
    content = hashlib.sha256()
    for key, value in state.items():
        content.update(key.encode())
        content.update(value.contiguous().numpy().tobytes())
    return content.hexdigest()
