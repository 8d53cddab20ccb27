from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from defectbench.imaging.components import (
    boxes,
    drop_small,
    encode_rle,
    label_components,
)

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(MASKS)
def test_run_lengths_come_back_exactly(mask: np.ndarray) -> None:
    rle = json.loads(json.dumps(encode_rle(mask)))
    values = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"])
    np.testing.assert_array_equal(values.reshape(mask.shape, order="F"), mask)
    assert all(count > 0 for count in rle["counts"][1:])


def test_run_lengths_go_down_the_columns_and_start_with_zeros() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)
    assert encode_rle(mask) == {"size": [2, 3], "counts": [2, 3, 1]}
    assert encode_rle(~mask) == {"size": [2, 3], "counts": [0, 2, 3, 1]}


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


def test_refuses_what_is_not_a_mask() -> None:
    with pytest.raises(ValueError, match="uint8"):
        boxes(np.zeros((3, 3), np.uint8))
