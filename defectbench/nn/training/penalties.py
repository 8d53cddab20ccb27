"""Gradient penalties. They run the critic themselves, in float32 with autocast off: their second derivatives need it.

All take the first derivative with `create_graph`, so a backward pass of the returned value trains the critic. None works
under `torch.inference_mode` or `no_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from defectbench.nn.training.derivable_conv import DerivableConvolutions


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch autocast off on a device: networks called inside compute in their own float32."""
    with torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def second_derivatives(device: torch.device) -> Iterator[None]:
    """Call networks in here whose gradients will be derived again: in float32, on CUDA with convolutions made for it."""
    ours = DerivableConvolutions() if device.type == "cuda" else nullcontext()
    with torch.enable_grad(), full_precision(device), ours:
        yield


def _input_gradient(value: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of a scalar by its inputs, as one row per image: (B, ...) gives (B, D)."""
    (gradient,) = torch.autograd.grad(value, inputs, create_graph=True)
    return gradient.flatten(1)  # (B, D)


def squared_gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Mean squared norm of the gradient of logits by the images they were computed from (Mescheder et al. 2018, eq. 9 without `gamma / 2`).

    For critics with several outputs; compute the logits under `second_derivatives`. `r1` does so for the others.

    Args:
        logits: any shape (B, ...); each must depend on its own image only. They are summed per image.
        images: (B, C, H, W) float32 that require gradients.
    """
    with second_derivatives(images.device):
        return _input_gradient(logits.sum(), images).square().sum(1).mean()


def r1(critic: Callable[[Tensor], Tensor], real: Tensor) -> tuple[Tensor, Tensor]:
    """Squared gradient of the critic at real images.

    Args:
        critic: gives logits of any shape (B, ...); each must depend on its own image only.
        real: (B, C, H, W) float.

    Returns:
        the penalty, a scalar; and the logits of the same pass, so that the adversarial loss on real images need not run
        the critic again.
    """
    with second_derivatives(real.device):
        real = real.detach().float().requires_grad_()
        logits = critic(real)
        return squared_gradient(logits, real), logits


def wgan_gp(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    mix: Tensor,
    reduce: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """Mean squared distance from 1 of the critic's gradient norm between real and generated images (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: gives logits of any shape (B, ...).
        real: (B, C, H, W) float.
        fake: (B, C, H, W) float; detached here.
        mix: (B, 1, 1, 1) in [0, 1], uniform random: the share of the real image.
        reduce: how the patch logits of one image become one number. "sum" is unit `grad_outputs` (StarGAN's code),
            "mean" makes the penalty independent of the size of the patch map.

    Returns:
        a scalar; for a critic that is linear in the image, `(|w| - 1)^2`.
    """
    with second_derivatives(real.device):
        between = torch.lerp(fake.detach().float(), real.detach().float(), mix.float())
        logits = critic(between.requires_grad_())
        total = logits.sum() if reduce == "sum" else logits.flatten(1).mean(1).sum()
        gradient = _input_gradient(total, between)
        return (gradient.square().sum(1) + 1e-12).sqrt().sub(1).square().mean()


def path_length(
    images: Tensor, styles: Tensor, noise: Tensor, average: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Path length regularisation (Karras et al. 2020, eq. 4, without its weight).

    Call the synthesis network under `second_derivatives` with styles that require gradients.

    Args:
        images: (B, C, H, W) made from `styles`.
        styles: (B, L, D), one style vector per layer.
        noise: (B, C, H, W) standard normal.
        average: (), running mean of the lengths, kept by the caller in a buffer.
        decay: weight of the new lengths in the running mean.

    Returns:
        the penalty, a scalar; and the new running mean, detached.
    """
    height, width = images.shape[-2:]
    with second_derivatives(images.device):
        value = (images.float() * noise.float()).sum() / (height * width) ** 0.5
        (gradient,) = torch.autograd.grad(value, styles, create_graph=True)
        lengths = gradient.float().square().sum(2).mean(1).sqrt()  # (B,)
        new_average = torch.lerp(average, lengths.detach().mean(), decay)
        return (lengths - new_average).square().mean(), new_average
