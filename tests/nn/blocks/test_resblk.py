"""Residual blocks."""

import pytest
import torch

from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.blocks.modulate import instance
from defectbench.nn.blocks.resblk import PostActBlock, PreActBlock


@pytest.mark.parametrize(("resample", "side"), [(None, 8), ("up", 16), ("down", 4)])
@pytest.mark.parametrize("early", [False, True])
def test_pre_activation_shapes_and_where_the_width_changes(resample, side, early):
    block = PreActBlock(4, 6, norm=instance(affine=True), resample=resample, early=early)
    assert block(torch.zeros(2, 4, 8, 8)).shape == (2, 6, side, side)
    assert block.first.out_channels == block.second.in_channels == (6 if early else 4)


def test_pre_activation_keeps_the_variance_of_its_shortcut():
    block = PreActBlock(4, 4)
    with torch.no_grad():
        block.second.weight.zero_()
        block.second.bias.zero_()
        x = torch.randn(2, 4, 8, 8)
        assert torch.allclose(block(x), x / 2**0.5)


def test_post_activation_adds_noise_of_learned_strength():
    torch.manual_seed(0)
    block = PostActBlock(4, norm=instance(), noise=True)
    x = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        assert torch.equal(block(x, None, draw_from(None)), block(x))
        block.noises[1].strength.fill_(2.0)
        draw = draw_from(torch.Generator().manual_seed(0))
        added = block(x, None, draw) - block(x)
    assert torch.allclose(
        added, added[:, :1].expand(-1, 4, -1, -1), atol=1e-5
    )  # one map for all channels
    assert 1 < added.std() < 3
