from __future__ import annotations

import math

import pytest
import torch

from defectbench.batch import Request
from defectbench.generators import imbdef_gan
from defectbench.generators.imbdef_gan import ImbDefGAN
from tests.generators.short_training import build, learned, sample, trainable

OFF = {
    "joint_mask": False,
    "detail": False,
    "smoothing": False,
    "mask_aware": False,
    "edge_weight": 0.0,
    "region_weight": 0.0,
}


@pytest.mark.slow
def test_each_stage_moves_its_own_weights_and_no_others() -> None:
    model = build(ImbDefGAN, objects="otsu")
    weights = trainable(model)
    second = {n for n in weights if n.startswith(("branch.", "match.", "critic."))}
    first = {n for n in weights if n.startswith(("background.", "object_match.", "critic."))}
    assert first | second == weights
    assert (
        learned(model, 0, 3, "bf16-mixed") == first
    )  # the third step injects detail with a strength
    frozen = {k: v.clone() for k, v in model.background_average.state_dict().items()}
    assert learned(model, 1, 1, "bf16-mixed") == second
    assert all(torch.equal(v, frozen[k]) for k, v in model.background_average.state_dict().items())


@pytest.mark.parametrize("switch", OFF)
def test_each_idea_can_be_switched_off(switch: str) -> None:
    model = build(ImbDefGAN, **{switch: OFF[switch]})
    weights = trainable(model)
    assert any(n.startswith("object_match.") for n in weights) == model.hparams["joint_mask"]
    assert any(".details." in n for n in weights) == model.hparams["detail"]
    assert ("branch.smooth" in weights) == model.hparams["smoothing"]
    assert any("match.modulate" in n for n in weights) == model.hparams["mask_aware"]


@pytest.mark.slow
def test_without_any_idea_every_weight_learns() -> None:
    model = build(ImbDefGAN, **OFF)
    assert learned(model, 0, 3) | learned(model, 1, 1) == trainable(model)


def branch_after_a_step(**options: object) -> dict[str, torch.Tensor]:
    model = build(ImbDefGAN, **options)
    learned(model, 1, 1)
    return dict(model.branch.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("weight", ["edge_weight", "region_weight", "match_weight", "mode_weight"])
def test_each_weight_reaches_the_branch(weight: str) -> None:
    usual = branch_after_a_step()
    assert same(usual, branch_after_a_step())
    assert not same(usual, branch_after_a_step(**{weight: 0.0}))


@pytest.mark.slow
def test_where_all_is_object_region_consistency_is_inert() -> None:
    one, other = (branch_after_a_step(joint_mask=False, region_weight=w) for w in (10.0, 0.0))
    assert same(one, other)


@pytest.mark.slow
def test_the_region_is_the_object_as_it_is_without_the_defect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, seen = build(ImbDefGAN), []
    with torch.no_grad():
        ws, w = model.styles(4)

    def watch(mask: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        seen.append(allowed)
        return mask.sum() * 0

    monkeypatch.setattr(imbdef_gan, "region_consistency", watch)
    monkeypatch.setattr(model, "styles", lambda _: (ws, w))
    learned(model, 1, 1)
    _, around = model.backbone(ws, 1.0)
    assert 0 < (around > 0).float().mean() < 1
    assert torch.equal(seen[0], (around > 0).float())


def test_detail_follows_the_progress_of_the_first_stage() -> None:
    model = build(ImbDefGAN)
    model.clock.enter(0, 100)
    assert model.progress == 0
    model.clock.tick(35)
    assert model.progress == pytest.approx(0.25)
    model.clock.enter(1, 100)
    assert model.progress == 1


def test_a_mismatched_pair_counts_half_and_only_if_it_differs() -> None:
    model = build(ImbDefGAN)
    real = torch.randn(4, 4, 32, 32)

    class Level(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(len(x)) + self.level

        def __init__(self) -> None:
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(0.3))

    class Told:
        def backward(self, loss: torch.Tensor) -> None:
            self.loss = loss.item()

    told = Told()

    class Turn:
        def __call__(self, _player: str) -> Turn:
            return self

        def __enter__(self) -> Told:
            return told

        def __exit__(self, *_: object) -> None:
            return

    model.match, model.turn = Level(), Turn()  # type: ignore[assignment]
    soft = [math.log1p(math.exp(x)) for x in (-0.3, 0.3)]
    wrong = real.clone()
    wrong[2:] += 1
    model.tell("match", real, real, wrong=wrong)
    assert told.loss == pytest.approx(soft[0] + soft[1] + 0.5 * soft[1], rel=1e-5)
    model.tell("match", real, real, wrong=real.clone())
    assert told.loss == pytest.approx(soft[0] + soft[1], rel=1e-5)


def test_an_empty_mask_is_not_valid() -> None:
    model = build(ImbDefGAN)
    request = Request(defects=torch.eye(3), product=torch.zeros(3).long())
    made = sample(model, request)
    assert torch.equal(made["valid"], made["mask"].flatten(1).any(1))
    model.branch_average.network.to_mask.bias.data.fill_(-1e6)
    assert not sample(model, request)["valid"].any()


def test_the_name_says_what_it_is() -> None:
    assert ImbDefGAN.title == "ImbDef-GAN (reconstruction)"
    assert "reconstruction from the abstract" in ImbDefGAN.paper
