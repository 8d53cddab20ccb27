"""Our convolutions are PyTorch's, and so are their first and second derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from defectbench.nn.training import derivable_conv
from defectbench.nn.training.derivable_conv import DerivableConvolutions

WAYS = {
    "plain": {"padding": 1},
    "strided": {"stride": 2, "padding": 1},
    "strided with a rest": {"stride": 3, "padding": 0},
    "oblong": {"stride": (2, 1), "padding": (1, 0)},
    "dilated": {"dilation": 2, "padding": 2},
    "grouped": {"groups": 2, "padding": 1},
}


def draw(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_values_and_derivatives_of_both_orders(way, transposed):
    name = "conv_transpose2d" if transposed else "conv2d"
    groups = WAYS[way].get("groups", 1)
    x, bias = draw(2, 4, 8, 7), draw(6)
    weight = draw(4, 6 // groups, 3, 3) if transposed else draw(6, 4 // groups, 3, 3)

    def derived(function):
        y = function(x, weight, bias, **WAYS[way])
        by = torch.autograd.grad(y.square().sum(), (x, weight, bias), create_graph=True)
        total = sum(one.pow(3).sum() for one in by)
        return y, *by, *torch.autograd.grad(total, (x, weight, bias))

    for ours, theirs in zip(
        derived(getattr(derivable_conv, name)), derived(getattr(F, name)), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_networks_within_the_mode_use_them(monkeypatch):
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ConvTranspose2d(4, 3, 4, output_padding=1, stride=2)
    )
    x = torch.randn(1, 3, 9, 9)
    plain = net(x)
    with DerivableConvolutions():
        ours = net(x)
    assert torch.allclose(plain, ours, atol=1e-6)
    names = []
    node = ours.grad_fn
    while node is not None:
        names.append(type(node).__name__)
        node = node.next_functions[0][0] if node.next_functions else None
    assert names.count("ConvolutionBackward") == 2
