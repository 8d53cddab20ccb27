from __future__ import annotations

import numpy as np
import pytest

from defectbench.imaging.perlin import perlin


def test_fills_most_of_its_range_and_never_leaves_it() -> None:
    noise = perlin(np.random.default_rng(0), (300, 200), (40, 30))
    assert noise.shape == (300, 200)
    assert np.abs(noise).max() <= 1
    assert noise.min() < -0.7
    assert noise.max() > 0.7
    assert abs(noise.mean()) < 0.02


def test_is_smooth_within_and_across_cells() -> None:
    noise = perlin(np.random.default_rng(0), (256, 256), 4)
    for axis in (0, 1):
        assert np.abs(np.diff(noise, axis=axis)).max() < 0.05
        assert np.abs(np.diff(noise, n=2, axis=axis)).max() < 0.005
        assert np.abs(np.diff(noise, n=3, axis=axis)).max() < 0.0005  # no jump of curvature


def test_is_zero_at_the_nodes_of_the_lattice() -> None:
    noise = perlin(np.random.default_rng(0), (5, 5), 5 * 2)  # pixel centres fall on nodes
    np.testing.assert_allclose(noise, 0, atol=1e-12)


def test_scale_counts_cells_along_each_axis() -> None:
    noise = perlin(np.random.default_rng(0), (256, 256), (2, 32))
    down, across = (np.abs(np.diff(noise, axis=axis)).mean() for axis in (0, 1))
    assert 8 < across / down < 32


@pytest.mark.parametrize(("shape", "scale"), [((37, 51), (3.7, 5.0)), ((8, 8), 0.3), ((1, 9), 2)])
def test_any_shape_and_scale_and_the_same_seed_gives_the_same_bytes(
    shape: tuple[int, int], scale: float | tuple[float, float]
) -> None:
    first, again, other = (perlin(np.random.default_rng(seed), shape, scale) for seed in (3, 3, 4))
    assert first.shape == shape
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_refuses_no_cells() -> None:
    with pytest.raises(ValueError, match="scale"):
        perlin(np.random.default_rng(0), (8, 8), (4, 0))
