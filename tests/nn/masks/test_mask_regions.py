from __future__ import annotations

import torch

from defectbench.nn.masks.mask_regions import (
    Region,
    fill_masked,
    jitter_masks,
    keep_largest,
    mask_boxes,
    pair,
    soften,
    widen,
)


def box(y0: int, y1: int, x0: int, x1: int, size: int = 32) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., y0:y1, x0:x1] = 1
    return mask


def test_boxes_are_measured_in_the_units_of_grids() -> None:
    centre, half = mask_boxes(torch.cat([box(4, 12, 20, 26), torch.zeros(1, 1, 32, 32)]))
    assert torch.allclose(centre, torch.tensor([[23 / 16 - 1, 8 / 16 - 1], [0.0, 0.0]]))
    assert torch.allclose(half, torch.tensor([[3 / 16, 4 / 16], [1.0, 1.0]]))


def test_a_region_is_one_and_a_half_boxes_and_stays_inside() -> None:
    torch.manual_seed(0)
    mask = box(8, 24, 10, 18).expand(32, -1, -1, -1)
    region = Region.around(mask)
    assert torch.allclose(region.half, torch.full((32, 1), 0.75))
    assert ((region.centre.abs() + region.half) <= 1 + 1e-6).all()
    assert len(region.centre.unique(dim=0)) > 10
    assert Region.around(box(5, 6, 5, 6)).half == 0.25
    assert Region.around(torch.ones(1, 1, 32, 32)).half == 1


def test_a_region_is_cut_pixel_by_pixel() -> None:
    x = torch.arange(64.0).view(1, 1, 8, 8)
    region = Region(centre=torch.tensor([[0.5, -0.5]]), half=torch.tensor([[0.5]]))
    assert torch.allclose(region.cut(x, 4), x[..., :4, 4:])


def test_jittered_masks_keep_their_form_and_stay_inside() -> None:
    torch.manual_seed(0)
    mask = box(4, 12, 20, 26).expand(64, -1, -1, -1).contiguous()
    moved = jitter_masks(mask)
    area = moved.sum((1, 2, 3))
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert area.min() >= 48 / 1.25**2 - 14
    assert area.max() <= 48 * 1.25**2 + 14
    centre, _ = mask_boxes(moved)
    assert centre.std(0).min() > 0.3
    assert (moved[:, :, 0].sum() + moved[:, :, -1].sum()) < 64  # not pressed against the border


def test_a_mask_that_would_vanish_stays() -> None:
    torch.manual_seed(0)
    dots = box(7, 8, 7, 8, size=16).expand(64, -1, -1, -1)
    assert jitter_masks(dots).flatten(1).any(1).all()


def test_widening_and_softening_by_hand() -> None:
    assert torch.equal(widen(box(10, 12, 10, 12), 5), box(5, 17, 5, 17))
    soft = soften(box(10, 13, 10, 13))
    assert torch.isclose(soft[0, 0, 11, 11], torch.tensor(1.0))
    assert torch.isclose(soft[0, 0, 9, 9], torch.tensor(1 / 9))
    assert torch.equal(soft > 0, widen(box(10, 13, 10, 13), 1) > 0)
    assert torch.equal(soften(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 8, 8))


def test_filling_continues_the_surroundings_and_touches_nothing_else() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    mask = box(8, 20, 8, 20)
    image = torch.where(mask.bool(), 5.0, ramp)
    filled = fill_masked(image, mask)
    assert torch.equal(filled[:, :, mask[0, 0] == 0], image[:, :, mask[0, 0] == 0])
    assert (filled - ramp).abs().max() < 0.45
    assert (filled[..., 8:20, 8] - filled[..., 8:20, 19]).mean() < -0.3  # it follows the ramp
    assert torch.allclose(
        fill_masked(torch.full((1, 3, 8, 8), 0.3), box(2, 5, 2, 5, 8)), torch.tensor(0.3)
    )


def test_an_image_that_is_all_mask_is_filled_with_nothing_strange() -> None:
    filled = fill_masked(torch.full((1, 3, 8, 8), 9.0), torch.ones(1, 1, 8, 8))
    assert torch.equal(filled, torch.zeros(1, 3, 8, 8))


def test_the_largest_components_are_kept() -> None:
    mask = box(0, 1, 0, 1) + box(4, 8, 4, 8) + box(12, 14, 12, 14) + box(20, 21, 20, 23)
    kept = keep_largest(mask.bool(), 2)
    assert torch.equal(kept, box(4, 8, 4, 8) + box(12, 14, 12, 14))
    assert torch.equal(keep_largest(mask.bool() & False, 2), torch.zeros(1, 1, 32, 32))


def test_pairs_hold_the_mask_in_the_range_of_images() -> None:
    joined = pair(torch.zeros(1, 3, 32, 32), box(0, 8, 0, 8))
    assert joined.shape == (1, 4, 32, 32)
    assert set(joined[:, 3].unique().tolist()) == {-1.0, 1.0}
