"""Defect-GAN's generator: a translator steered by label maps that paints a layer on the image (Zhang et al. 2021, sec. 3.1)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from defectbench.nn.blocks.content_noise import Draw
from defectbench.nn.blocks.modulate import Spade, instance
from defectbench.nn.translation.translator import Translator


class Layers(NamedTuple):
    """What the translator gives.

    Attributes:
        image: (B, 3, H, W) in [-1, 1], the composition.
        spread: (B, 1, H, W) in [0, 1], where the new layer lies; ones without composition.
    """

    image: Tensor
    spread: Tensor


class LayeredTranslator(nn.Module):
    """StarGAN's encoder-decoder whose decoder is normalised by SPADE; noise and composition are switches.

    Departs: the paper says "every block of the decoder" and "after each convolutional block" without a list of layers;
    the residual blocks are counted to the decoder, as two up blocks alone would leave no depth to act on the labels.

    Args:
        classes: K, channels of the label map.
        base: width of the first convolution.
        blocks: residual blocks.
        hidden: width of SPADE's shared layer.
        noise: whether noise of learned strength is added after each convolution block ("adaptive noise injection").
        compose: whether a layer is laid on the input ("layer-wise composition"), or the whole image is drawn anew.
    """

    def __init__(
        self, *, classes: int, base: int, blocks: int, hidden: int, noise: bool, compose: bool
    ) -> None:
        """Build the network; the spread's bias of -2 makes the first layers faint."""
        super().__init__()
        self.compose = compose
        self.network = Translator(
            base=base,
            blocks=blocks,
            heads={"image": 3, "spread": 1} if compose else {"image": 3},
            encode_norm=instance(affine=True),
            decode_norm=partial(Spade, map_channels=classes, hidden=hidden),
            head_bias=True,
            noise=noise,
        )
        if compose:
            bias = self.network.heads["spread"].bias
            assert isinstance(bias, nn.Parameter)
            nn.init.constant_(bias, -2.0)

    def forward(self, image: Tensor, labels: Tensor, draw: Draw) -> Layers:
        """Translate images (B, 3, H, W) by labels (B, K) or label maps (B, K, H, W); the composition is in float32."""
        drawn = self.network(image, labels, draw)
        painted = torch.tanh(drawn["image"].float())
        if not self.compose:
            return Layers(painted, torch.ones_like(painted[:, :1]))
        spread = torch.sigmoid(drawn["spread"].float())
        return Layers(torch.lerp(image.float(), painted, spread), spread)
