from __future__ import annotations

import pytest
import torch

from defectbench.generators.parts.joint_background import JointBackground
from defectbench.generators.parts.smooth_branch import SHARPNESS, SmoothBranch, resample
from defectbench.nn.stylegan.stylegan3 import Signal

SMALL = {"size": 32, "latents": 8, "base": 256, "most": 16, "layers": 5}


def background(**options: object) -> JointBackground:
    torch.manual_seed(0)
    return JointBackground(**{**SMALL, "joint": True, "detail": True, **options})  # type: ignore[arg-type]


def branch(of: JointBackground, **options: object) -> SmoothBranch:
    torch.manual_seed(1)
    given = {"size": 32, "latents": 8, "smoothing": True, "blend": "additive", **options}
    return SmoothBranch(of, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [True, False])
@pytest.mark.parametrize("blend", ["additive", "convex"])
def test_with_the_mask_off_it_is_its_background_bit_for_bit(smoothing: bool, blend: str) -> None:
    model = background()
    added = branch(model, smoothing=smoothing, blend=blend)
    added.to_mask.bias.data.fill_(-1e6)
    ws = model.generator.styles(torch.randn(2, 8))
    image, around, raw = added(model, ws, torch.randn(2, 8))
    assert raw.shape == (2, 1, 32, 32)
    assert (raw < 0).all()
    for found, expected in zip((image, around), model(ws, 1.0), strict=True):
        assert torch.equal(found, expected)


def test_a_hard_blend_is_the_rule_of_dfmgan() -> None:
    added = branch(background(), smoothing=False)
    logits = torch.randn(2, 1, added.signals[0].size, added.signals[0].size)
    assert torch.equal(added.alpha(logits, added.signals[added.start]), (logits >= 0).float())


def test_the_smoothing_coefficient_starts_at_one_and_widens_the_edge() -> None:
    added = branch(background())
    assert added.coefficient.item() == pytest.approx(1.0)
    signal = added.signals[added.start]
    logits = torch.full((1, 1, signal.size, signal.size), -5.0)
    logits[..., signal.size // 2 :] = 5.0
    narrow = added.alpha(logits, signal)
    added.smooth.data.fill_(10.0)
    assert added.coefficient.item() == pytest.approx(3.0, abs=1e-3)
    wide = added.alpha(logits, signal)

    def soft(alpha: torch.Tensor) -> int:
        return int(((alpha > 0.01) & (alpha < 0.99)).sum())

    assert soft(wide) > soft(narrow)
    for alpha in (narrow, wide):
        assert alpha.min() >= 0
        assert alpha.max() <= 1 + 1e-6
        assert (alpha.diff(dim=3) >= -1e-6).all()


def test_the_coefficient_learns_from_the_image() -> None:
    model = background()
    added = branch(model)
    image, _, _ = added(model, model.generator.styles(torch.randn(2, 8)), torch.randn(2, 8))
    image.square().mean().backward()
    assert added.smooth.grad.abs() > 0
    assert added.to_mask.weight.grad.abs().sum() > 0


def test_resampling_keeps_what_is_where_in_the_image() -> None:
    coarse = Signal(rate=16, size=36, cutoff=4, half_width=4, channels=1)
    fine = Signal(rate=64, size=84, cutoff=16, half_width=16, channels=1)
    place = (torch.arange(36) + 0.5 - 18) / 16  # the image is [-0.5, 0.5]
    wanted = (torch.arange(84) + 0.5 - 42) / 64
    found = resample(place.expand(1, 1, 36, 36), coarse, fine)
    assert torch.allclose(found, wanted.expand(1, 1, 84, 84), atol=1e-5)
    assert resample(found, fine, fine) is found


def test_a_soft_blend_of_a_wide_mask_is_the_soft_mask_itself() -> None:
    added = branch(background())
    signal = added.signals[added.start]
    for level in (-0.2, 0.0, 0.1):
        alpha = added.alpha(torch.full((1, 1, signal.size, signal.size), level), signal)
        wanted = torch.sigmoid(torch.tensor(SHARPNESS * level))
        assert torch.allclose(alpha, wanted.expand_as(alpha), atol=1e-6)


def test_a_convex_blend_takes_the_place_of_the_background_where_an_additive_one_adds_to_it() -> (
    None
):
    model = background()
    ws, w = model.generator.styles(torch.randn(2, 8)), torch.randn(2, 8)
    images = {}
    for blend in ("additive", "convex"):
        added = branch(model, blend=blend)
        added.to_mask.bias.data.fill_(1e6)
        images[blend], *_ = added(model, ws, w)
    assert not torch.allclose(images["additive"], images["convex"])


def test_masks_come_out_at_the_size_of_the_image() -> None:
    model = background()
    added = branch(model)
    assert added.signals[added.start].size != 32  # a canvas with margins
    _, _, raw = added(model, model.generator.styles(torch.randn(2, 8)), torch.randn(2, 8))
    assert raw.shape == (2, 1, 32, 32)
    assert raw.dtype == torch.float32
