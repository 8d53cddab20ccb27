from __future__ import annotations

import math

import pytest
import torch

from defectbench.nn.blocks.augment import AdaptiveAugment
from defectbench.nn.blocks.labels import label_length, label_vector
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.style_game import StyleGame, auto_gamma, averaging_decay, lazy_adam
from defectbench.nn.stylegan.stylegan2 import StyleGenerator


def game() -> StyleGame:
    torch.manual_seed(0)
    return StyleGame(
        StyleGenerator(size=8, latents=8, styles=8, base=64, most=8),
        Critic(size=8, base=64, most=8),
        augment=AdaptiveAugment(kind="none"),
        latents=8,
    )


def test_losses_of_a_critic_that_knows_nothing() -> None:
    made = game()
    made.critic.out.weight.data.zero_()
    loss, judged = made.critic_loss(torch.randn(4, 3, 8, 8), None)
    assert loss.item() == pytest.approx(2 * math.log(2))
    assert made.generator_loss(4, None).item() == pytest.approx(math.log(2))
    assert not judged.any()


def test_the_penalty_is_half_gamma_times_the_squared_gradient_times_the_interval() -> None:
    made, real = game(), torch.randn(1, 3, 8, 8)
    x = real.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made.critic(x).sum(), x)
    expected = 16 * 0.3 / 2 * gradient.square().sum()
    assert torch.allclose(made.penalty_loss(real, None, 0.3), expected)


def test_path_lengths_move_their_average_and_can_be_differentiated() -> None:
    made = game()
    loss = made.path_loss(4, None)
    assert made.path_average > 0
    loss.backward()
    assert made.generator.synthesis.blocks[0].convs[0].weight.grad.abs().sum() > 0


def test_regularisers_are_lazy() -> None:
    made = game()
    assert [step for step in range(20) if made.path_due(step)] == [0, 4, 8, 12, 16]
    assert [step for step in range(40) if made.penalty_due(step)] == [0, 16, 32]


def test_adam_is_corrected_for_lazy_regularisers() -> None:
    group = lazy_adam(torch.nn.Linear(2, 2), 0.0025, 4).param_groups[0]
    assert group["lr"] == pytest.approx(0.002)
    assert group["betas"] == (0.0, pytest.approx(0.99**0.8))
    assert lazy_adam(torch.nn.Linear(2, 2), 0.0025).param_groups[0]["lr"] == 0.0025


def test_the_average_has_the_half_life_of_the_paper() -> None:
    steps = 10_000 / 32  # batch * 10 / 32 thousand images
    assert averaging_decay(32, 10**9) ** steps == pytest.approx(0.5)
    assert averaging_decay(32, 1000, ramp=0.05) == pytest.approx(0.5 ** (32 / 50))
    assert averaging_decay(32, 0) == 0  # nothing to remember yet: the average is the network


def test_gamma_of_the_auto_configuration() -> None:
    assert auto_gamma(128, 32) == pytest.approx(0.1024)
    assert auto_gamma(256, 16) == pytest.approx(0.8192)


def test_labels_leave_out_what_has_one_value() -> None:
    defects, product = torch.tensor([[0.2, 0.8], [1.0, 0.0]]), torch.tensor([2, 0])
    assert label_length(2, 3) == 5
    assert torch.equal(
        label_vector(defects, product, 3), torch.tensor([[0.2, 0.8, 0, 0, 1], [1, 0, 1, 0, 0]])
    )
    assert label_length(1, 1) == 0
    assert label_vector(defects[:, :1], product, 1) is None
