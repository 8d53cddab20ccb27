from __future__ import annotations

import pytest
import torch

from defectbench.batch import Request
from defectbench.generators.stylegan2 import StyleGAN2
from tests.generators.short_training import build, check_trains, draw_batch, sample, train


def test_every_weight_learns() -> None:
    check_trains(
        build(StyleGAN2, ada="all", diffaugment="color,translation,cutout"), precision="bf16-mixed"
    )


def test_the_average_follows_and_is_what_samples_come_from() -> None:
    model = build(StyleGAN2)
    request = Request(defects=torch.eye(3), product=torch.tensor([0, 1, 0]))
    before = sample(model, request)["image"]
    train(model.train(), 2)
    after = sample(model, request)["image"]
    assert not torch.equal(before, after)
    w = model.game.average.network.mapping(
        model.draw(3, 16, rng=torch.Generator().manual_seed(0)), model.label(request)
    )
    layers = model.game.average.network.synthesis.layers
    with torch.no_grad():
        again = model.game.average.network.synthesis(w[:, None].expand(-1, layers, -1))
    assert torch.equal(again.clamp(-1, 1), after)


def test_unconditional_it_hears_neither_label_nor_product() -> None:
    model = build(StyleGAN2, conditional=False)
    check_trains(model, steps=2)
    one = Request(defects=torch.eye(3)[:1], product=torch.tensor([0]))
    other = Request(defects=torch.eye(3)[1:2], product=torch.tensor([1]))
    assert torch.equal(sample(model, one)["image"], sample(model, other)["image"])


def test_one_defect_of_one_product_needs_no_label() -> None:
    torch.manual_seed(0)
    model = StyleGAN2(size=32, defects=["a"], products=["p"], **StyleGAN2.tiny)
    batch = draw_batch()
    batch["defects"], batch["product"] = torch.ones(4, 1), torch.zeros(4, dtype=torch.int64)
    check_trains(model, steps=2, batch={"defect": batch})


def test_ada_raises_p_while_the_critic_is_sure_of_its_training_images() -> None:
    model = build(StyleGAN2, ada_speed=160, ada_target=-1.1)  # any sign is above this target
    losses = train(model, 8)
    assert losses[-1]["augment_p"] == pytest.approx(2 * 4 * 4 / 160)


def test_label_and_product_change_the_image() -> None:
    model = build(StyleGAN2)
    one = Request(defects=torch.eye(3)[:1], product=torch.tensor([0]))
    for other in (
        Request(defects=torch.eye(3)[1:2], product=torch.tensor([0])),
        Request(defects=torch.eye(3)[:1], product=torch.tensor([1])),
    ):
        assert not torch.equal(sample(model, one)["image"], sample(model, other)["image"])
