"""Mean average precision is COCO's to the last digit: values worked by hand from its definition."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.tasks.parts.average_precision import mean_average_precision

pytest.importorskip("faster_coco_eval")


def boxes(n: int, image: int = 0) -> np.ndarray:
    """Apart from one another, (n, 4)."""
    corner = 20.0 * np.stack([np.arange(n) % 40, np.arange(n) // 40], axis=1)
    return np.concatenate([np.full((n, 1), image), np.zeros((n, 1)), corner, corner + 10], axis=1)


def detections(true: np.ndarray) -> np.ndarray:
    confidence = np.linspace(0.9, 0.1, len(true))[:, None]
    return np.concatenate([true[:, :2], confidence, true[:, 2:]], axis=1)


@pytest.mark.parametrize(
    ("k", "n", "steps"), [(3, 5, 61), (7, 10, 70), (1, 2, 51), (6, 10, 61), (5, 5, 101)]
)
def test_k_of_n_boxes_found_reach_a_recall_of_k_by_n(k: int, n: int, steps: int) -> None:
    """Precision is 1 at the recall thresholds 0.00 to k/n, of 101: 3 of 5 give 61/101 = 0.6040.

    pycocotools gives 70/101 for 7 of 10: its threshold 0.70 is 0.7000000000000001.
    """
    true = boxes(n)
    found = mean_average_precision(detections(true[:k]), true)
    assert found.map50 == pytest.approx(steps / 101, abs=1e-6)
    assert found.map50_95 == pytest.approx(steps / 101, abs=1e-6)


@pytest.mark.parametrize(
    ("overlap", "levels"), [(0.5, 1), (0.55, 2), (0.6, 3), (0.8, 7), (0.85, 8)]
)
def test_a_box_on_a_threshold_counts_at_it(overlap: float, levels: int) -> None:
    true = np.array([[0, 0, 0.0, 0, 100, 20]])
    inside = np.array([[0, 0, 0.9, 0, 0, 100 * overlap, 20]])
    found = mean_average_precision(inside, true)
    assert found.map50_95 == pytest.approx(levels / 10, abs=1e-6)
    assert found.by_class == pytest.approx({0: levels / 10}, abs=1e-6)


@pytest.mark.parametrize(("n", "steps"), [(150, 67), (400, 26)])
def test_the_limit_of_detections_is_coco_s_hundred_or_more_where_images_hold_more(
    n: int, steps: int
) -> None:
    """A hundred perfect detections of 150 boxes reach a recall of 0.66, of 400 one of 0.25."""
    true = boxes(n)
    found = detections(true)
    assert mean_average_precision(found, true).map50 == pytest.approx(steps / 101, abs=1e-6)
    whole = mean_average_precision(found, true, n)
    assert (whole.map50, whole.map50_95) == pytest.approx((1.0, 1.0), abs=1e-6)


def test_a_higher_limit_changes_nothing_where_few_boxes_are() -> None:
    """The library's own answer to a limit other than 100 is -1."""
    few = boxes(5)
    at = [mean_average_precision(detections(few[:3]), few, most).map50_95 for most in (100, 150)]
    assert at[0] == at[1] == pytest.approx(61 / 101, abs=1e-6)
