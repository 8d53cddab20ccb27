"""Masks from what a translation changed."""

import torch

from defectbench.nn.masks.difference import anchor_masks, difference_masks


def test_masks_by_difference_find_a_box_and_refuse_a_changed_background():
    source = torch.zeros(2, 3, 32, 32)
    image = source.clone()
    image[0, :, 8:16, 8:16] = 1.0
    image[1] += torch.linspace(-1, 1, 32)
    mask, valid = difference_masks(image, source)
    assert valid.tolist() == [True, False]
    wanted = torch.zeros(32, 32)
    wanted[8:16, 8:16] = 1
    overlap = (mask[0, 0] * wanted).sum() / (mask[0, 0] + wanted).clamp(max=1).sum()
    assert overlap > 0.6


def test_an_anchor_cancels_what_both_images_share():
    anchor = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    image = anchor.clone()
    image[..., 4:12, 20:28] += 0.8
    mask, valid = anchor_masks(image, anchor)
    assert valid.tolist() == [True]
    assert mask[0, 0, 4:12, 20:28].mean() == 1
    assert mask.sum() < 1.3 * 64
