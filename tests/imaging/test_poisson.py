from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from defectbench.imaging import poisson
from defectbench.imaging.poisson import solve_poisson


def dense(source: np.ndarray, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Solve by one equation per pixel of the image and numpy's dense solver."""
    height, width = mask.shape
    matrix = np.eye(height * width)
    right = values.reshape(height * width, -1).astype(float).copy()
    flat_source = source.reshape(height * width, -1)
    for y, x in zip(*np.nonzero(mask), strict=True):
        row = y * width + x
        matrix[row, row] = -4
        for neighbour in (row - 1, row + 1, row - width, row + width):
            matrix[row, neighbour] = 1
        right[row] = flat_source[row]
    return np.linalg.solve(matrix, right).reshape(values.shape)


def inner(mask: np.ndarray) -> np.ndarray:
    mask = mask.copy()
    mask[[0, -1]] = mask[:, [0, -1]] = False
    return mask


@st.composite
def small_masks(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(st.integers(3, 16), st.integers(3, 16)))
    share = draw(st.sampled_from([0.1, 0.5, 0.8, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return inner(rng.random(shape) < share)


@pytest.mark.parametrize("budget", [poisson.BAND_BUDGET, 0.0], ids=["banded", "multigrid"])
@settings(max_examples=60, deadline=None)
@given(mask=small_masks(), seed=st.integers(0, 2**32))
def test_agrees_with_a_dense_solve_on_any_small_mask(
    budget: float, mask: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values, source = rng.normal(size=(2, *mask.shape, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(poisson, "BAND_BUDGET", budget)
        found = solve_poisson(source, values, mask, tolerance=1e-7)
    np.testing.assert_allclose(found, dense(source, values, mask), atol=1e-6)


def test_multigrid_stays_within_tolerance_on_a_large_ragged_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    mask = inner(ndimage.gaussian_filter(rng.normal(size=(160, 160)), 5) > -0.01)
    values = rng.uniform(0, 255, (160, 160, 3))
    monkeypatch.setattr(poisson, "BAND_BUDGET", np.inf)
    direct = solve_poisson(0.0, values, mask)
    monkeypatch.setattr(poisson, "BAND_BUDGET", 0.0)
    for tolerance in (0.25, 1e-6):
        found = solve_poisson(0.0, values, mask, tolerance=tolerance)
        assert np.abs(found - direct).max() < tolerance


def test_sparse_lu_takes_over_when_the_iteration_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = inner(np.ones((30, 30), dtype=bool))
    values = np.random.default_rng(2).normal(size=(30, 30))
    expected = solve_poisson(1.0, values, mask)
    monkeypatch.setattr(poisson, "BAND_BUDGET", 0.0)
    monkeypatch.setattr(poisson, "MAX_ITERATIONS", 1)
    np.testing.assert_allclose(solve_poisson(1.0, values, mask), expected, atol=1e-9)


def test_values_outside_are_kept_and_the_input_is_not_written() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(12, 12, 2))
    mask = inner(rng.random((12, 12)) < 0.5)
    before = values.copy()
    found = solve_poisson(0.0, values, mask)
    np.testing.assert_array_equal(found[~mask], values[~mask])
    np.testing.assert_array_equal(values, before)
    assert not np.shares_memory(found, values)


def test_refuses_a_mask_on_the_border_and_shapes_that_disagree() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[2, 0] = True
    with pytest.raises(ValueError, match="border"):
        solve_poisson(0.0, np.zeros((5, 6)), mask)
    with pytest.raises(ValueError, match=r"\(6, 5\)"):
        solve_poisson(0.0, np.zeros((6, 5)), mask)


@pytest.mark.parametrize("lying", [False, True])
def test_the_band_of_a_long_bar_is_narrow_whichever_way_it_lies(
    monkeypatch: pytest.MonkeyPatch, lying: bool
) -> None:
    heights = []
    solve = poisson.solveh_banded

    def watched(band: np.ndarray, *arguments: object, **options: object) -> np.ndarray:
        heights.append(len(band))
        return solve(band, *arguments, **options)

    monkeypatch.setattr(poisson, "solveh_banded", watched)
    mask = np.zeros((60, 12), dtype=bool)
    mask[2:50, 4:7] = True
    mask[3:40, 9] = True  # a component beside it adds nothing
    mask = mask.T if lying else mask
    solve_poisson(1.0, np.zeros(mask.shape), mask)
    assert heights == [4]
