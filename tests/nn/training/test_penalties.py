"""Penalties of critics whose gradients are known."""

import pytest
import torch
from torch import nn

from defectbench.nn.training.penalties import path_length, r1, wgan_gp


def _images(count=4, seed=0):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 1))


def test_wgan_gp_of_a_linear_critic_is_its_norm_less_one_squared():
    critic = _linear()
    wanted = (critic[1].weight.norm() - 1) ** 2
    found = wgan_gp(critic, _images(), _images(seed=1), torch.rand(4, 1, 1, 1))
    assert torch.allclose(found, wanted, rtol=1e-4)
    found.backward()
    assert critic[1].weight.grad.abs().sum() > 0


def test_wgan_gp_over_patches_sums_or_averages():
    class Patches(nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3), keepdim=True).expand(-1, 1, 5, 5) * 3

    images, mix = _images(), torch.rand(4, 1, 1, 1)
    norm = 3 / 48**0.5
    mean = wgan_gp(Patches(), images, -images, mix, reduce="mean")
    total = wgan_gp(Patches(), images, -images, mix, reduce="sum")
    assert mean.item() == pytest.approx((norm - 1) ** 2, rel=1e-4)
    assert total.item() == pytest.approx((25 * norm - 1) ** 2, rel=1e-4)


def test_wgan_gp_looks_between_the_images():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return (x**2).sum((1, 2, 3))

    real, fake = torch.ones(2, 3, 4, 4), -torch.ones(2, 3, 4, 4)
    wgan_gp(critic, real, fake, torch.tensor([1.0, 0.25]).reshape(2, 1, 1, 1))
    assert torch.allclose(seen[0][0], real[0])
    assert torch.allclose(seen[0][1], torch.full((3, 4, 4), -0.5))


def test_r1_of_a_linear_critic_and_the_logits_of_its_pass():
    critic, images = _linear(), _images()
    penalty, logits = r1(critic, images)
    assert torch.allclose(penalty, critic[1].weight.square().sum(), rtol=1e-4)
    assert torch.equal(logits, critic(images))
    assert not images.requires_grad


def test_penalties_are_float32_under_autocast_and_work_without_grad_mode():
    critic, images = _linear(), _images()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        penalty, logits = r1(critic, images.bfloat16())
        gp = wgan_gp(critic, images.bfloat16(), images, torch.rand(4, 1, 1, 1))
    assert penalty.dtype == logits.dtype == gp.dtype == torch.float32
    assert penalty.requires_grad
    assert gp.requires_grad


def test_wgan_gp_has_a_finite_gradient_where_the_critic_is_flat():
    weight = torch.zeros((), requires_grad=True)
    wgan_gp(
        lambda x: (x * weight).sum((1, 2, 3)), _images(), _images(), torch.rand(4, 1, 1, 1)
    ).backward()
    assert weight.grad.isfinite()


def test_path_length_of_a_linear_synthesis():
    styles = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    images = styles.sum(1)[..., None, None].expand(4, 3, 8, 8)
    noise = torch.ones(4, 3, 8, 8)
    # Each style entry is felt by 64 pixels: gradient 64 / 8 = 8 in each of 3 entries of each layer.
    length = (3 * 8.0**2) ** 0.5
    penalty, average = path_length(images, styles, noise, torch.zeros(()), decay=0.5)
    assert average.item() == pytest.approx(length / 2, rel=1e-5)
    assert penalty.item() == pytest.approx((length / 2) ** 2, rel=1e-5)
