"""Turns: networks that pass gradients on without keeping any."""

import torch
from torch import nn

from defectbench.nn.training.turns import held


def test_held_networks_pass_gradients_on_and_keep_none():
    one, two, frozen = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    first = two(one(torch.ones(1, 2)))
    with held(two, frozen):
        second = frozen(two(one(torch.ones(1, 2))))
    second.sum().backward()
    assert one.weight.grad.abs().sum() > 0
    assert two.weight.grad is None
    first.sum().backward()  # a graph from outside the block still teaches it
    assert two.weight.grad is not None
    assert two.weight.requires_grad
    assert not frozen.weight.requires_grad
