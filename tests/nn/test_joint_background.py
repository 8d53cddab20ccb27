from __future__ import annotations

import pytest
import torch

from defectbench.nn.joint_background import GatedDetail, JointBackground, detail_schedule
from defectbench.nn.smooth_branch import SmoothBranch, resample
from defectbench.nn.stylegan3 import Signal

SMALL = {"size": 32, "latents": 8, "base": 256, "most": 16, "layers": 5}


def background(**options: object) -> JointBackground:
    torch.manual_seed(0)
    return JointBackground(**{**SMALL, "joint": True, "detail": True, **options})  # type: ignore[arg-type]


def branch(of: JointBackground, **options: object) -> SmoothBranch:
    torch.manual_seed(1)
    given = {"size": 32, "latents": 8, "smoothing": True, "blend": "additive", **options}
    return SmoothBranch(of, **given)  # type: ignore[arg-type]


def test_detail_starts_as_the_identity() -> None:
    layer, x = GatedDetail(8), torch.randn(2, 8, 9, 9)
    assert torch.equal(layer(x, 1.0), x)
    layer.strength.data.fill_(0.7)
    assert torch.equal(layer(x, 0.0), x)
    assert not torch.equal(layer(x, 0.5), x)


def test_flat_features_have_no_detail() -> None:
    layer = GatedDetail(4)
    layer.strength.data.fill_(1.0)
    x = torch.randn(2, 4, 1, 1).expand(-1, -1, 9, 9)
    assert torch.allclose(layer(x, 1.0), x, atol=1e-5)


def test_the_schedule_is_a_square_between_a_tenth_and_six_tenths() -> None:
    found = [detail_schedule(t) for t in (0.0, 0.1, 0.35, 0.6, 1.0)]
    assert found == pytest.approx([0, 0, 0.25, 1, 1])


def test_at_first_it_is_stylegan3_bit_for_bit() -> None:
    model = background()
    ws = model.generator.styles(torch.randn(2, 8))
    image, around = model(ws, 1.0)
    assert torch.equal(torch.cat([image, around], 1), model.generator.synthesis(ws))


def test_its_backbone_has_the_parameters_of_a_narrow_stylegan3() -> None:
    with torch.device("meta"):
        made = JointBackground(
            size=128, joint=False, detail=False, latents=512, base=8192, most=128, layers=10
        )
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(2.43, abs=0.006)


def test_detail_goes_into_the_layers_of_at_least_a_quarter_of_the_rate() -> None:
    with torch.device("meta"):
        model = JointBackground(
            size=128, joint=True, detail=True, latents=8, base=256, most=8, layers=10
        )
    rates = [model.signals[int(n)].rate for n in model.details]
    others = {s.rate for n, s in enumerate(model.signals[:10]) if str(n) not in model.details}
    assert min(rates) == 32
    assert max(others) < 32


def test_without_the_joint_mask_all_is_object() -> None:
    model = background(joint=False)
    image, around = model(model.generator.styles(torch.randn(2, 8)), 1.0)
    assert image.shape == (2, 3, 32, 32)
    assert torch.equal(around, torch.ones(2, 1, 32, 32))


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
