from __future__ import annotations

import numpy as np
import pytest

from defectbench.imaging.grid import grid


def tiles(count: int, height: int = 20, width: int = 30) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, size=(count, height, width, 3), dtype=np.uint8))


def test_tiles_lie_in_reading_order_with_white_between() -> None:
    images = tiles(5)
    sheet = grid(images, 3, pad=4)
    assert sheet.shape == (4 + 2 * 24, 4 + 3 * 34, 3)
    assert sheet.dtype == np.uint8
    rest = np.ones(sheet.shape[:2], dtype=bool)
    for index, image in enumerate(images):
        y, x = 4 + index // 3 * 24, 4 + index % 3 * 34
        np.testing.assert_array_equal(sheet[y : y + 20, x : x + 30], image)
        rest[y : y + 20, x : x + 30] = False
    assert (sheet[rest] == 255).all()


def test_grey_images_and_masks_are_drawn_too_and_enlarged() -> None:
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    mask = np.eye(4, dtype=bool)
    sheet = grid([grey, mask], 2, pad=0, scale=3)
    assert sheet.shape == (12, 24, 3)
    np.testing.assert_array_equal(sheet[1::3, 1:12:3, 2], grey)
    np.testing.assert_array_equal(sheet[::3, 12::3, 0], mask * 255)


@pytest.mark.parametrize("kind", ["labels", "column_labels", "row_labels"])
def test_labels_add_ink_outside_the_tiles_only(kind: str) -> None:
    images = tiles(4)
    plain = grid(images, 2)
    count = {"labels": 4}.get(kind, 2)
    sheet = grid(images, 2, **{kind: ["Wg"] * count})
    taller, wider = (sheet.shape[axis] > plain.shape[axis] for axis in (0, 1))
    assert (taller, wider) == (kind != "row_labels", kind == "row_labels")
    ink = (sheet < 128).all(axis=2).sum() - sum((image < 128).all(axis=2).sum() for image in images)
    assert ink > 20
    blank = grid(images, 2, **{kind: [""] * count})
    found = [
        (blank[y : y + 20, x : x + 30] == images[0]).all()
        for y in range(blank.shape[0] - 19)
        for x in range(blank.shape[1] - 29)
    ]
    assert sum(found) == 1


def test_long_column_labels_are_cut_to_their_tile() -> None:
    white = [np.full((40, 40, 3), 255, np.uint8)] * 2
    sheet = grid(white, 2, column_labels=["a very long name indeed", ""], pad=2)
    assert (sheet[:, 43:] == 255).all()
    assert (sheet[:, :43] < 128).any()


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="0 images"):
        grid([], 2)
    with pytest.raises(ValueError, match="sizes"):
        grid([*tiles(1), *tiles(1, 21)], 2)
    with pytest.raises(ValueError, match="3 row_labels; wants 2"):
        grid(tiles(4), 2, row_labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="float64"):
        grid([np.zeros((4, 4, 3))], 1)
    with pytest.raises(ValueError, match="scale"):
        grid(tiles(1), 1, scale=0)
