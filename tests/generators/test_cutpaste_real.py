from __future__ import annotations

import pytest
import torch

from defectbench.batch import Batch, Request
from defectbench.config import UserError
from defectbench.generators.cutpaste_real import CutPasteReal

SIZE = 32


def batch(value: float = 0.8, n: int = 4) -> Batch:
    """Bright 8 x 6 rectangles on black."""
    mask = torch.zeros(n, 1, SIZE, SIZE)
    mask[:, :, 4:12, 20:26] = 1
    return Batch(
        image=torch.where(mask.bool(), value, -1.0).expand(n, 3, SIZE, SIZE).clone(),
        mask=mask,
        defects=torch.eye(2)[torch.arange(n) % 2],
        product=torch.zeros(n, dtype=torch.int64),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


def made(**options: object) -> CutPasteReal:
    generator = CutPasteReal(size=SIZE, defects=["a", "b"], products=["p"], **options)  # type: ignore[arg-type]
    generator.observe(batch(), batch())
    return generator


def request(n: int = 4, grey: float = -0.2) -> Request:
    return Request(
        defects=torch.eye(2)[torch.arange(n) % 2],
        product=torch.zeros(n, dtype=torch.int64),
        normal=torch.full((n, 3, SIZE, SIZE), grey),
    )


def test_without_jitter_the_defect_stays_where_it_was() -> None:
    sample = made(rotate=0.0, scale=1.0, flip=False, shift=0.0).synthesise(
        request(), torch.Generator().manual_seed(0)
    )
    assert torch.equal(sample["mask"], batch()["mask"])


def test_the_image_changes_only_inside_the_mask_and_takes_the_defects_tone() -> None:
    asked = request(16)
    sample = made(boundary=1.0).synthesise(asked, torch.Generator().manual_seed(1))
    inside = sample["mask"].expand(-1, 3, -1, -1).bool()
    assert torch.allclose(sample["image"][~inside], asked["normal"][~inside], atol=1 / 127)
    # No black of the old surroundings bleeds in, although the defect was turned and scaled.
    assert sample["image"][inside].min() > -0.25
    assert sample["image"].amax((1, 2, 3)).min() > 0.5


def test_jitter_moves_turns_and_scales_but_keeps_the_defect_inside() -> None:
    sample = made().synthesise(request(64), torch.Generator().manual_seed(2))
    mask = sample["mask"][:, 0]
    area = mask.sum((1, 2))
    assert area.min() > 0.4 * 48
    assert area.max() < 2.0 * 48
    assert area.std() > 3
    rows = (mask.sum(2) * torch.arange(SIZE)).sum(1) / area
    assert rows.min() < 8
    assert rows.max() > 22


def test_a_defect_as_large_as_the_image_is_kept() -> None:
    generator, full = made(), batch()
    full["mask"][:] = 1
    generator.observe(full, full)
    sample = generator.synthesise(request(), torch.Generator().manual_seed(0))
    assert sample["mask"].flatten(1).any(1).all()


def test_training_defects_without_masks_are_refused() -> None:
    unmasked = batch()
    unmasked["mask"][:] = 0
    with pytest.raises(UserError, match="pixel masks"):
        made().observe(unmasked, unmasked)


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(UserError, match="scale >= 1"):
        made(scale=0.5)


def test_a_scratch_of_one_pixel_does_not_fade_into_the_soft_edge() -> None:
    thin = batch()
    thin["mask"][:] = 0
    thin["mask"][:, :, 8, 4:28] = 1
    generator = made(rotate=0.0, scale=1.0, flip=False, boundary=40.0)
    generator.observe({**thin, "image": torch.full((4, 3, SIZE, SIZE), 0.8)}, thin)
    sample = generator.synthesise(request(), torch.Generator().manual_seed(0))
    shown = sample["image"][sample["mask"].expand(-1, 3, -1, -1).bool()]
    assert shown.min() > 0.7
