"""StarGAN: sizes of the official networks, its turns, its label maps, masks by difference."""

import pytest
import torch

from defectbench.generators.star_gan import StarGan
from tests.generators.short_training import (
    DEFECTS,
    PRODUCTS,
    build,
    check_trains,
    millions,
    train,
    train_batch,
)


def test_sizes_are_those_of_the_official_networks():
    with torch.device("meta"):
        module = StarGan(size=128, defects=list("abcde"), products=["wood"])
    assert millions(module.generator) == pytest.approx(8.43, abs=0.005)
    assert millions(module.critic) == pytest.approx(44.76, abs=0.005)


@pytest.mark.parametrize("labels", ["attributes", "exclusive"])
def test_every_weight_learns(labels):
    check_trains(build(StarGan, labels=labels), precision="bf16-mixed")


def test_generator_steps_once_in_n_critic_steps():
    module = build(StarGan, n_critic=3)
    weights = {n: p.detach().clone() for n, p in module.named_parameters()}
    first = train(module, 2)
    still = [n for n, p in module.named_parameters() if torch.equal(p, weights[n])]
    assert still == [n for n in weights if n.startswith("generator.")]
    assert "generator_cycle" not in first[-1]
    module.clock.step = 0
    assert "generator_cycle" in train(module, 3)[-1]


def test_rate_falls_linearly_in_the_second_half():
    module, rates = build(StarGan, lr=1.0), []
    train(module, 1)
    module.clock.budget = 100
    for images in (0, 50, 75, 95):
        module.clock.images = images
        module.turn.set_lr = lambda player, lr: rates.append(lr)
        module.training_step(train_batch(module.streams), 0)
    assert rates[::2] == pytest.approx([1.0, 1.0, 0.5, 0.1])


@pytest.mark.slow
def test_reconstruction_improves():
    module = build(StarGan, base=8, lr=2e-3)
    curve = [step["generator_cycle"] for step in train(module, 20)]
    assert sum(curve[-5:]) < 0.6 * sum(curve[:5])


def test_constant_label_maps_survive_normalisation():
    """With reflection padding, instance normalisation would erase them; zero padding keeps them at the border."""
    module = StarGan(size=32, defects=DEFECTS, products=PRODUCTS, base=4, critic_base=4, blocks=1)
    image = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        one, two = (module.translate(image, torch.eye(3)[[k]]) for k in (0, 1))
    assert (one - two).abs().max() > 1e-3
