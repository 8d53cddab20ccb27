from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from defectbench.imaging.components import (
    boxes,
    decode_rle,
    drop_small,
    encode_rle,
    label_components,
    polygons,
)

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
EIGHT = np.ones((3, 3), dtype=bool)


def rasterise(contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a contour of pixel edges: each vertical edge toggles what lies to its right."""
    inside = np.zeros(shape, dtype=bool)
    for (x, y), (next_x, next_y) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        assert x == next_x or y == next_y
        if x == next_x:
            inside[int(min(y, next_y)) : int(max(y, next_y)), int(x) :] ^= True
    return inside


def area(contour: np.ndarray) -> float:
    x, y = contour.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


@given(MASKS)
def test_run_lengths_come_back_exactly(mask: np.ndarray) -> None:
    rle = encode_rle(mask)
    np.testing.assert_array_equal(decode_rle(json.loads(json.dumps(rle))), mask)
    assert all(count > 0 for count in rle["counts"][1:])


def test_run_lengths_go_down_the_columns_and_start_with_zeros() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)
    assert encode_rle(mask) == {"size": [2, 3], "counts": [2, 3, 1]}
    assert encode_rle(~mask) == {"size": [2, 3], "counts": [0, 2, 3, 1]}


def test_refuses_run_lengths_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="6 pixels"):
        decode_rle({"size": [2, 3], "counts": [2, 3]})
    with pytest.raises(ValueError, match="negative"):
        decode_rle({"size": [2, 3], "counts": [9, -3]})


@given(MASKS)
def test_boxes_hold_their_components_and_nothing_else(mask: np.ndarray) -> None:
    found = boxes(mask)
    assert len(found) == label_components(mask)[1]
    covered = np.zeros_like(mask)
    for box in found:
        covered[box.y0 : box.y1, box.x0 : box.x1] = True
        part = mask[box.y0 : box.y1, box.x0 : box.x1]
        for edge in (part[0], part[-1], part[:, 0], part[:, -1]):
            assert edge.any()
    assert not (mask & ~covered).any()
    assert sum(box.area for box in found) == mask.sum()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 6), st.integers(1, 6)),
        unique_by=lambda rectangle: rectangle[:2],
        max_size=8,
    )
)
def test_drawn_rectangles_come_back_as_boxes(rectangles: list[tuple[int, int, int, int]]) -> None:
    mask = np.zeros((32, 32), dtype=bool)
    drawn = set()
    for row, column, height, width in rectangles:
        y, x = row * 8 + 1, column * 8 + 1
        mask[y : y + height, x : x + width] = True
        drawn.add((x, y, x + width, y + height, height * width))
    assert {tuple(box) for box in boxes(mask)} == drawn


def test_boxes_join_over_corners_and_drop_small_components() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = mask[5, 7] = True
    assert boxes(mask) == [(0, 0, 3, 3, 3), (7, 5, 8, 6, 1)]
    assert boxes(mask, min_area=2) == [(0, 0, 3, 3, 3)]
    assert boxes(np.zeros((4, 4), bool)) == []


def test_drop_small_counts_by_the_connectivity_given() -> None:
    mask = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(drop_small(mask, 4), mask)
    assert not drop_small(mask, 2, connectivity=4).any()
    with pytest.raises(ValueError, match="6"):
        drop_small(mask, 2, connectivity=6)


@settings(max_examples=300)
@given(MASKS)
def test_polygons_enclose_each_component_with_its_holes_filled(mask: np.ndarray) -> None:
    labels, count = label_components(mask)
    contours = polygons(mask)
    assert len(contours) == count
    for index, contour in enumerate(contours, start=1):
        # What the background reaches without crossing a corner of the component is outside.
        filled = ndimage.binary_fill_holes(labels == index)
        np.testing.assert_array_equal(rasterise(contour, mask.shape), filled)
        assert area(contour) == filled.sum()
        assert len(contour) >= 4


def test_polygon_corners_of_a_rectangle_and_a_pixel() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:5, 3:9] = True
    mask[8, 1] = True
    rectangle, pixel = polygons(mask)
    np.testing.assert_array_equal(rectangle, [(9, 2), (9, 5), (3, 5), (3, 2)])
    np.testing.assert_array_equal(pixel, [(2, 8), (2, 9), (1, 9), (1, 8)])
    assert len(polygons(mask, min_area=2)) == 1


@given(MASKS, st.sampled_from([0.5, 1.0, 3.0, 50.0]))
def test_simplified_polygons_keep_three_points_within_the_box(
    mask: np.ndarray, tolerance: float
) -> None:
    for contour, box in zip(polygons(mask, tolerance=tolerance), boxes(mask), strict=True):
        assert len(contour) >= 3
        assert (contour >= (box.x0, box.y0)).all()
        assert (contour <= (box.x1, box.y1)).all()


def test_a_simplified_disc_has_few_points_and_nearly_its_area() -> None:
    y, x = np.mgrid[:80, :80]
    mask = np.hypot(y - 40, x - 40) < 30
    (exact,) = polygons(mask)
    (simple,) = polygons(mask, tolerance=1.0)
    assert len(simple) < len(exact) / 3
    assert area(simple) == pytest.approx(mask.sum(), rel=0.03)


def test_refuses_what_is_not_a_mask() -> None:
    with pytest.raises(ValueError, match="uint8"):
        boxes(np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="tolerance"):
        polygons(np.zeros((3, 3), bool), tolerance=-1)
