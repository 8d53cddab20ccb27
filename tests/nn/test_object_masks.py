from __future__ import annotations

import torch

from defectbench.nn.masks.object_masks import LEAST_CONTRAST, object_masks


def scene(level: float = 0.9) -> torch.Tensor:
    return torch.full((1, 3, 32, 32), level)


def test_an_object_on_a_flat_background_is_found_and_its_hole_filled() -> None:
    image = scene()
    image[0, :, 8:24, 6:20] = -0.5
    image[0, :, 14:17, 12:15] = 0.9  # a hole
    image[0, :, 28, 28] = -0.5  # a crumb
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 8:24, 6:20] = 1
    assert torch.equal(object_masks(image), expected)


def test_the_background_may_be_dark_and_the_object_coloured() -> None:
    image = scene(-0.9)
    image[0, 1, 10:20, 10:20] = 0.2  # green only
    found = object_masks(image)
    assert found[0, 0, 10:20, 10:20].all()
    assert found.sum() == 100


def test_a_flat_image_is_all_object() -> None:
    assert object_masks(scene()).all()
    faint = scene(0.0)
    faint[0, :, 8:24, 8:24] += (LEAST_CONTRAST - 2) / 127.5
    assert object_masks(faint).all()


def test_a_gap_narrower_than_the_closing_is_bridged() -> None:
    image = scene()
    image[0, :, 8:24, 6:26] = -0.5
    image[0, :, 8:24, 15:17] = 0.9  # a slit of two pixels cuts it into two halves
    whole = object_masks(image, closing=1)
    assert whole.sum() == 16 * 9  # the larger half alone
    image[0, :, 12:16, 15:17] = -0.5  # joined in the middle: one component with two notches
    assert object_masks(image, closing=5).sum() == 16 * 20


def test_an_object_that_touches_the_border_keeps_its_edge() -> None:
    image = scene()
    image[0, :, 20:, 8:24] = -0.5
    expected = torch.zeros(1, 1, 32, 32)
    expected[..., 20:, 8:24] = 1
    assert torch.equal(object_masks(image), expected)


def test_images_do_not_look_at_one_another() -> None:
    one = scene()
    one[0, :, 4:12, 4:12] = -1.0
    both = torch.cat([one, scene(-0.3)])
    assert torch.equal(object_masks(both)[:1], object_masks(one))
