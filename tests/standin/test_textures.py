"""Procedural textures: shapes, ranges, determinism, and that products differ."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.standin import textures
from defectbench.standin.textures import noise


@pytest.mark.parametrize("product", textures.PRODUCTS)
def test_the_same_rng_draws_the_same_bytes_and_another_does_not(product: str) -> None:
    one = textures.draw(product, 64, np.random.default_rng(5))
    again = textures.draw(product, 64, np.random.default_rng(5))
    other = textures.draw(product, 64, np.random.default_rng(6))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.1


@pytest.mark.parametrize("product", textures.PRODUCTS)
def test_a_drawing_has_the_asked_size_and_is_neither_flat_nor_saturated(product: str) -> None:
    image = textures.draw(product, (48, 96), np.random.default_rng(0))
    assert image.shape == (48, 96, 3)
    assert image.dtype == np.uint8
    assert image.std() > 3
    assert 15 < image.mean() < 245


@pytest.mark.parametrize("product", ["wood", "carpet", "tile", "magnetic_tile"])
def test_small_and_large_drawings_have_the_same_overall_tone(product: str) -> None:
    means = [
        np.mean([textures.draw(product, size, np.random.default_rng(i)).mean() for i in range(6)])
        for size in (64, 256)
    ]
    assert abs(means[0] - means[1]) < 25


def test_an_unknown_product_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'marmalade'.*wood"):
        textures.draw("marmalade", 64, np.random.default_rng(0))


def test_a_tiny_size_is_refused() -> None:
    with pytest.raises(ValueError, match="16 pixels"):
        textures.draw("wood", 8, np.random.default_rng(0))


@pytest.mark.parametrize("scale", [0.005, 0.03, 0.2, (0.5, 0.01)])
def test_smooth_noise_has_unit_variance_at_any_scale(scale: float | tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    fields = np.stack([noise.smooth((64, 64), rng, scale) for _ in range(60)])
    assert abs(float(fields.mean())) < 0.15
    assert abs(float(fields.std()) - 1) < 0.12


def test_smooth_noise_is_as_smooth_as_asked() -> None:
    rng = np.random.default_rng(2)
    steps = [np.abs(np.diff(noise.smooth((128, 128), rng, s))).mean() for s in (0.01, 0.05, 0.3)]
    assert steps[0] > 3 * steps[1] > 9 * steps[2]


def test_stretched_noise_runs_vertically() -> None:
    field = noise.smooth((128, 128), np.random.default_rng(3), (0.5, 0.02))
    assert np.abs(np.diff(field, axis=1)).mean() > 5 * np.abs(np.diff(field, axis=0)).mean()


def test_the_second_nearest_point_of_cells_is_never_nearer() -> None:
    first, second = noise.cells((90, 70), np.random.default_rng(0), 0.1)
    assert (second >= first).all()
    assert first.max() < 1.5
    assert first.min() < 0.2
