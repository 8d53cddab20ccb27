"""False alarms on normal images, by hand and in the three tasks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from defectbench.metrics.false_alarms import false_alarms, false_alarms_at
from defectbench.tasks.classification import Classification
from defectbench.tasks.detection import Detection


def test_only_normal_images_count():
    assert false_alarms([True, False, True, True], [False, False, False, True]) == 2 / 3
    assert false_alarms([False, True], [False, True]) == 0
    assert math.isnan(false_alarms([True], [True]))
    with pytest.raises(ValueError, match="want"):
        false_alarms([True], [True, False])


def test_one_pixel_at_the_threshold_is_an_alarm():
    maps = np.zeros((3, 2, 2))
    maps[0, 1, 1] = 0.5
    maps[2] = 1.0
    defective = np.array([False, False, True])
    assert false_alarms_at(maps, defective, 0.5) == 0.5
    assert false_alarms_at(maps, defective, 0.51) == 0


def test_a_classifier_that_calls_a_normal_image_defective():
    task = Classification(
        size=32, defects=("a", "b"), products=("p",), steps=1, model="resnet10t", width=0.25
    )
    target = np.eye(3, dtype=bool)[[0, 0, 0, 1]]
    chosen = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.9, 0.1, 0.0]])
    task.measured.add(probability=chosen, target=target)
    assert task.scores()["false_alarms"] == pytest.approx(2 / 3)
    task.measured.add(probability=chosen[3:], target=target[3:])
    assert math.isnan(task.scores()["false_alarms"])
    assert task.reasons["false_alarms"] == "no image is normal"


def test_a_detector_that_finds_a_box_in_a_normal_image():
    pytest.importorskip("faster_coco_eval")
    tiny = {**Detection.tiny}
    task = Detection(size=32, defects=("a",), products=("p",), steps=1, **tiny)
    box = [2.0, 2.0, 12.0, 12.0]
    found = np.array([[0, 0, 0.9, *box], [1, 0, 0.6, *box], [2, 0, 0.2, *box]])
    task.measured.add(found=found, true=np.array([[0, 0, *box]]), images=np.arange(4))
    task.confidence.fill_(0.5)
    scores = task.scores()
    assert scores["false_alarms"] == pytest.approx(1 / 3)
    task.measured.add(found=found, true=np.array([[0, 0, *box]]), images=np.arange(4))
    task.confidence.copy_(torch.tensor(math.nan))
    assert math.isnan(task.scores()["false_alarms"])
    assert "false_alarms" in task.reasons
