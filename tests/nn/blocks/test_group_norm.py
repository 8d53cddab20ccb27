"""Group normalisation in place of batch normalisation."""

from __future__ import annotations

import timm
import torch
from torch import nn

from defectbench.nn.blocks.group_norm import groups_for, use_group_norm


def test_groups_divide_the_channels() -> None:
    assert [groups_for(c) for c in (1, 6, 8, 36, 66, 64, 512)] == [1, 6, 8, 18, 22, 32, 32]


def test_no_batch_norm_is_left_and_training_equals_evaluation() -> None:
    torch.manual_seed(0)
    network = use_group_norm(timm.create_model("resnet10t", num_classes=2))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(network.train()(image), network.eval()(image))


def test_first_weights_are_kept() -> None:
    network = timm.create_model("resnet10t", num_classes=2, zero_init_last=True)
    zeros = [
        n
        for n, m in network.named_modules()
        if isinstance(m, nn.BatchNorm2d) and not m.weight.any()
    ]
    use_group_norm(network)
    assert zeros
    for name in zeros:
        assert not network.get_submodule(name).weight.any()


def test_fused_layers_keep_their_activation() -> None:
    network = use_group_norm(timm.create_model("mobilenetv3_small_050", num_classes=2))
    layer = network.bn1
    out = layer(torch.randn(2, 16, 8, 8) * 3).detach()
    assert (
        float(out.min()) > -0.376
    )  # hard swish is bounded from below; a plain normalisation is not


def test_a_network_that_is_one_norm() -> None:
    norm = use_group_norm(nn.BatchNorm2d(16, affine=False))
    assert isinstance(norm, nn.GroupNorm)
    assert norm.weight is None
