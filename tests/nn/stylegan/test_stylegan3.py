from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from defectbench.config import UserError
from defectbench.nn.stylegan.stylegan3 import (
    AliasFreeGenerator,
    FilteredConv,
    FilteredLeakyReLU,
    FourierInput,
    Signal,
    plan,
)
from tests.generators.short_training import millions


@pytest.mark.parametrize(
    ("size", "base", "most", "layers", "expected"),
    [
        (128, 32768, 512, 14, 32.83),
        (256, 32768, 512, 14, 28.47),
        (128, 16384, 512, 14, 27.03),
        (128, 8192, 256, 14, 7.92),
        (128, 8192, 128, 10, 2.43),
    ],
)
def test_the_generator_has_the_parameters_of_the_official_code(
    size: int, base: int, most: int, layers: int, expected: float
) -> None:
    with torch.device("meta"):
        made = AliasFreeGenerator(size=size, base=base, most=most, layers=layers)
    assert millions(made) == pytest.approx(expected, abs=0.006)


def test_the_canvas_grows_as_the_official_code_lays_it_out() -> None:
    sizes = [signal.size for signal in plan(128, 14, 16384, 512)]
    assert sizes == [36, 36, 36, 52, 52, 52, 84, 84, 84, 148, 148, 148, 148, 128, 128]


def smooth(signal: Signal, canvas: int, phase: float, cycles: float) -> torch.Tensor:
    """A wave of so many cycles per image, sampled on a canvas."""
    place = ((torch.arange(canvas) + 0.5) / canvas - 0.5) * canvas / signal.rate
    return torch.sin(2 * math.pi * cycles * place + phase).expand(1, 1, canvas, canvas)


def test_resampling_keeps_a_wave_within_the_band_and_its_place() -> None:
    before = Signal(rate=32, size=52, cutoff=10.0, half_width=6.0, channels=1)
    after = Signal(rate=64, size=84, cutoff=10.0, half_width=22.0, channels=1)
    layer = FilteredLeakyReLU(before, after, grown=2)
    wave = smooth(before, 54, 0.4, 2.0) + 3  # positive: leaky ReLU is linear there
    expected = (smooth(after, 84, 0.4, 2.0) + 3) * math.sqrt(2)
    inside = slice(12, -12)
    found = layer(wave)
    assert found.shape == (1, 1, 84, 84)
    assert torch.allclose(found[..., inside, inside], expected[..., inside, inside], atol=0.02)


def test_filters_work_in_the_dtype_of_the_features_under_autocast() -> None:
    signal = Signal(rate=16, size=36, cutoff=4.0, half_width=4.0, channels=1)
    layer = FilteredLeakyReLU(signal, signal, grown=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(1, 1, 38, 38)).dtype == torch.float32
        assert layer(torch.randn(1, 1, 38, 38).bfloat16()).dtype == torch.bfloat16


def test_a_shift_of_the_input_by_the_style_moves_the_waves() -> None:
    torch.manual_seed(0)
    signal = Signal(rate=16, size=36, cutoff=2.0, half_width=3.0, channels=4)
    layer = FourierInput(signal, styles=8)
    still = layer(torch.zeros(1, 8))
    layer.affine.bias.data.copy_(torch.tensor([1.0, 0.0, 4 / 16, 0.0]))  # four samples
    assert torch.allclose(layer(torch.zeros(1, 8))[..., 4:], still[..., :-4], atol=1e-5)


def test_one_kernel_for_all_equals_a_kernel_for_each() -> None:
    torch.manual_seed(0)
    signal = Signal(rate=8, size=28, cutoff=2.0, half_width=2.0, channels=5)
    layer = FilteredConv(signal, signal, styles=4)
    layer.magnitude.fill_(2.5)
    layer.activate = torch.nn.Identity()
    x, w, expected = torch.randn(3, 5, 28, 28), torch.randn(3, 4), []
    for image, style in zip(x, w, strict=True):
        kernel = layer.weight * layer.affine(style[None])[0, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(F.conv2d(image[None] / math.sqrt(2.5), kernel, padding=2))
    assert torch.allclose(layer(x, w), torch.cat(expected), atol=1e-5)


def test_magnitudes_are_followed_in_training_only() -> None:
    torch.manual_seed(0)
    generator = AliasFreeGenerator(size=16, latents=8, base=64, most=8, layers=4)
    magnitudes = [layer.magnitude for layer in generator.synthesis.layers]
    generator(torch.randn(2, 8))
    assert all(m == 1 for m in magnitudes)
    generator.imagine(torch.randn(2, 8))
    assert all(m != 1 for m in magnitudes)
    assert generator.mapping.average.abs().sum() > 0


def test_the_hook_sees_every_layer_and_may_change_it() -> None:
    torch.manual_seed(0)
    generator = AliasFreeGenerator(size=16, latents=8, base=64, most=8, layers=4)
    ws, seen = generator.styles(torch.randn(2, 8)), []

    def look(number: int, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((number, x.shape[-1], y.shape[-1]))
        return y

    plain = generator.synthesis(ws)
    assert torch.equal(generator.synthesis(ws, after=look), plain)
    sizes = [signal.size for signal in generator.synthesis.signals]
    assert seen == [(i, sizes[max(i - 1, 0)], sizes[i]) for i in range(4)]
    assert not torch.equal(generator.synthesis(ws, after=lambda n, x, y: y * (n != 3)), plain)


def test_too_few_layers_are_refused() -> None:
    with pytest.raises(UserError, match="layers is 2"):
        AliasFreeGenerator(size=16, layers=2)
