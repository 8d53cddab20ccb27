from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from defectbench.imaging.watershed import content_mask, narrow

SIDE = 128


def blob() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = np.arctan2(y - 64, x - 60)
    return np.hypot(y - 64, x - 60) < 28 + 6 * np.cos(5 * angle)


def scratch() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return (np.abs(y - 20 - 0.6 * x) < 2.2) & (x > 10) & (x < 118)


def hair() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[100, 10:110] = True
    return mask


def blob_with_tail() -> np.ndarray:
    mask = blob()
    mask[64, 60:126] = True
    return mask


def draw(
    mask: np.ndarray,
    background: int,
    *,
    value: float = 190,
    noise: float = 0.0,
    blur: float = 0.0,
) -> np.ndarray:
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=mask.shape), 2)
    image = np.where(mask, value + 12 * texture / texture.std(), background).astype(float)
    image = ndimage.gaussian_filter(image, blur)[..., None] + noise * rng.normal(
        size=(SIDE, SIDE, 3)
    )
    return np.rint(image).clip(0, 255).astype(np.uint8)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


@pytest.mark.parametrize("shape", [blob, scratch, hair, blob_with_tail])
@pytest.mark.parametrize("background", [0, 110])
@pytest.mark.parametrize(("noise", "blur"), [(0, 0), (0, 0.6), (5, 0.6)])
def test_recovers_a_shape_on_a_constant_background(
    shape: Callable[[], np.ndarray], background: int, noise: float, blur: float
) -> None:
    truth = shape()
    found = content_mask(draw(truth, background, noise=noise, blur=blur), background)
    assert iou(found, truth) > 0.8


def test_the_pale_part_of_a_defect_follows_its_strong_part() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    truth = np.hypot(y - 64, x - 64) < 36
    fading = np.where(truth, 220 - 2.7 * (x - 28), 0).clip(0)[..., None].repeat(3, axis=2)
    found = content_mask(fading.astype(np.uint8), 0)
    assert fading[truth].min() < 30
    assert iou(found, truth) > 0.97


def test_a_coloured_defect_as_bright_as_the_background_is_found() -> None:
    truth = blob()
    image = np.full((SIDE, SIDE, 3), 80, dtype=np.uint8)
    image[truth] = (150, 45, 80)  # luminance 80
    assert iou(content_mask(image, 80), truth) > 0.99


def test_every_foreground_component_survives_unless_small() -> None:
    truth = np.zeros((SIDE, SIDE), dtype=bool)
    truth[10:30, 10:30] = True
    truth[50, 10:40] = True  # 30 pixels
    truth[70:75, 60:65] = True  # 25
    truth[90:94, 90:96] = True  # 24
    found = content_mask(draw(truth, 0), 0)
    truth[90:94, 90:96] = False
    np.testing.assert_array_equal(found, truth)


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    truth = blob()
    small, large = truth.copy(), truth.copy()
    small[60:64, 60:64] = False
    large[58:68, 58:68] = False
    np.testing.assert_array_equal(content_mask(draw(small, 0), 0), truth)
    np.testing.assert_array_equal(content_mask(draw(large, 0), 0), large)


def test_a_ring_closed_over_corners_holds_its_hole() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    reach = np.abs(y - 64) + np.abs(x - 64)
    found = content_mask(draw(reach == 3, 0), 0, min_area=14)
    np.testing.assert_array_equal(found, reach <= 3)


@pytest.mark.parametrize("background", [0, 77, 255])
def test_constant_images_are_empty(background: int) -> None:
    image = np.full((64, 64, 3), background, dtype=np.uint8)
    assert not content_mask(image, background).any()


@pytest.mark.parametrize("background", [0, 110, 255])
@pytest.mark.parametrize("noise", [2, 8, 16])
def test_noise_alone_is_empty(background: int, noise: float) -> None:
    image = draw(np.zeros((SIDE, SIDE), bool), background, noise=noise)
    assert not content_mask(image, background, min_area=4).any()


def test_a_background_within_the_floor_is_empty() -> None:
    image = np.full((64, 64, 3), 108, dtype=np.uint8)
    image[:, 32:] = 104
    assert not content_mask(image, 100).any()
    assert content_mask(image, 100, floor=5).mean() == 0.5


@pytest.mark.parametrize("pixels", [0, 1, 3])
@pytest.mark.parametrize("shape", [blob, scratch, hair])
def test_narrowing_takes_back_what_a_view_had_widened(
    shape: Callable[[], np.ndarray], pixels: int
) -> None:
    truth = shape()
    truth[:20, :9] = True  # also at the border
    wide = ndimage.binary_dilation(truth, np.ones((2 * pixels + 1,) * 2))
    narrowed = narrow(wide, pixels)
    assert not (truth & ~narrowed).any()
    assert iou(narrowed, truth) > 0.97


def test_narrowing_leaves_the_core_of_what_is_thin() -> None:
    mask = np.zeros((32, 32), dtype=bool)
    mask[4:9, 4:30] = True  # five high: after three rows from each side nothing would be left
    mask[20, 6:20] = True
    expected = np.zeros_like(mask)
    expected[6, 6:28] = True
    expected[20, 6:20] = True
    np.testing.assert_array_equal(narrow(mask, 3), expected)
    assert not narrow(np.zeros((8, 8), dtype=bool), 2).any()


def test_refuses_what_is_not_a_colour_image_and_grey_value() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        content_mask(np.zeros((8, 8), np.uint8), 0)
    with pytest.raises(ValueError, match="300"):
        content_mask(np.zeros((8, 8, 3), np.uint8), 300)
