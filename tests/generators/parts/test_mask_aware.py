from __future__ import annotations

import pytest
import torch

from defectbench.generators.parts.mask_aware import MaskAwareCritic
from defectbench.nn.training.penalties import r1


def critic(size: int = 32) -> MaskAwareCritic:
    torch.manual_seed(0)
    return MaskAwareCritic(size=size, base=256, most=16)


def pairs(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 4, size, size, generator=torch.Generator().manual_seed(1))


def test_it_judges_once_per_pair_whatever_the_size() -> None:
    for size in (16, 32):
        found = critic(size)(pairs(3, size))
        assert found.shape == (3,)
        assert found.dtype == torch.float32


def test_the_mask_is_seen_at_every_scale() -> None:
    model, x = critic(), pairs()
    assert model.sizes == [32, 16, 8]
    one = model(x)
    other = x.clone()
    other[:, 3] = -other[:, 3]
    assert not torch.isclose(one, model(other)).any()
    penalty, _ = r1(model, x)
    penalty.backward()
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "weight" in n)


def test_with_modulation_and_judges_silent_it_is_the_trunk_alone() -> None:
    model, x = critic(), pairs()
    with torch.no_grad():
        for layer in (*model.modulate, *model.judge):
            for parameter in layer.parameters():
                parameter.zero_()
    expected = model.trunk(x[:, :3]) / (1 + len(model.sizes))  # the mean with three zeros
    assert torch.allclose(model(x), expected, atol=1e-6)
    other = x.clone()
    other[:, 3] = 0
    assert torch.equal(model(other), model(x))


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_each_scale_has_a_say(scale: int) -> None:
    model, x = critic(), pairs()
    before = model(x)
    with torch.no_grad():
        model.judge[scale].bias.add_(1.0)
    step = (model(x) - before) * (1 + len(model.sizes))
    assert torch.allclose(step, torch.ones(2), atol=1e-4)
