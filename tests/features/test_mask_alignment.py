"""Masks against predictions and backgrounds against sources, on images worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_jaccard_index

from defectbench.features.lpips import Lpips
from defectbench.features.mask_alignment import (
    background_l1,
    background_lpips,
    change_inside,
    mask_iou,
    without_predicted_defect,
    without_visible_change,
)


def _scene(count=4, size=40, seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.integers(60, 180, (count, size, size, 3), dtype=np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    masks[:, 10:20, 12:24] = 255
    return sources, masks


def test_mask_iou_equals_torchmetrics_per_image():
    rng = np.random.default_rng(0)
    given, found = rng.random((2, 5, 16, 16)) < 0.4
    given[4], found[4] = False, False
    ours = mask_iou(given, found)
    for i in range(4):
        expected = binary_jaccard_index(torch.from_numpy(found[i]), torch.from_numpy(given[i]))
        assert ours[i] == pytest.approx(expected.item())
    assert np.isnan(ours[4])
    assert mask_iou(given[:4], given[:4]) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"\(5, 16, 16\) but predicted masks are \(4, 16, 16\)"):
        mask_iou(given, found[:4])


def test_a_defect_inside_its_mask_leaves_the_background_alone():
    sources, masks = _scene()
    images = sources.copy()
    images[:, 12:18, 14:20] = 255
    net = Lpips("alex", seed=0)
    assert (background_l1(images, sources, masks) == 0).all()
    assert (background_lpips(net, images, sources, masks) == 0).all()
    assert (change_inside(images, sources, masks) == 1).all()
    assert (without_visible_change(images, sources, masks) == 0).all()


def test_changes_outside_are_measured_outside_only():
    sources, masks = _scene()
    images = sources.copy()
    images[1, :5] += 51  # a fifth of the range on 5 of 40 rows
    images[1, 12, 14] += 51
    l1 = background_l1(images, sources, masks)
    assert l1[1] == pytest.approx(0.2 * 5 * 40 / (40 * 40 - 10 * 12))
    assert (l1[[0, 2, 3]] == 0).all()
    assert change_inside(images, sources, masks)[1] == pytest.approx(1 / 201)
    assert np.isnan(change_inside(images, sources, masks)[0])
    net = Lpips("alex", seed=0)
    found = background_lpips(net, images, sources, masks)
    assert found[1] > 0.001
    assert (found[[0, 2, 3]] == 0).all()
    inside = images.copy()
    inside[:, 10:20, 12:24] = 0
    np.testing.assert_allclose(background_lpips(net, inside, sources, masks), found, atol=1e-7)


def test_background_lpips_is_lpips_of_the_restored_image():
    sources, masks = _scene()
    images = 255 - sources
    net = Lpips("alex", seed=0)
    restored = np.where(masks[..., None] > 0, sources, images)
    rows = [net(torch.from_numpy(x).permute(0, 3, 1, 2)) for x in (restored, sources)]
    expected = (rows[0] - rows[1]).square().sum(dim=1).numpy()
    np.testing.assert_allclose(background_lpips(net, images, sources, masks), expected, rtol=1e-4)


def test_a_change_is_visible_from_a_level_on_and_not_by_one_noisy_pixel():
    sources, masks = _scene()
    images = sources.copy()
    images[0, 10:20, 12:24] += 12
    images[1, 10:20, 12:24] += 8
    images[2, 14, 16] += 60  # 60 / 9 levels in its 3 x 3 mean
    images[3, 30:35, 30:35] += 60  # outside the mask
    assert without_visible_change(images, sources, masks).tolist() == [0, 1, 1, 1]
    assert without_visible_change(images, sources, masks, levels=6).tolist() == [0, 0, 0, 1]


def test_images_without_a_predicted_defect():
    scores = np.zeros((3, 8, 8))
    scores[0, 2, 2], scores[1, 5, 5] = 0.6, 0.5
    assert without_predicted_defect(scores, 0.6).tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="hold NaN"):
        without_predicted_defect(scores * np.nan, 0.5)


def test_arrays_that_do_not_fit_are_refused():
    sources, masks = _scene()
    with pytest.raises(
        ValueError, match=r"images are \(3, 40, 40, 3\) uint8; want \(4, 40, 40, 3\)"
    ):
        background_l1(sources[:3], sources, masks)
    with pytest.raises(ValueError, match=r"sources are .* float64"):
        background_l1(sources, sources / 2, masks)
    full = np.ones_like(masks)
    assert np.isnan(background_l1(sources, sources, full)).all()
