"""Binary masks from images, soft masks and objects."""

import torch

from defectbench.nn.masks.drawn_masks import (
    LEAST_CONTRAST,
    anchor_masks,
    difference_masks,
    harden,
    object_masks,
)


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


def test_soft_masks_are_split_at_a_level_or_by_otsu():
    soft = torch.zeros(5, 1, 8, 8)
    soft[0, :, 2:5, 2:5] = 0.9
    soft[1, :, 2:5, 2:5] = 0.2
    soft[2] = 0.05
    soft[3] = 0.9
    mask, valid = harden(soft)
    assert valid.tolist() == [True, True, False, False, False]
    assert mask[:2].sum((1, 2, 3)).tolist() == [9, 9]
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_thin_edges_belong_to_a_mark_and_faint_traces_elsewhere_do_not():
    soft = torch.zeros(1, 1, 8, 8)
    soft[0, 0, 3, 1:7] = torch.tensor([0.05, 0.15, 0.6, 0.2, 0.15, 0.08])
    soft[0, 0, 7, 1:4] = 0.2
    mask, valid = harden(soft)
    assert valid.tolist() == [True]
    assert mask.nonzero()[:, 2:].tolist() == [[3, 2], [3, 3], [3, 4], [3, 5]]


def scene(level: float = 0.9) -> torch.Tensor:
    return torch.full((1, 3, 32, 32), level)


def test_an_object_on_a_flat_background_is_found_and_its_hole_filled():
    image = scene()
    image[0, :, 8:24, 6:20] = -0.5
    image[0, :, 14:17, 12:15] = 0.9  # a hole
    image[0, :, 28, 28] = -0.5  # a crumb
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 8:24, 6:20] = 1
    assert torch.equal(object_masks(image), expected)


def test_the_background_may_be_dark_and_the_object_coloured():
    image = scene(-0.9)
    image[0, 1, 10:20, 10:20] = 0.2  # green only
    found = object_masks(image)
    assert found[0, 0, 10:20, 10:20].all()
    assert found.sum() == 100


def test_a_flat_image_is_all_object():
    assert object_masks(scene()).all()
    faint = scene(0.0)
    faint[0, :, 8:24, 8:24] += (LEAST_CONTRAST - 2) / 127.5
    assert object_masks(faint).all()


def test_a_gap_narrower_than_the_closing_is_bridged():
    image = scene()
    image[0, :, 8:24, 6:26] = -0.5
    image[0, :, 8:24, 15:17] = 0.9  # a slit of two pixels cuts it into two halves
    whole = object_masks(image, closing=1)
    assert whole.sum() == 16 * 9  # the larger half alone
    image[0, :, 12:16, 15:17] = -0.5  # joined in the middle: one component with two notches
    assert object_masks(image, closing=5).sum() == 16 * 20


def test_an_object_that_touches_the_border_keeps_its_edge():
    image = scene()
    image[0, :, 20:, 8:24] = -0.5
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 20:, 8:24] = 1
    assert torch.equal(object_masks(image), expected)


def test_images_do_not_look_at_one_another():
    one = scene()
    one[0, :, 4:12, 4:12] = -1.0
    both = torch.cat([one, scene(-0.3)])
    assert torch.equal(object_masks(both)[:1], object_masks(one))
