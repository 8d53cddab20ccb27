"""LPIPS (Zhang et al. 2018) as a squared Euclidean distance between fixed embeddings.

A layer's distance is the mean over positions of a weighted squared difference of unit-length
features. All weights are non-negative, so with

    f = concat over layers l of sqrt(w_l / (H_l W_l)) * unit(features_l)

LPIPS(a, b) = |f(a) - f(b)|^2 exactly. N images cost N forward passes, and all their pairs one matrix
product; the mean over all pairs needs no matrix at all.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from defectbench.config import UserError
from defectbench.features.backbones import Backbone, Net

EPSILON = 1e-8  # torchmetrics: feature / sqrt(EPSILON + |feature|^2)
SHIFT = (-0.030, -0.088, -0.188)  # Zhang et al.'s scaling of images in [-1, 1]
SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """Embeds images so that squared distances between embeddings are LPIPS distances.

    Attributes:
        gives: what `FeatureStore.get` gives of it: "distances" among the images, as `metrics.base.stored` keeps them.
        name: "lpips_vgg", "lpips_alex", or "lpips_<net>_random_s<seed>" with a seeded backbone.
        sha256: digest of backbone and heads.
        resize: the images' own size is used.
    """

    gives: Literal["distances"] = "distances"
    resize = "native"
    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net, *, seed: int | None = None, weights: Path | None = None) -> None:
        """Build backbone and heads.

        Args:
            net: "vgg" or "alex".
            seed: draws a random backbone (the learned heads stay); None takes the pretrained one.
            weights: a torchvision state dict to use unchecked; None takes the published one.

        Raises:
            UserError: weights cannot be had, or the heads are not what LPIPS needs.
        """
        super().__init__()
        self.name = f"lpips_{net}" + ("" if seed is None else f"_random_s{seed}")
        self.backbone = Backbone(net, seed=seed, weights=weights)
        heads = _heads(net, self.backbone.layout.channels)
        for index, head in enumerate(heads):
            self.register_buffer(f"head{index}", head.sqrt())
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        content = self.backbone.sha256.encode()
        for head in heads:
            content += head.numpy().tobytes()
        self.sha256 = hashlib.sha256(content).hexdigest()

    def dimensions(self, height: int, width: int) -> int:
        """Numbers in the embedding of one image of that many pixels."""
        total, start = 0, 0
        layout = self.backbone.layout
        for end, channels in zip(layout.taps, layout.channels, strict=True):
            for layer in self.backbone.layers[start:end]:
                height, width = _side_after(layer, height), _side_after(layer, width)
            total, start = total + channels * height * width, end
        return total

    def forward(self, images: Tensor) -> Tensor:
        """Embed images; every call is one pass of the backbone over every image.

        Args:
            images: (N, 3, H, W) uint8.

        Returns:
            (N, D) float32, D by the images' size; the order of the numbers has no meaning.

        Raises:
            ValueError: not (N, 3, H, W) uint8, or too small for the backbone.
        """
        check_images(images)
        scaled = (images.float() / 127.5 - 1 - self.shift) / self.scale
        parts = []
        for index, layer in enumerate(self.backbone(scaled)):
            rows = layer.permute(
                0, 2, 3, 1
            )  # (N, h, w, C), contiguous as the layer is channels-last
            length = (rows.square().sum(dim=3, keepdim=True) + EPSILON).sqrt()
            head = getattr(self, f"head{index}") / (rows.shape[1] * rows.shape[2]) ** 0.5
            parts.append((rows * (head / length)).flatten(1))
        return torch.cat(parts, dim=1)


def check_images(images: Tensor) -> None:
    """Refuse what is not a batch of colour images.

    Raises:
        ValueError: not (N, 3, H, W) uint8.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images are {tuple(images.shape)} {images.dtype}; want (N, 3, H, W) torch.uint8"
        )


def _side_after(layer: nn.Module, side: int) -> int:
    """Side of a layer's output, by the rule that torch states for convolutions and pools."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return side
    kernel, stride, padding = (
        int(value[0] if isinstance(value, tuple) else value)
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    return (side + 2 * padding - kernel) // stride + 1


def _heads(net: Net, channels: tuple[int, ...]) -> list[Tensor]:
    """The learned weights (C_l,) of each layer, as torchmetrics ships them.

    Raises:
        UserError: a head is missing, of another size, or negative somewhere.
    """
    import torchmetrics

    path = Path(torchmetrics.__file__).parent / "functional/image/lpips_models" / f"{net}.pth"
    if not path.is_file():
        raise UserError(f"{path}: no such file; install torchmetrics >= 1.6, which brings it")
    state = torch.load(path, map_location="cpu", weights_only=True)
    heads = []
    for index, count in enumerate(channels):
        head = state.get(f"lin{index}.model.1.weight")
        if head is None or head.numel() != count or bool((head < 0).any()):
            raise UserError(
                f"{path}: head {index} is absent, not {count} numbers, or negative; reinstall "
                "torchmetrics"
            )
        heads.append(head.flatten().float())
    return heads
