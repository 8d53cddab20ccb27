"""Balanced accuracy of several labels per image."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.metrics.labels import balanced_accuracy


def test_all_labels_on_and_none_on_are_worth_one_half():
    truth = np.random.default_rng(0).random((40, 5)) < 0.3
    assert balanced_accuracy(np.ones_like(truth), truth) == 0.5
    assert balanced_accuracy(np.zeros_like(truth), truth) == 0.5
    assert balanced_accuracy(truth, truth) == 1
    assert balanced_accuracy(~truth, truth) == 0


def test_the_mean_of_each_labels_own():
    rng = np.random.default_rng(1)
    truth, predicted = rng.random((60, 4)) < 0.4, rng.random((60, 4)) < 0.5
    truth[:, 3] = True  # a label that every image has is left out
    each = []
    for k in range(3):
        yes, no = truth[:, k], ~truth[:, k]
        each.append((predicted[yes, k].mean() + (~predicted[no, k]).mean()) / 2)
    assert balanced_accuracy(predicted, truth) == pytest.approx(np.mean(each))


def test_what_has_no_value_or_no_shape():
    assert np.isnan(balanced_accuracy(np.ones((3, 2)), np.ones((3, 2))))
    with pytest.raises(ValueError, match=r"\(3, 2\) and truth \(3, 4\)"):
        balanced_accuracy(np.ones((3, 2)), np.ones((3, 4)))
