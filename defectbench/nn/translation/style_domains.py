"""The parts of StarGAN v2 that DT-GAN is built of too: domains, style codes, trunks, and what their trainings share.

A domain is one of N = K + 1: "normal" first, then the K defects. Whatever has one output per domain gives all of them,
and weights (B, N) pick: one-hot in training, a mixture where classes are interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from defectbench.batch import TrainBatch
from defectbench.nn.blocks.resblk import PreActBlock
from defectbench.nn.training.ema import Ema


def domain_weights(defects: Tensor) -> Tensor:
    """Turn labels (B, K) into weights of domains (B, K + 1) that sum to 1; what is missing to 1 is "normal"."""
    shares = defects / defects.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([1 - shares.sum(1, keepdim=True), shares], 1)


def pick(values: Tensor, weights: Tensor) -> Tensor:
    """Take each image's domain: values (B, N, ...) and weights (B, N) to (B, ...)."""
    weights = weights.to(values.dtype).reshape(*weights.shape, *[1] * (values.dim() - 2))
    return (values * weights).sum(1)


class Trunk(nn.Module):
    """A first convolution and residual blocks that halve, without normalisation.

    Args:
        widths: channels after the first convolution and after each block.
        kernel: of the first convolution, 1 or 3.
    """

    def __init__(self, widths: Sequence[int], kernel: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, widths[0], kernel, padding=kernel // 2)
        self.blocks = nn.Sequential(
            *(PreActBlock(cin, cout, resample="down") for cin, cout in pairwise(widths))
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, widths[-1], H / 2^n, W / 2^n)."""
        features: Tensor = self.blocks(self.first(image))
        return features


class ToVector(nn.Module):
    """Halving blocks down to 4 pixels and a convolution over those: features to one vector.

    Args:
        channels: C.
        size: side of the features, pixels; a power of two, at least 4.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        halvings = size.bit_length() - 3
        self.blocks = nn.Sequential(
            *(PreActBlock(channels, channels, resample="down") for _ in range(halvings))
        )
        self.last = nn.Conv2d(channels, channels, 4)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, s, s) to (B, C)."""
        x = self.last(F.leaky_relu(self.blocks(features), 0.2))
        return F.leaky_relu(x, 0.2).flatten(1)


class LatentTrunk(nn.Module):
    """The layers of the mapping network that all domains share: 4 linear layers with ReLU (Choi et al. 2020, Table 7)."""

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for cin in (latent, hidden, hidden, hidden):
            layers += [nn.Linear(cin, hidden), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """(B, Z) to (B, hidden)."""
        features: Tensor = self.layers(z)
        return features


class StyleBranches(nn.Module):
    """One branch of 3 linear layers with ReLU and a linear one per domain (Choi et al. 2020, Table 7)."""

    def __init__(self, hidden: int, style: int, domains: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for _ in range(domains):
            layers: list[nn.Module] = []
            for _ in range(3):
                layers += [nn.Linear(hidden, hidden), nn.ReLU()]
            self.branches.append(nn.Sequential(*layers, nn.Linear(hidden, style)))

    def forward(self, features: Tensor) -> Tensor:
        """(B, hidden) to styles of all domains (B, N, S)."""
        return torch.stack([branch(features) for branch in self.branches], 1)


class Exchange(NamedTuple):
    """What is to be translated to what.

    Attributes:
        image: (B, 3, H, W), the sources.
        domain: (B, N), weights of their domains.
        product: (B,), of the sources.
        target: (B, N), weights of the domains to translate to.
        reference: (B, 3, H, W) of the target domains.
        reference_2: (B, 3, H, W), another image of each target domain where the batch has one.
    """

    image: Tensor
    domain: Tensor
    product: Tensor
    target: Tensor
    reference: Tensor
    reference_2: Tensor


def exchange(batch: TrainBatch) -> Exchange:
    """Pair all images of a batch, defective and normal, with shuffled references from the same batch."""
    parts = batch["defect"], batch["normal"]
    image = torch.cat([part["image"] for part in parts])
    domain = domain_weights(torch.cat([part["defects"] for part in parts]))
    order = torch.randperm(len(image), device=image.device)
    other = order[another_of_the_domain(domain[order])]
    return Exchange(
        image=image,
        domain=domain,
        product=torch.cat([part["product"] for part in parts]),
        target=domain[order],
        reference=image[order],
        reference_2=image[other],
    )


def another_of_the_domain(domain: Tensor) -> Tensor:
    """Draw for each row another row of the same domain, or itself where it is alone: (B, N) to indices (B,)."""
    chance = torch.rand(len(domain), len(domain), device=domain.device)
    same = domain @ domain.T > 0.5
    return chance.masked_fill(~same, -2.0).fill_diagonal_(-1.0).argmax(1)


class Averages(nn.ModuleDict):
    """Running averages of the networks of a generator that sampling uses, by name."""

    def __init__(self, **networks: nn.Module) -> None:
        super().__init__({name: Ema(network) for name, network in networks.items()})

    def __getitem__(self, name: str) -> Ema[Any]:
        """Give the average of a network."""
        average = super().__getitem__(name)
        assert isinstance(average, Ema)
        return average

    def follow(self, module: nn.Module, decay: float) -> None:
        """Move each towards the network of that name in `module`."""
        for name in self:
            self[name].follow(getattr(module, name), decay)


def style_adams(
    module: nn.Module, players: Sequence[str], lr: float, mapping_lr: float
) -> list[Optimizer]:
    """Give one Adam to each network, betas (0, 0.99), weight decay 1e-4; the mapping has a rate of its own (StarGAN v2, appendix B)."""
    return [
        Adam(
            getattr(module, name).parameters(),
            lr=mapping_lr if name == "mapping" else lr,
            betas=(0.0, 0.99),
            weight_decay=1e-4,
        )
        for name in players
    ]
