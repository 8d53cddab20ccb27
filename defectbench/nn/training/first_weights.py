"""First weights, as the papers ask for them."""

from __future__ import annotations

from torch import nn


def normal_(network: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of convolutions from N(0, std) and zero their biases (Radford et al. 2016; CycleGAN, DCDGANc).

    Linear layers keep their own initialisation: at 0.02 a short code would hardly be felt.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def he_(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers after He et al. 2015 and zero their biases (StarGAN v2)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
