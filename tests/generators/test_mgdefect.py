from __future__ import annotations

import pytest
import torch

from defectbench.batch import Request
from defectbench.config import UserError
from defectbench.generators.mgdefect import MGDefect, Scene
from defectbench.nn.stylegan.mask_maker import MaskMaker, fit_masks, straight_through
from tests.generators.short_training import build, draw_batch, moved, sample, train, train_batch

PARTS = {
    "backbone": ("game.",),
    "painting": ("painter.", "image_critic.", "region_critic."),
    "masks": ("maker.", "mask_critic.", "shape_critic."),
}


def learned(model: MGDefect, stage: int, steps: int = 2, precision: str = "32-true") -> set[str]:
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    named = model.stages(1000)[stage]
    model.clock.enter(stage, 1000)
    model.enter(named)
    train(model.train(), steps, precision=precision, batch=train_batch(named.streams))
    still = set(moved(before, model))
    assert all(p.isfinite().all() for p in model.parameters())
    return {name for name, p in model.named_parameters() if p.requires_grad} - still


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("background", ["generated", "real"])
def test_each_stage_moves_its_own_weights_and_no_others(background: str, precision: str) -> None:
    model = build(MGDefect, background=background, layer_base=4, layer_blocks=1)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    names = [stage.name for stage in model.stages(1000)]
    assert names == list(PARTS)[background == "real" :]
    for number, name in enumerate(names):
        wanted = {p for p in trainable if p.startswith(PARTS[name])}
        assert learned(model, number, precision=precision) == wanted, name


def test_with_an_empty_mask_it_is_its_backbone_bit_for_bit() -> None:
    model = build(MGDefect)
    with torch.no_grad():
        scene = model.scene(torch.zeros(2, 3, 32, 32))
        label = torch.eye(5)[:2]
        image, _ = model.paint(scene, torch.zeros(2, 1, 32, 32), label, torch.randn(2, 16))
    assert torch.equal(image, scene.image)


def test_with_an_empty_mask_a_real_image_stays_as_it_is() -> None:
    model = build(MGDefect, background="real", layer_base=4, layer_blocks=1)
    normal = draw_batch(2, defective=False)["image"]
    with torch.no_grad():
        image, code = model.paint(
            Scene(normal), torch.zeros(2, 1, 32, 32), torch.eye(5)[:2], torch.randn(2, 16)
        )
    assert torch.equal(image, normal)
    assert code is None


def test_a_real_image_is_painted_inside_the_mask_and_its_soft_edge_only() -> None:
    model = build(MGDefect, background="real", layer_base=4, layer_blocks=1)
    batch = draw_batch()
    request = Request(
        defects=batch["defects"],
        product=batch["product"],
        mask=batch["mask"],
        normal=draw_batch(defective=False)["image"],
    )
    made = sample(model, request)
    changed = (made["image"] - request["normal"]).abs().amax(1, keepdim=True) > 1e-6
    near = torch.nn.functional.max_pool2d(batch["mask"], 3, 1, 1) > 0
    assert not changed[~near].any()
    assert changed[batch["mask"] > 0].float().mean() > 0.9
    assert torch.equal(made["mask"], batch["mask"])
    assert made["valid"].all()


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


def test_the_hard_mask_passes_the_gradient_of_the_soft_one() -> None:
    logits = torch.tensor([-0.2, -0.01, 0.05, 0.3], requires_grad=True)
    mask = straight_through(logits)
    assert mask.tolist() == [0, 0, 1, 1]
    mask.sum().backward()
    soft = torch.sigmoid(10 * logits.detach())
    assert torch.allclose(logits.grad, 10 * soft * (1 - soft))


def test_masks_are_drawn_again_until_they_are_fit() -> None:
    def maker(image: torch.Tensor, z: torch.Tensor, label: object) -> torch.Tensor:
        """A square whose side is z in pixels."""
        place = torch.arange(8.0)
        inside = (place < z[:, :1])[:, None, :, None] & (place < z[:, :1])[:, None, None]
        return inside.float() - 0.5

    draws = [torch.tensor([[0.0], [3.0], [8.0]]), torch.tensor([[2.0], [5.0], [7.0]])]
    mask, fit = fit_masks(maker, torch.zeros(3, 3, 8, 8), draws, None, 8)
    assert mask.sum((1, 2, 3)).tolist() == [4, 9, 49]
    assert fit.tolist() == [True, True, False]


def test_the_mask_maker_looks_at_the_object() -> None:
    torch.manual_seed(0)
    maker = MaskMaker(size=32, latents=8, labels=0, base=256, most=16)
    z, objects = torch.randn(1, 8).expand(2, -1), draw_batch(2, defective=False)["image"]
    one, other = maker(objects, z)
    assert one.shape == (1, 32, 32)
    assert not torch.allclose(one, other)


def test_the_name_says_what_it_is() -> None:
    assert MGDefect.title == "MGDefect (reconstruction)"
    assert "reconstruction from the abstract" in MGDefect.paper


def test_an_impossible_branch_is_refused() -> None:
    with pytest.raises(UserError, match=r"wants one of \[8, 16\]"):
        build(MGDefect, size=16, branch_from=32)
