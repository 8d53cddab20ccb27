from __future__ import annotations

import pytest
import torch

from defectbench.config import UserError
from defectbench.nn.blocks.augment import AdaptiveAugment, differentiable_augment, policy


def set_p(kind: str, p: float) -> AdaptiveAugment:
    augment = AdaptiveAugment(kind=kind)  # type: ignore[arg-type]
    augment.p.fill_(p)
    return augment


@pytest.mark.parametrize("kind", ["geometric", "all"])
def test_at_p_zero_nothing_changes_bit_for_bit(kind: str) -> None:
    x = torch.randn(8, 4, 16, 16)
    assert torch.equal(set_p(kind, 0.0)(x), x)


def test_at_p_one_every_image_changes() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 3, 16, 16)
    assert ((set_p("all", 1.0)(x) - x).abs().amax((1, 2, 3)) > 0.1).all()


def test_a_mask_follows_the_geometry_of_its_image() -> None:
    torch.manual_seed(0)
    shape = torch.zeros(8, 1, 16, 16)
    shape[..., 3:7, 4:12] = 1
    out = set_p("geometric", 1.0)(shape.expand(-1, 4, -1, -1))
    assert torch.allclose(out[:, 3:], out[:, :1])
    assert not torch.equal(out[:, 3:], shape)


def test_colour_leaves_a_mask_alone() -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.randn(8, 3, 16, 16), torch.ones(8, 1, 16, 16)], 1)
    out = set_p("all", 1.0)(x)
    assert torch.allclose(out[:, 3], torch.ones(8, 16, 16), atol=1e-5)


def test_hue_and_saturation_keep_the_grey_value() -> None:
    torch.manual_seed(3)
    x = torch.rand(64, 3, 1, 1)
    augment = set_p("all", 0.15)
    out = augment._colour(x)
    grey = (out - x).mean(1).abs().flatten() < 1e-5
    coloured = (out - x).abs().amax(1).flatten() > 1e-3
    assert (grey & coloured).sum() > 5  # only hue or saturation changed these


def test_p_rises_by_the_rule_when_the_critic_overfits() -> None:
    augment = AdaptiveAugment(target=0.6, speed=1000, every=4)
    confident, torn = torch.tensor([1.0, 2.0, 3.0, 0.1]), torch.tensor([1.0, 1.0, 1.0, -1.0])
    for _ in range(3):
        augment.follow(confident, images=10)
    assert augment.p == 0  # looks at four steps together
    augment.follow(confident, images=10)
    assert augment.p.item() == pytest.approx(4 * 10 / 1000)
    for _ in range(8):  # mean sign 0.5 is below the target
        augment.follow(torn, images=10)
    assert augment.p.item() == 0
    assert augment.steps == 12


def test_translation_moves_by_at_most_an_eighth_and_brings_in_grey() -> None:
    torch.manual_seed(0)
    x = torch.zeros(512, 1, 16, 16)
    x[:, :, 8, 8] = 1
    moved = differentiable_augment(x, ("translation",)).nonzero()[:, 2:] - 8
    assert moved.abs().max() == 2
    assert len(moved.unique(dim=0)) == 25
    full = differentiable_augment(torch.ones(64, 1, 16, 16), ("translation",))
    assert set(full.unique().tolist()) == {0.0, 1.0}


def test_cutout_hides_a_square_of_half_the_side() -> None:
    torch.manual_seed(0)
    hidden = (differentiable_augment(torch.ones(256, 1, 16, 16), ("cutout",)) == 0).sum((1, 2, 3))
    assert hidden.max() == 64
    assert hidden.min() >= 16  # its centre is inside the image


def test_colour_jitter_stays_within_its_ranges_and_off_the_mask() -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.full((256, 3, 4, 4), 0.25), torch.ones(256, 1, 4, 4)], 1)
    out = differentiable_augment(x, ("color",))
    assert torch.equal(out[:, 3], x[:, 3])
    flat = out[:, 0, 0, 0]  # on a flat image saturation and contrast do nothing
    assert flat.min() >= -0.25
    assert flat.max() <= 0.75
    assert flat.std() > 0.2


def test_augmentations_pass_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    y = differentiable_augment(set_p("all", 1.0)(x), ("color", "translation", "cutout"))
    y.square().sum().backward()
    assert (x.grad.abs().sum((1, 2, 3)) > 0).all()


def test_an_unknown_transform_is_refused_by_name() -> None:
    assert policy(" color, cutout ") == ("color", "cutout")
    assert policy("") == ()
    with pytest.raises(UserError, match=r"'colour'.*known: color"):
        policy("colour")
