from __future__ import annotations

import pytest
import torch

from defectbench.batch import Request
from defectbench.config import UserError
from defectbench.generators.mgdefect import MGDefect
from tests.generators.short_training import build, draw_batch, learned, sample, trainable

PARTS = {
    "backbone": ("game.",),
    "painting": ("painter.", "image_critic.", "region_critic."),
    "masks": ("maker.", "mask_critic.", "shape_critic."),
}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_each_stage_moves_its_own_weights_and_no_others(precision: str) -> None:
    model = build(MGDefect)
    weights = trainable(model)
    names = [stage.name for stage in model.stages(1000)]
    assert names == list(PARTS)
    for number, name in enumerate(names):
        wanted = {p for p in weights if p.startswith(PARTS[name])}
        assert learned(model, number, precision=precision) == wanted, name


def test_with_an_empty_mask_it_is_its_backbone_bit_for_bit() -> None:
    model = build(MGDefect)
    with torch.no_grad():
        scene = model.scene(2)
        label = torch.eye(5)[:2]
        image, _ = model.paint(scene, torch.zeros(2, 1, 32, 32), label, torch.randn(2, 16))
    assert torch.equal(image, scene.image)


def test_the_asked_mask_moves_the_defect() -> None:
    model = build(MGDefect)
    batch = draw_batch()
    request = Request(defects=batch["defects"], product=batch["product"], mask=batch["mask"])
    one = sample(model, request)
    request["mask"] = batch["mask"].flip(3)
    other = sample(model, request)
    assert torch.equal(other["mask"], request["mask"])
    assert not torch.equal(one["image"], other["image"])


def test_without_a_mask_one_is_made_by_the_label() -> None:
    model = build(MGDefect)
    one = Request(defects=torch.eye(3), product=torch.zeros(3).long())
    made = sample(model, one)
    again = sample(model, one)
    assert torch.equal(made["mask"], again["mask"])
    other = sample(model, Request(defects=torch.eye(3).flip(0), product=one["product"]))
    assert not torch.equal(made["mask"], other["mask"])


def test_it_reads_no_normal_image_and_draws_its_own_background() -> None:
    assert "normal" not in MGDefect.reads
    model = build(MGDefect)
    asked = Request(
        defects=torch.eye(3), product=torch.zeros(3).long(), mask=torch.zeros(3, 1, 32, 32)
    )
    made = sample(model, asked)["image"]
    asked["normal"] = torch.ones(3, 3, 32, 32)
    assert torch.equal(made, sample(model, asked)["image"])
    z = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))[0]
    with torch.no_grad():
        assert torch.allclose(made, model.backbone(z).clamp(-1, 1), atol=1e-5)


def test_the_name_says_what_it_is() -> None:
    assert MGDefect.title == "MGDefect (reconstruction)"
    assert "reconstruction from the abstract" in MGDefect.paper


def test_an_impossible_branch_is_refused() -> None:
    with pytest.raises(UserError, match=r"wants one of \[8, 16\]"):
        build(MGDefect, size=16, branch_from=32)
