"""Matching of detections and true boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from defectbench.tasks.parts.matching import best_confidence, iou, rates_at, right


def test_iou_by_hand() -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [8, 8, 9, 9]])
    np.testing.assert_allclose(iou(boxes[:1], boxes), [[1, 4 / 28, 0]])


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_the_most_confident_takes_the_box_and_the_second_is_wrong() -> None:
    true = rows((0, 1, 0, 0, 10, 10))
    found = rows((0, 1, 0.4, 0, 0, 10, 10), (0, 1, 0.9, 0, 0, 10, 9))
    assert right(found, true).tolist() == [False, True]


def test_image_and_class_must_agree() -> None:
    true = rows((0, 1, 0, 0, 10, 10))
    found = rows((1, 1, 0.9, 0, 0, 10, 10), (0, 0, 0.9, 0, 0, 10, 10), (0, 1, 0.1, 0, 0, 10, 4.9))
    assert not right(found, true).any()


def test_a_detection_takes_the_best_box_that_is_free() -> None:
    true = rows((0, 0, 0, 0, 10, 10), (0, 0, 0, 2, 10, 12))
    found = rows((0, 0, 0.9, 0, 1.2, 10, 11.2), (0, 0, 0.8, 0, 1.2, 10, 11.2))
    assert right(found, true).all()


def test_rates_are_means_over_the_classes_that_occur() -> None:
    true = rows((0, 0, 0, 0, 4, 4), (1, 0, 0, 0, 4, 4), (1, 2, 5, 5, 9, 9))
    found = rows(
        (0, 0, 0.9, 0, 0, 4, 4),
        (2, 0, 0.8, 0, 0, 4, 4),
        (1, 0, 0.2, 0, 0, 4, 4),
        (1, 1, 0.9, 0, 0, 4, 4),
    )
    assert rates_at(found, true, 0.5) == (pytest.approx(0.25), pytest.approx(0.25))
    assert rates_at(found, true, 0.2) == (pytest.approx(1 / 3), pytest.approx(0.5))
    assert all(map(math.isnan, rates_at(found, true[:0], 0.5)))


def test_the_best_confidence_by_hand() -> None:
    true = rows((0, 0, 0, 0, 4, 4), (1, 0, 0, 0, 4, 4))
    found = rows(
        (0, 0, 0.9, 0, 0, 4, 4),
        (2, 0, 0.7, 0, 0, 4, 4),
        (1, 0, 0.6, 0, 0, 4, 4),
        (3, 0, 0.1, 0, 0, 4, 4),
    )  # F1 at 0.9: 2/3; at 0.7: 1/2; at 0.6: 4/5; at 0.1: 2/3
    assert best_confidence(found, true) == 0.6
    assert math.isnan(best_confidence(found[:0], true))
    assert math.isnan(best_confidence(found, true[:0]))
