from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from defectbench.imaging.masks import anchor_difference_mask, difference_mask, outline

Derive = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, bool]]


def surface(side: int = 128) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(side, side))
    grain = ndimage.gaussian_filter(noise, (1.0, 3.0))
    grey = 140 + 25 * grain / grain.std()
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def truth(side: int = 128) -> np.ndarray:
    y, x = np.mgrid[:side, :side] * (128 / side)
    return (np.hypot(y - 50, x - 70) < 14) | ((np.abs(y - 100) < 2.5) & (x > 20) & (x < 90))


def paste(image: np.ndarray, mask: np.ndarray, change: int = -70) -> np.ndarray:
    return (
        np.where(mask[..., None], image.astype(int) + change, image).clip(0, 255).astype(np.uint8)
    )


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


@pytest.mark.parametrize("side", [64, 128, 256])
@pytest.mark.parametrize("derive", [difference_mask, anchor_difference_mask])
def test_recovers_a_pasted_defect(derive: Derive, side: int) -> None:
    source, mask = surface(side), truth(side)
    found, valid = derive(paste(source, mask), source)
    assert valid
    assert iou(found, mask) > 0.8


def test_sees_through_reconstruction_error_and_a_drift_of_tone() -> None:
    source, mask = surface(), truth()
    rng = np.random.default_rng(1)
    image = paste(source, mask).astype(float) + 12 + rng.normal(0, 4, size=source.shape)
    found, valid = difference_mask(image.clip(0, 255).astype(np.uint8), source)
    assert valid
    assert iou(found, mask) > 0.7


def test_the_blur_takes_out_pixel_noise_that_would_spoil_the_background() -> None:
    source, mask = surface(), truth()
    noise = np.random.default_rng(1).normal(0, 22, size=source.shape)
    image = (paste(source, mask).astype(float) + noise).clip(0, 255).astype(np.uint8)
    assert difference_mask(image, source)[1]
    assert not anchor_difference_mask(image, source)[1]


def test_pale_margins_belong_to_the_defect_that_they_touch() -> None:
    y, x = np.mgrid[:128, :128]
    core, defect = np.hypot(y - 60, x - 60) < 14, np.hypot(y - 60, x - 60) < 20
    source = np.full((128, 128, 3), 180, dtype=np.uint8)
    image = paste(paste(source, defect, -22), core, -40)
    image[100:110, 100:110] -= 22  # as pale, but touches nothing strong
    found, valid = anchor_difference_mask(image, source)
    assert valid
    np.testing.assert_array_equal(found, defect)


def test_a_coloured_change_of_one_channel_is_seen() -> None:
    source, mask = surface(), truth()
    image = source.copy()
    image[mask, 2] -= 60
    found, valid = difference_mask(image, source)
    assert valid
    assert iou(found, mask) > 0.8


@pytest.mark.parametrize("derive", [difference_mask, anchor_difference_mask])
@pytest.mark.parametrize("shift", [3, 11])
def test_refuses_a_shifted_image(derive: Derive, shift: int) -> None:
    source = surface()
    _, valid = derive(paste(np.roll(source, shift, axis=0), truth()), source)
    assert not valid


@pytest.mark.parametrize("derive", [difference_mask, anchor_difference_mask])
def test_refuses_an_unchanged_image(derive: Derive) -> None:
    found, valid = derive(surface(), surface())
    assert not valid
    assert not found.any()


def test_refuses_a_tone_drift_alone_and_an_anchor_that_drifted() -> None:
    brighter = surface().clip(0, 200) + np.uint8(30)
    source = brighter - np.uint8(30)
    found, valid = difference_mask(brighter, source)
    assert not valid
    assert not found.any()
    assert not anchor_difference_mask(brighter, source)[1]


def test_refuses_a_change_of_half_the_image() -> None:
    source = surface()
    mask = np.zeros((128, 128), dtype=bool)
    mask[:70] = True
    found, valid = anchor_difference_mask(paste(source, mask), source)
    assert iou(found, mask) > 0.95
    assert not valid


@pytest.mark.parametrize(("side", "least"), [(64, 4), (128, 16), (256, 64)])
def test_specks_below_the_scaled_area_go(side: int, least: int) -> None:
    source = surface(side)
    for pixels, kept in ((least - 1, False), (least, True)):
        mask = np.zeros((side, side), dtype=bool)
        mask[20, 10 : 10 + pixels // 2] = mask[21, 10 : 10 + pixels - pixels // 2] = True
        found, _ = anchor_difference_mask(paste(source, mask), source)
        assert found.any() == kept


def test_holes_are_filled_and_gaps_of_a_line_closed_up_to_the_border() -> None:
    source, mask = surface(), np.zeros((128, 128), dtype=bool)
    mask[40:60, 40:60] = True
    mask[100, :] = True
    broken = mask.copy()
    broken[48:52, 48:52] = broken[100, 30::20] = False
    found, _ = anchor_difference_mask(paste(source, broken), source)
    np.testing.assert_array_equal(found, mask)


def test_outline_surrounds_the_mask_and_covers_nothing_of_it() -> None:
    image, mask = surface(), truth()
    before = image.copy()
    drawn = outline(image, mask, (0, 255, 0))
    changed = (drawn != image).any(axis=2)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(changed, ndimage.binary_dilation(mask, np.ones((3, 3))) & ~mask)
    assert (drawn[changed] == (0, 255, 0)).all()


def test_errors_name_what_was_given() -> None:
    image = surface(16)
    with pytest.raises(ValueError, match=r"\(16, 15, 3\)"):
        difference_mask(image, image[:, :15])
    with pytest.raises(ValueError, match="float64"):
        anchor_difference_mask(image.astype(float), image)
    with pytest.raises(ValueError, match=r"\(15, 16\)"):
        outline(image, np.zeros((15, 16), bool))
