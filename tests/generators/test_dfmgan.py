from __future__ import annotations

import pytest
import torch

from defectbench.batch import Request
from defectbench.config import UserError
from defectbench.generators.dfmgan import DFMGAN, DefectBranch
from defectbench.nn.stylegan.style_critic import Critic
from tests.generators.short_training import build, learned, millions, sample, trainable


@pytest.mark.parametrize(
    ("size", "base", "most", "branch", "match"),
    [
        (128, 16384, 512, 3.46, 23.88),
        (256, 16384, 512, 3.67, 24.00),
        (128, 8192, 256, 1.44, 5.97),
        (128, 4096, 128, 0.84, 1.49),
    ],
)
def test_the_second_stage_adds_the_parameters_of_the_official_code(
    size: int, base: int, most: int, branch: float, match: float
) -> None:
    with torch.device("meta"):
        added = DefectBranch(size=size, start=64, latents=512, layers=2, base=base, most=most)
        critic = Critic(size=size, channels=4, base=base, most=most)
    assert millions(added) == pytest.approx(branch, abs=0.006)
    assert millions(critic) == pytest.approx(match, abs=0.006)


@pytest.mark.slow
def test_each_stage_moves_its_own_weights_and_no_others() -> None:
    model = build(DFMGAN)
    weights = trainable(model)
    first = {name for name in weights if name.startswith("game.")}
    assert learned(model, 0, precision="bf16-mixed") == first
    frozen = {k: v.clone() for k, v in model.game.average.state_dict().items()}
    second = learned(model, 1, precision="bf16-mixed")
    assert second == {n for n in weights if not n.startswith("game.generator.")}
    assert all(torch.equal(v, frozen[k]) for k, v in model.game.average.state_dict().items())


def test_with_the_residual_off_it_is_its_backbone_bit_for_bit() -> None:
    model = build(DFMGAN)
    synthesis, branch = model.backbone.synthesis, model.branch
    w = torch.randn(2, synthesis.layers, 16)
    branch.to_mask.bias.data.fill_(-1e6)  # the raw mask is negative everywhere
    image, raw = branch(synthesis, w, torch.randn(2, branch.layers, 16))
    assert (raw < 0).all()
    assert torch.equal(image, synthesis(w))


def test_only_where_the_mask_is_does_the_image_change() -> None:
    torch.manual_seed(0)
    model = build(DFMGAN, branch_from=32)  # one block, at full resolution: no convolution after it
    synthesis, branch = model.backbone.synthesis, model.branch
    w = torch.randn(2, synthesis.layers, 16)
    image, raw = branch(synthesis, w, torch.randn(2, branch.layers, 16))
    changed = (image - synthesis(w)).abs().sum(1, keepdim=True) > 1e-6
    assert not changed[raw < 0].any()
    assert changed[raw >= 0].float().mean() > 0.9
    assert 0.05 < (raw >= 0).float().mean() < 0.95


def test_the_mask_learns_from_the_matching_critic_and_mode_seeking_alone() -> None:
    model = build(DFMGAN)
    image, mask = model.imagine(*model.styles(2))
    weight = model.branch.to_mask.weight
    assert torch.autograd.grad(image.sum(), weight, retain_graph=True, allow_unused=True)[0] is None
    assert torch.autograd.grad(mask.sum(), weight)[0].abs().sum() > 0


def test_the_budget_is_divided_as_the_papers() -> None:
    model = build(DFMGAN, defect_share=DFMGAN.__init__.__kwdefaults__["defect_share"])
    backbone, defect = model.stages(3_400_000)
    assert (backbone.images, defect.images) == (2_998_800, 401_200)
    assert (backbone.streams, defect.streams) == ({"normal"}, {"defect"})
    assert all(stage.images >= 1 for stage in model.stages(1))


def test_an_empty_mask_is_not_valid() -> None:
    model = build(DFMGAN)
    request = Request(defects=torch.eye(3), product=torch.zeros(3).long())
    made = sample(model, request)
    assert torch.equal(made["valid"], made["mask"].flatten(1).any(1))
    model.branch_average.network.to_mask.bias.data.fill_(-1e6)
    made = sample(model, request)
    assert not made["mask"].any()
    assert not made["valid"].any()


def test_an_impossible_branch_is_refused() -> None:
    with pytest.raises(UserError, match=r"branch_from is 64; wants one of \[8, 16, 32\]"):
        DFMGAN(size=32, defects=["a"], products=["p"], channel_base=64)
