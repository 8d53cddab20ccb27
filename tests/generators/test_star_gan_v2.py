"""StarGAN v2: sizes of the official networks, its four turns, domains, styles from noise or references."""

import pytest
import torch

from defectbench.generators.star_gan_v2 import StarGanV2
from defectbench.nn.training.turns import held
from defectbench.nn.translation.style_domains import exchange, pick
from tests.generators.short_training import (
    asked,
    build,
    check_trains,
    draw_batch,
    millions,
    sample,
    train,
    train_batch,
)


@pytest.mark.parametrize(
    ("size", "sizes"), [(128, (33.63, 3.26, 20.83, 20.74)), (256, (33.89, 3.26, 20.95, 20.85))]
)
def test_sizes_are_those_of_the_official_networks(size, sizes):
    with torch.device("meta"):
        module = StarGanV2(size=size, defects=["a", "b"], products=["w"])  # 3 domains with normal
    networks = module.generator, module.mapping, module.encoder, module.critic
    assert [millions(n) for n in networks] == pytest.approx(sizes, abs=0.006)


@pytest.mark.slow
def test_every_weight_learns_and_averages_follow():
    module = build(StarGanV2)
    before = module.averages["generator"].network.out.weight.clone()
    check_trains(module, steps=5, precision="bf16-mixed")
    assert not torch.equal(before, module.averages["generator"].network.out.weight)


def test_the_reference_pass_teaches_the_generator_alone():
    module = build(StarGanV2)
    task = exchange(train_batch(module.streams))
    with held(module.mapping, module.encoder):  # as in the generator's own turn
        loss = module.generator_loss(
            task, lambda r: pick(module.encoder(r), task.target), task.reference, task.reference_2
        )
    loss.backward()
    assert all(p.grad is not None for p in module.generator.parameters())
    assert all(p.grad is None for p in module.encoder.parameters())


def test_diversity_weight_falls_to_zero():
    module = build(StarGanV2, style_weight=0.0, cycle_weight=0.0, diversity_weight=7.0)
    task = exchange(train_batch(module.streams))
    module.clock.budget = 100
    totals = {}
    for images in (0, 50, 100):
        module.clock.images = images
        z = torch.zeros(8, 16), torch.ones(8, 16)
        loss = module.generator_loss(task, lambda c: pick(module.mapping(c), task.target), *z)
        kept = module.losses
        totals[images] = (loss - kept["generator_adversarial"]) / kept["generator_diversity"]
    assert [v.item() for v in totals.values()] == pytest.approx([-7.0, -3.5, 0.0], abs=1e-3)


@pytest.mark.slow
def test_cycle_improves():
    module = build(StarGanV2, lr=2e-3, capacity=256, diversity_weight=0.0)
    curve = [step["generator_cycle"] for step in train(module, 20)]
    assert sum(curve[-5:]) < 0.7 * sum(curve[:5])


def test_references_in_place_of_noise_change_the_image():
    module = build(StarGanV2)
    train(module, 2)
    guided = sample(module, asked(reference=draw_batch()))["image"]
    assert not torch.equal(guided, sample(module, asked(reference=draw_batch(seed=5)))["image"])
    assert torch.equal(guided, sample(module, asked(reference=draw_batch()), seed=1)["image"])
