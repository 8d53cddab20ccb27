"""Masks at another size: what a shrunk mask must keep, and what nearest loses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from defectbench.imaging.shrinking import resize_mask

EIGHT = np.ones((3, 3))


def scratch(size: int, seed: int) -> np.ndarray:
    """A line of one pixel, from edge to edge."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint8)
    y0, y1 = rng.integers(0, size, 2)
    for x in range(size):
        mask[round(y0 + (y1 - y0) * x / (size - 1)), x] = 1
    return mask


def test_a_line_between_the_middles_vanishes_under_nearest_and_stays_whole_by_area():
    mask = np.zeros((512, 512), np.uint8)
    mask[9, 40:440] = 1  # the middles of 8 x 8 pixels are at 4, 12, 20
    assert resize_mask(mask, 64, "nearest").sum() == 0
    small = resize_mask(mask, 64, "area")
    assert np.argwhere(small)[:, 0].tolist() == [1] * 50, "400 px of the line are 50 of the new"
    assert small[1, 5:55].all()


@pytest.mark.parametrize("seed", range(20))
def test_every_region_keeps_a_pixel_where_it_lies(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(65, 400, 2)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(12):
        y, x = rng.integers(0, height), rng.integers(0, width)
        h, w = rng.integers(1, 9, 2)
        mask[y : y + h, x : x + w] = 1
    small = resize_mask(mask, 64, "area")
    assert small.shape == (64, 64)
    assert set(np.unique(small)) <= {0, 1}
    regions, count = label(mask, structure=EIGHT)
    for number in range(1, count + 1):
        ys, xs = np.nonzero(regions == number)
        rows = np.unique(np.floor(ys * 64 / height).astype(int))
        columns = np.unique(np.floor(xs * 64 / width).astype(int))
        assert small[rows[0] : rows[-1] + 2, columns[0] : columns[-1] + 2].any()
    away = np.ones((64, 64), bool)  # nothing is set where nothing was marked
    for y, x in np.argwhere(mask):
        top, left = int(y * 64 / height), int(x * 64 / width)
        away[top : int(np.ceil((y + 1) * 64 / height)), left : int(np.ceil((x + 1) * 64 / width))] = False  # fmt: skip
    assert not small[away].any()


@pytest.mark.parametrize("seed", range(9))
def test_scratches_keep_their_length(seed):
    small = resize_mask(scratch(512, seed), 64, "area")
    assert label(small, structure=EIGHT)[1] == 1, "in one piece"
    assert small.any(axis=0).all(), "from edge to edge"
    assert small.sum() <= 2 * 64 + 64, "one or two pixels wide"


def test_what_is_large_keeps_its_area():
    mask = np.zeros((300, 500), np.uint8)
    mask[37:203, 101:333] = 1
    small = resize_mask(mask, 64, "area")
    assert small.mean() == pytest.approx(mask.mean(), rel=0.03)


@pytest.mark.parametrize("shape", [(64, 64), (40, 64), (31, 17)])
def test_enlarged_masks_and_those_of_the_right_size_are_the_same_under_both(shape):
    mask = (np.random.default_rng(0).random(shape) < 0.2).astype(np.uint8)
    assert np.array_equal(resize_mask(mask, 64, "area"), resize_mask(mask, 64, "nearest"))
    if shape == (64, 64):
        assert np.array_equal(resize_mask(mask, 64, "area"), mask)


def test_an_empty_mask_stays_empty_and_a_full_one_full():
    for value in (0, 1):
        mask = np.full((100, 200), value, np.uint8)
        assert (resize_mask(mask, 64, "area") == value).all()
