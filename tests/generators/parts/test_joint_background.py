from __future__ import annotations

import pytest
import torch

from defectbench.generators.parts.joint_background import (
    GatedDetail,
    JointBackground,
    detail_schedule,
)

SMALL = {"size": 32, "latents": 8, "base": 256, "most": 16, "layers": 5}


def background(**options: object) -> JointBackground:
    torch.manual_seed(0)
    return JointBackground(**{**SMALL, "joint": True, "detail": True, **options})  # type: ignore[arg-type]


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
