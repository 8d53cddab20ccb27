"""Filters as band matrices give what filters as depthwise convolutions give."""

from __future__ import annotations

import pytest
import torch

from defectbench.generators.parts.joint_background import GatedDetail
from defectbench.nn.blocks import resample
from defectbench.nn.blocks.equalized import Fir
from defectbench.nn.stylegan.stylegan3 import FilteredLeakyReLU, plan


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_band_by_hand():
    given = {"dtype": torch.float32, "device": torch.device("cpu")}
    band = resample.band((1.0, 2.0, 3.0), 3, up=2, down=1, start=1, size=5, **given)
    # samples a 0 b 0 c 0 with taps 1 2 3: a, 2a, 3a + b, 2b, 3b + c, 2c, ... from the second value on
    assert band.tolist() == [[2, 0, 0], [3, 1, 0], [0, 2, 0], [0, 3, 1], [0, 0, 2]]


FILTERS = {
    "blur": lambda x: Fir().double().blur(x, 2),
    "blur with gain": lambda x: Fir().double().blur(x, 1, gain=4.0),
    "down": lambda x: Fir().double().down(x),
    "up": lambda x: Fir().double().up(x),
    "detail": lambda x: GatedDetail(3).double().blur(x),
}


@pytest.mark.parametrize("name", FILTERS)
def test_both_ways_of_filtering_agree(name, monkeypatch):
    x = draw(2, 3, 8, 10)
    convolved = FILTERS[name](x)
    monkeypatch.setattr(resample, "by_bands", lambda _: True)
    assert torch.allclose(FILTERS[name](x), convolved, atol=1e-7)


@pytest.mark.parametrize("layer", range(8))
def test_both_ways_of_stylegan3s_filters_agree(layer, monkeypatch):
    found = plan(64, 8, 256, 8)
    module = FilteredLeakyReLU(found[layer], found[layer + 1], grown=2)
    x = draw(2, 4, *([found[layer].size + 2] * 2)).float()
    convolved = module(x)
    monkeypatch.setattr(resample, "by_bands", lambda _: True)
    assert torch.allclose(module(x), convolved, atol=1e-4)
