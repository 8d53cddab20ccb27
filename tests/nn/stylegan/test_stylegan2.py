from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from defectbench.nn.blocks.equalized import EqualConv, EqualLinear, Fir
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.stylegan2 import (
    Mapping,
    StyledConv,
    StyleGenerator,
    Synthesis,
    mix_styles,
)
from tests.generators.short_training import millions


@pytest.mark.parametrize(
    ("size", "base", "most", "generator", "critic"),
    [
        (128, 16384, 512, 22.95, 23.88),
        (256, 16384, 512, 23.19, 24.00),
        (128, 8192, 256, 7.06, 5.97),
        (128, 4096, 128, 2.62, 1.49),
    ],
)
def test_the_networks_have_the_parameters_of_the_official_code(
    size: int, base: int, most: int, generator: float, critic: float
) -> None:
    with torch.device("meta"):
        made = StyleGenerator(size=size, base=base, most=most)
        judge = Critic(size=size, base=base, most=most)
    assert millions(made) == pytest.approx(generator, abs=0.006)
    assert millions(judge) == pytest.approx(critic, abs=0.006)


@pytest.mark.parametrize("up", [False, True])
def test_one_kernel_for_all_equals_a_kernel_for_each(up: bool) -> None:
    torch.manual_seed(0)
    layer = StyledConv(6, 5, size=16 if up else 8, styles=4, up=up)
    layer.bias.data.normal_()
    layer.strength.data.fill_(0.3)
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, 4)
    expected = []
    for image, style in zip(x, w, strict=True):
        kernel = layer.weight * layer.affine(style[None])[0, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            y = F.conv_transpose2d(image[None], kernel.transpose(0, 1), stride=2)
            y = Fir().blur(y, 1, gain=4.0)
        else:
            y = F.conv2d(image[None], kernel, padding=1)
        y = y + layer.noise * layer.strength + layer.bias[:, None, None]
        expected.append(F.leaky_relu(y, 0.2) * math.sqrt(2))
    assert torch.allclose(layer(x, w), torch.cat(expected), atol=1e-5)


def test_the_filter_is_that_of_upsampling_by_zeros_and_smoothing() -> None:
    x = torch.randn(1, 2, 5, 5)
    stuffed = torch.zeros(1, 2, 10, 10)
    stuffed[..., ::2, ::2] = x
    taps = torch.tensor([1.0, 3, 3, 1])
    kernel = (taps.outer(taps) / 16).expand(2, 1, 4, 4)
    expected = F.conv2d(F.pad(stuffed, (2, 1, 2, 1)), kernel, groups=2)
    assert torch.allclose(Fir().up(x), expected, atol=1e-6)


def test_halving_keeps_a_constant_and_doubling_too_away_from_the_border() -> None:
    x = torch.full((1, 1, 16, 16), 0.7)
    assert torch.allclose(Fir().down(x)[..., 1:-1, 1:-1], x[..., :6, :6])
    assert torch.allclose(Fir().up(x)[..., 1:-1, 1:-1], x[..., :1, :1].expand(1, 1, 30, 30))


def test_a_halving_convolution_is_filter_then_stride() -> None:
    layer = EqualConv(3, 4, 3, down=True)
    x = torch.randn(2, 3, 8, 8)
    weight = layer.weight / math.sqrt(27)
    expected = F.conv2d(Fir().blur(x, 2), weight, stride=2)
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert expected.shape == (2, 4, 4, 4)


def test_layers_keep_the_variance_whatever_their_rate() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 64)
    for layer in (EqualLinear(64, 64), EqualLinear(64, 64, rate=0.01)):
        assert layer(x).std().item() == pytest.approx(1, rel=0.05)
    assert EqualLinear(64, 64, active=True)(x).square().mean().item() == pytest.approx(1, rel=0.1)


def test_linear_layers_stay_in_full_precision_under_autocast() -> None:
    layer, x = EqualLinear(8, 8), torch.randn(2, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x), layer(x.float()))
        assert layer(x).dtype == torch.float32


def test_full_truncation_gives_the_average_style() -> None:
    mapping = Mapping(latents=8, labels=0, styles=8)
    for _ in range(400):
        mapping.follow(torch.full((2, 8), 3.0), decay=0.9)
    assert torch.allclose(mapping(torch.randn(2, 8), psi=0.0), torch.full((2, 8), 3.0), atol=1e-4)


def test_mixing_cuts_between_two_latents() -> None:
    torch.manual_seed(1)
    mapping, z = Mapping(latents=8, labels=0, styles=8), torch.randn(2, 8)
    w = mapping(z)
    alone = mix_styles(mapping, z, None, 6, probability=0.0)
    assert torch.equal(alone, w[:, None].expand(-1, 6, -1))
    mixed = mix_styles(mapping, z, None, 6, probability=1.0)
    own = (mixed == w[:, None]).all(2).all(0)
    cut = int(own.sum())
    assert 1 <= cut < 6
    assert own[:cut].all()
    assert not own[cut:].any()


def test_what_is_injected_is_added_before_the_image_is_made() -> None:
    torch.manual_seed(0)
    synthesis = Synthesis(size=16, styles=8, base=128, most=16)
    ws, seen = torch.randn(2, synthesis.layers, 8), {}

    def look(size: int, x: torch.Tensor) -> None:
        seen[size] = tuple(x.shape)

    plain = synthesis(ws)
    assert torch.equal(synthesis(ws, inject=look), plain)
    assert seen == {8: (2, 16, 4, 4), 16: (2, 16, 8, 8)}
    changed = synthesis(ws, inject=lambda s, x: torch.ones(2, 8, 16, 16) if s == 16 else None)
    difference = changed - plain
    assert torch.allclose(difference, difference[:, :, :1, :1].expand_as(difference), atol=1e-5)
    assert difference.abs().max() > 0.01


def test_the_critic_takes_any_batch_and_sees_its_spread() -> None:
    torch.manual_seed(0)
    critic = Critic(size=8, base=64, most=16)
    for b in (1, 2, 3, 5, 6, 8):
        assert critic(torch.randn(b, 3, 8, 8)).shape == (b,)
    image = torch.randn(1, 3, 8, 8)
    alike = critic(image.expand(4, -1, -1, -1))
    among = critic(torch.cat([image, torch.randn(3, 3, 8, 8)]))
    assert not torch.isclose(alike[0], among[0])


def test_the_conditional_critic_projects_on_the_label() -> None:
    critic = Critic(size=8, labels=3, base=64, most=16)
    image = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    assert critic(image, torch.eye(3)).unique().numel() == 3


def test_a_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 48"):
        StyleGenerator(size=48)
