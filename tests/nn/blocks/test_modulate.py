"""Normalisations that a condition steers."""

import torch

from defectbench.nn.blocks.modulate import AdaIN, Spade


def test_adain_of_the_ablation_has_no_one_in_its_gain():
    x, code = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    for around_one in (True, False):
        layer = AdaIN(3, code=5, around_one=around_one)
        with torch.no_grad():
            layer.affine.weight.zero_()
            layer.affine.bias.zero_()
        assert (layer(x, code).abs().max() > 0.1) == around_one


def test_a_constant_map_and_its_vector_steer_alike():
    torch.manual_seed(0)
    layer, x = Spade(4, map_channels=3, hidden=5), torch.randn(2, 4, 9, 12)
    vector = torch.rand(2, 3)
    as_map = layer(x, vector[..., None, None].expand(-1, -1, 9, 12))
    assert torch.allclose(layer(x, vector), as_map, atol=1e-5)
    small = torch.randn(2, 4, 4, 8)
    as_map = layer(small, vector[..., None, None].expand(-1, -1, 4, 8))
    assert torch.allclose(layer(small, vector), as_map, atol=1e-5)
