"""Losses against values worked by hand."""

import math

import pytest
import torch

from defectbench.nn.training import losses

PAIRS = ["logistic", "hinge", "least_squares", "wasserstein"]


@pytest.mark.parametrize(
    ("kind", "critic", "generator"),
    [
        (
            "logistic",
            math.log(1 + math.exp(-2)) + math.log(1 + math.exp(0.5)),
            math.log(1 + math.exp(-0.5)),
        ),
        ("hinge", 0.0 + 1.5, -0.5),
        ("least_squares", 1.0 + 0.25, 0.25),
        ("wasserstein", 0.5 - 2.0, -0.5),
    ],
)
def test_adversarial_values_for_real_2_and_fake_a_half(kind, critic, generator):
    real, fake = torch.full((3, 1, 2, 2), 2.0), torch.full((3, 1, 2, 2), 0.5)
    assert getattr(losses, f"{kind}_critic")(real, fake).item() == pytest.approx(critic, abs=1e-6)
    assert getattr(losses, f"{kind}_generator")(fake).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_critic_prefers_what_is_right_and_generator_pulls_fakes_up(kind):
    low, high = torch.full((4,), -0.9), torch.full((4,), 0.9)
    critic = getattr(losses, f"{kind}_critic")
    assert critic(high, low) < critic(low, high)
    fake = low.clone().requires_grad_()
    getattr(losses, f"{kind}_generator")(fake).backward()
    assert (fake.grad < 0).all()


def test_d2gan_by_hand_and_refuses_one_channel():
    one = math.log(math.e - 1)  # softplus of this is 1
    real = torch.tensor([[one, one]]).reshape(1, 2, 1, 1)
    fake = torch.tensor([[one, one]]).reshape(1, 2, 1, 1)
    assert losses.d2gan_critic(real, fake).item() == pytest.approx(2.0, abs=1e-5)
    assert losses.d2gan_generator(fake).item() == pytest.approx(-1.0, abs=1e-5)
    deep = torch.full((1, 2, 1, 1), -200.0)
    assert losses.d2gan_critic(deep, deep).isfinite()
    with pytest.raises(ValueError, match="one channel per critic"):
        losses.d2gan_critic(real[:, :1], fake)


def test_kl_by_hand():
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    assert losses.kl(mean, log_variance).item() == pytest.approx(
        0.5 * (1 + 4 - 1 - math.log(4)), abs=1e-6
    )
    assert losses.kl(torch.zeros(3, 8), torch.zeros(3, 8)).item() == 0


def test_mode_seeking_is_a_ratio_of_means_and_survives_equal_outputs():
    codes = torch.zeros(2, 4), torch.full((2, 4), 3.0)
    images = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 1.5)
    assert losses.mode_seeking(*codes, *images).item() == pytest.approx(2.0, rel=1e-4)
    assert losses.mode_seeking(*codes, images[0], images[0]).isfinite()


def test_diversity_of_four_counts_six_pairs():
    images = [torch.full((1, 1, 2, 2), float(v)) for v in (0, 1, 3, 7)]
    assert losses.diversity(images).item() == pytest.approx(1 + 3 + 7 + 2 + 6 + 4)
    ones_apart = [torch.eye(4)[i].reshape(1, 1, 2, 2) for i in range(4)]
    assert losses.diversity(ones_apart).item() == pytest.approx(6 * 0.5)


def test_class_losses_by_hand():
    logits, labels = torch.zeros(2, 3), torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    assert losses.binary_classes(logits, labels).item() == pytest.approx(3 * math.log(2), abs=1e-6)
    exclusive = torch.tensor([[0.0, 1, 0], [0, 0, 0]])
    assert losses.exclusive_classes(logits, exclusive).item() == pytest.approx(
        math.log(4), abs=1e-6
    )
    sure = torch.tensor([[-50.0, 50, -50], [-50, -50, -50]])
    assert losses.exclusive_classes(sure, exclusive).item() == pytest.approx(0, abs=1e-6)


def test_losses_of_half_precision_logits_are_float32():
    half = torch.zeros(2, 1, dtype=torch.bfloat16)
    for kind in PAIRS:
        assert getattr(losses, f"{kind}_critic")(half, half).dtype == torch.float32
