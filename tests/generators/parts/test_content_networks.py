"""The normalisation that DCDGANc steers by its code."""

import torch

from defectbench.generators.parts.content_networks import OneDimSpade


def test_od_spade_normalises_across_channels_at_each_pixel():
    torch.manual_seed(0)
    layer = OneDimSpade(6, code=4, size=(3, 5))
    x, code = torch.randn(2, 6, 3, 5), torch.randn(2, 4)
    shifted = layer(x * 3 + torch.randn(2, 1, 3, 5), code)  # one scale and one shift per pixel
    assert torch.allclose(shifted, layer(x, code), atol=1e-3)
    flat = layer(torch.ones(2, 6, 3, 5), code)
    assert flat.isfinite().all()
    with torch.no_grad():
        layer.modulate.weight.zero_()
    assert layer(x, code).abs().max() == 0  # the gain is gamma, not 1 + gamma
