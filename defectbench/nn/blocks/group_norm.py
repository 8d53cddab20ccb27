"""Group normalisation in place of batch normalisation, for networks trained from scratch on few images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOST_GROUPS = 32  # Wu & He 2018, table 3


def groups_for(channels: int) -> int:
    """Give the largest number of groups up to 32 that divides `channels`.

    Layers of 32 channels or fewer thus get one channel a group, which is instance normalisation.
    """
    return next(n for n in range(MOST_GROUPS, 0, -1) if channels % n == 0)


def use_group_norm(network: nn.Module) -> nn.Module:
    """Replace every 2-D batch normalisation inside `network` by group normalisation, in place (Wu & He 2018).

    Batch statistics of a few mixed real and synthetic images are poor estimates of what a test image brings; group
    statistics are the same in training and evaluation. First weights are kept, so layers that a network starts at zero
    stay at zero. timm's fused normalisation-activation layers keep their activation.

    Returns:
        `network`; where it is itself a batch normalisation, its replacement.
    """
    if isinstance(network, nn.BatchNorm2d):
        return _replacement(network)
    for name, child in network.named_children():
        setattr(network, name, use_group_norm(child))
    return network


class SingleValueGroupNorm(nn.GroupNorm):
    """Group normalisation that also takes groups of a single value, which become zero, then the bias.

    torch refuses them for a batch of one image only, even in evaluation, so that an odd last batch would fail.
    """

    def forward(self, input: Tensor) -> Tensor:  # torch's name
        """Normalise (B, C, ...)."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


def allow_single_values(network: nn.Module) -> None:
    """Let every group normalisation inside `network` take groups of a single value, in place; results are the same."""
    for layer in network.modules():
        if type(layer) is nn.GroupNorm:
            layer.__class__ = SingleValueGroupNorm


def _replacement(norm: nn.BatchNorm2d) -> nn.Module:
    group = nn.GroupNorm(
        groups_for(norm.num_features), norm.num_features, eps=norm.eps, affine=norm.affine
    )
    if norm.affine:
        group.weight.data.copy_(norm.weight.data)
        group.bias.data.copy_(norm.bias.data)
    after = [getattr(norm, part, None) for part in ("drop", "act")]  # timm's BatchNormAct2d
    layers = [layer for layer in after if isinstance(layer, nn.Module)]
    return nn.Sequential(group, *layers) if layers else group
