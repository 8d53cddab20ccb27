"""Pixel scores against torchmetrics and against definitions written out in full."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_f1_score,
    binary_jaccard_index,
)

from defectbench.metrics import pixel


def _maps(seed: int, levels: int | None = None, share: float = 0.1):
    rng = np.random.default_rng(seed)
    targets = rng.random((4, 24, 20)) < share
    scores = rng.normal(size=targets.shape) + 1.2 * targets
    if levels:
        scores = np.round(scores * levels) / levels  # many ties
    return scores, targets


@pytest.mark.parametrize("levels", [None, 2, 10])
def test_curves_equal_torchmetrics_with_and_without_ties(levels):
    scores, targets = _maps(0, levels)
    # torchmetrics squashes scores outside [0, 1] through a sigmoid, so they go in scaled.
    unit = (scores - scores.min()) / np.ptp(scores)
    t, y = torch.from_numpy(unit.ravel()), torch.from_numpy(targets.ravel().astype(np.int64))
    assert pixel.pixel_auc(unit, targets) == pytest.approx(binary_auroc(t, y).item(), abs=1e-6)
    expected = binary_average_precision(t, y).item()
    assert pixel.average_precision(unit, targets) == pytest.approx(expected, abs=1e-6)


def test_counts_at_a_threshold_equal_torchmetrics():
    scores, targets = _maps(1)
    prediction = torch.from_numpy((scores >= 0.8).astype(np.int64))
    y = torch.from_numpy(targets.astype(np.int64))
    assert pixel.f1_at(scores, targets, 0.8) == pytest.approx(
        binary_f1_score(prediction.flatten(), y.flatten()).item()
    )
    defect = binary_jaccard_index(prediction, y).item()
    background = binary_jaccard_index(1 - prediction, 1 - y).item()
    assert pixel.iou_at(scores, targets, 0.8) == pytest.approx(defect)
    mean = pixel.mean_iou_at(scores, targets, 0.8)
    assert mean == pytest.approx((defect + background) / 2)


@pytest.mark.parametrize("levels", [None, 3])
def test_best_f1_is_the_best_over_every_score_and_is_reached_at_its_threshold(levels):
    scores, targets = _maps(2, levels)
    every = [pixel.f1_at(scores, targets, value) for value in np.unique(scores)]
    threshold, f1 = pixel.best_f1_threshold(scores, targets)
    assert f1 == pytest.approx(max(every))
    assert pixel.f1_at(scores, targets, threshold) == pytest.approx(f1)
    assert pixel.f1_max(scores, targets) == f1
    grid = np.linspace(0, 1, 21)
    coarse = max(pixel.f1_at(scores, targets, value) for value in grid)
    assert pixel.f1_max(scores, targets, grid) == pytest.approx(coarse)


def _pro_by_definition(scores, masks, limit):
    """Overlap and false-positive rate at every distinct score, joined by straight lines."""
    stack, truth = np.stack(scores), np.stack(masks)
    regions = []
    for index, mask in enumerate(truth):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
        regions += [(index, labels == name) for name in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for value in np.unique(stack)[::-1]:
        hit = stack >= value
        overlap = np.mean([hit[index][region].mean() for index, region in regions])
        points.append((hit[~truth].mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_pro_equals_its_definition(levels, limit):
    scores, _ = _maps(3, levels)
    blobs = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=scores.shape), (0, 2, 2))
    masks = blobs > 0.12
    masks[0] = False  # an image without a defect still gives false positives
    scores = scores + masks
    expected = _pro_by_definition(scores, masks, limit)
    assert pixel.pro(scores, masks, limit) == pytest.approx(expected, abs=1e-12)


def test_pro_weighs_regions_equally_and_takes_maps_of_different_sizes():
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[0, 0] = 1
    mask[4:10, 4:10] = 1
    found_small = np.where(np.arange(144).reshape(12, 12) == 0, 1.0, 0.0)
    # The small region is found at no cost, the big one only with everything else at once.
    assert pixel.pro([found_small], [mask], 1.0) == pytest.approx(0.5 + 0.25)
    other = np.zeros((6, 9))
    assert pixel.pro([found_small, other], [mask, other], 1.0) == pytest.approx(0.75)
    perfect = mask.astype(float)
    assert pixel.pro([perfect], [mask], 0.3) == pytest.approx(1.0)


@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_pro_equals_the_mean_partial_auc_of_its_regions_by_torchmetrics(limit):
    """A region's overlap over the false-positive rate is its ROC curve against all normal pixels."""
    rng = np.random.default_rng(6)
    masks = ndimage.gaussian_filter(rng.normal(size=(3, 24, 20)), (0, 2, 2)) > 0.12
    scores = rng.random(masks.shape) + 0.5 * masks
    scores /= scores.max()
    normal, found = scores[~masks], []
    for score, mask in zip(scores, masks, strict=True):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
        for name in range(1, count + 1):
            inside = score[labels == name]
            truth = np.r_[np.ones(len(inside)), np.zeros(len(normal))].astype(np.int64)
            scaled = binary_auroc(
                torch.from_numpy(np.r_[inside, normal]), torch.from_numpy(truth), max_fpr=limit
            ).item()
            least = limit**2 / 2  # McClish's scaling, undone
            found.append(((2 * scaled - 1) * (limit - least) + least) / limit)
    assert len(found) > 3
    assert pixel.pro(scores, masks, limit) == pytest.approx(np.mean(found), abs=1e-5)


def test_diagonal_neighbours_are_one_region():
    diagonal = np.eye(6, dtype=bool)
    score = np.zeros((6, 6))
    score[0, 0] = 1.0  # one sixth of the one region, not one of six regions
    expected = _pro_by_definition([score], [diagonal], 1.0)
    assert pixel.pro([score], [diagonal], 1.0) == pytest.approx(expected)
    assert expected == pytest.approx((1 / 6 + 1) / 2)


def test_image_scores_are_the_maximum_of_the_box_mean():
    maps = np.random.default_rng(0).random((3, 30, 26))
    pooled = torch.nn.functional.avg_pool2d(
        torch.from_numpy(maps)[:, None], 21, stride=1, padding=10
    )
    np.testing.assert_allclose(pixel.image_scores(maps), pooled.amax((1, 2, 3)).numpy())
    np.testing.assert_allclose(pixel.image_scores(maps, 1), maps.max((1, 2)))
    with pytest.raises(ValueError, match="window is 20"):
        pixel.image_scores(maps, 20)


_pixels = hnp.arrays(np.float32, (40,), elements=st.floats(-3, 3, width=16))
_truth = hnp.arrays(np.bool_, (40,))


@settings(max_examples=60, deadline=None)
@given(scores=_pixels, targets=_truth, seed=st.integers(0, 99))
def test_order_and_monotone_rescaling_change_nothing(scores, targets, seed):
    shuffled = np.random.default_rng(seed).permutation(40)
    for score in (pixel.pixel_auc, pixel.average_precision, pixel.f1_max):
        value = score(scores, targets)
        again = score(scores[shuffled], targets[shuffled])
        # A monotone map that keeps ties: ranks.
        ranks = score(np.unique(scores, return_inverse=True)[1], targets)
        assert np.array_equal([value, value], [again, ranks], equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(scores=_pixels, targets=_truth)
def test_swapping_classes_mirrors_the_auc(scores, targets):
    value = pixel.pixel_auc(scores, targets)
    mirrored = pixel.pixel_auc(-scores, targets)
    if targets.any() and not targets.all():
        assert value + mirrored == pytest.approx(1)
        assert pixel.pixel_auc(scores, ~targets) == pytest.approx(mirrored)
    else:
        assert np.isnan(value)
        assert np.isnan(mirrored)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.uint16])
def test_every_score_dtype_gives_the_value_of_its_exact_numbers(dtype):
    rng = np.random.default_rng(4)
    scores = (rng.random(500) * 200).astype(dtype)
    targets = rng.random(500) < 0.3
    expected = pixel.pixel_auc(scores.astype(np.float64), targets)
    assert pixel.pixel_auc(scores, targets) == expected


def test_undefined_scores_are_nan():
    scores, nothing = np.arange(6.0), np.zeros(6)
    assert np.isnan(pixel.pixel_auc(scores, nothing))
    assert np.isnan(pixel.average_precision(scores, nothing))
    everything = np.ones_like(nothing)
    assert np.isnan(pixel.average_precision(scores, everything))  # any ranking would be perfect
    assert np.isnan(pixel.image_average_precision(scores.ravel(), everything.ravel()))
    assert np.isnan(pixel.best_f1_threshold(scores, nothing).threshold)
    assert np.isnan(pixel.f1_max(scores, nothing, [0.5]))
    assert np.isnan(pixel.f1_at(scores, nothing, 9.0))
    assert pixel.f1_at(scores, nothing, 3.0) == 0
    assert np.isnan(pixel.iou_at(scores, nothing, 9.0))
    assert pixel.mean_iou_at(scores, nothing, 9.0) == 1
    assert np.isnan(pixel.pro(scores.reshape(1, 2, 3), nothing.reshape(1, 2, 3)))


@pytest.mark.parametrize(
    "score",
    [pixel.pixel_auc, pixel.average_precision, lambda s, t: pixel.f1_at(s, t, 0.5)],
)
def test_bad_input_is_refused_by_name(score):
    with pytest.raises(ValueError, match="1 of 4 scores are NaN"):
        score([0.1, np.nan, 0.3, 0.4], [0, 1, 0, 1])
    with pytest.raises(ValueError, match="other values than 0 and 1"):
        score([0.1, 0.2], [0, 255])
    with pytest.raises(ValueError, match=r"\(2,\) but targets are \(3,\)"):
        score([0.1, 0.2], [0, 1, 1])


def test_pro_refuses_bad_input_by_name():
    good = np.zeros((1, 4, 4))
    with pytest.raises(ValueError, match="fpr_limit is 0"):
        pixel.pro(good, good, 0)
    with pytest.raises(ValueError, match="1 score maps but 2 masks"):
        pixel.pro(good, np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="map 0 holds 16 NaN"):
        pixel.pro(good * np.nan, good)
    with pytest.raises(ValueError, match=r"map 0 is \(4, 4\), its mask \(4, 5\)"):
        pixel.pro(good, np.zeros((1, 4, 5)))


def test_the_threshold_of_images_lets_no_large_mask_decide():
    """Three images with a small clear defect, one with a large faint one, one normal with a faint false alarm."""
    masks, maps = np.zeros((5, 20, 20), bool), np.full((5, 20, 20), 0.01)
    for i in range(3):
        masks[i, 2:4, 2:4] = True
        maps[i, 2:4, 2:4] = 0.8
    masks[3, :15] = True
    maps[3, :15] = 0.2
    maps[4, 0, 0] = 0.3
    pooled = pixel.best_f1_threshold(maps, masks)
    by_image = pixel.best_image_f1_threshold(maps, masks)
    assert pooled.threshold == pytest.approx(0.2)
    assert 0.3 < by_image.threshold <= 0.8
    assert by_image.f1 == pytest.approx((3 + 0 + 1) / 5)
    assert math.isnan(pixel.best_image_f1_threshold(maps, np.zeros_like(masks)).threshold)
    with pytest.raises(ValueError, match="expected the same"):
        pixel.best_image_f1_threshold(maps[:2], masks)
