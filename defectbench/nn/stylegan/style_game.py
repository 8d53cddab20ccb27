"""The adversarial game of the StyleGAN family: its losses, lazy regularisers, augmentation and average.

A generator has one or more of these and takes the turns itself, so that its `training_step` shows their order.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from defectbench.nn.blocks.augment import AdaptiveAugment, differentiable_augment
from defectbench.nn.stylegan.stylegan2 import StyleGenerator
from defectbench.nn.stylegan.stylegan3 import AliasFreeGenerator
from defectbench.nn.training.clock import Clock
from defectbench.nn.training.ema import Ema
from defectbench.nn.training.losses import logistic_critic, logistic_generator
from defectbench.nn.training.penalties import path_length, r1, second_derivatives
from defectbench.nn.training.turns import Turns

G = TypeVar("G", bound=StyleGenerator | AliasFreeGenerator)


class StyleGame(nn.Module, Generic[G]):
    """A style-based generator against a critic: non-saturating logistic loss, lazy R1, lazy path lengths.

    Departs: R1 is taken at the images that the critic sees, after augmentation; the official code differentiates through
    the augmentation. For geometric transforms the two norms are nearly equal.

    Args:
        generator: has `imagine(z, label)`, which draws the rest from torch's own generator.
        critic: called as `critic(images, label)`, gives logits (B,).
        augment: ADA.
        policy: names of DiffAugment's transforms.
        latents: length of z.
        r1_every: steps from one penalty to the next.
        path_every: steps from one regularisation of path lengths to the next; 0 for none.
        path_weight: its weight.

    Attributes:
        average: running average of the generator, which samples are drawn from.
    """

    path_average: Tensor

    def __init__(
        self,
        generator: G,
        critic: nn.Module,
        *,
        augment: AdaptiveAugment,
        policy: tuple[str, ...] = (),
        latents: int = 512,
        r1_every: int = 16,
        path_every: int = 4,
        path_weight: float = 2.0,
    ) -> None:
        super().__init__()
        self.generator: G = generator
        self.critic, self.augment, self.average = critic, augment, Ema(generator)
        self.policy, self.latents = policy, latents
        self.r1_every = r1_every
        self.path_every, self.path_weight = path_every if path_weight else 0, path_weight
        self.register_buffer("path_average", torch.zeros(()))

    def imagine(self, images: int, label: Tensor | None) -> Tensor:
        """Make images (B, C, H, W) for labels (B, labels), by fresh latents."""
        z = torch.randn(images, self.latents, device=self.path_average.device)
        return self.generator.imagine(z, label)

    def seen(self, images: Tensor) -> Tensor:
        """Give images as the critic sees them: augmented."""
        return differentiable_augment(self.augment(images), self.policy)

    def generator_loss(self, images: int, label: Tensor | None) -> Tensor:
        """Fool the critic."""
        return logistic_generator(self.critic(self.seen(self.imagine(images, label)), label))

    def path_due(self, step: int) -> bool:
        """Whether this step regularises path lengths."""
        return bool(self.path_every) and step % self.path_every == 0

    def path_loss(self, images: int, label: Tensor | None) -> Tensor:
        """Equalise path lengths, on half of the batch, times the interval (Karras et al. 2020a, sec. 3.2 and App. B)."""
        assert isinstance(self.generator, StyleGenerator), "path lengths need styles"
        half = max(images // 2, 1)
        with second_derivatives(self.path_average.device):
            z = torch.randn(half, self.latents, device=self.path_average.device)
            ws = self.generator.mixed(z, None if label is None else label[:half])
            made = self.generator.synthesis(ws, self.generator.synthesis.draw_noise(half))
            penalty, average = path_length(made, ws, torch.randn_like(made), self.path_average)
        self.path_average.copy_(average)
        return penalty * (self.path_weight * self.path_every)

    def critic_loss(self, real: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tell real from generated images; also the logits (B,) of the real ones, for ADA."""
        with torch.no_grad():
            fake = self.imagine(len(real), label)
        judged = self.critic(self.seen(real), label)
        return logistic_critic(judged, self.critic(self.seen(fake), label)), judged.detach()

    def penalty_due(self, step: int) -> bool:
        """Whether this step penalises the critic's gradient."""
        return step % self.r1_every == 0

    def penalty_loss(self, real: Tensor, label: Tensor | None, gamma: float) -> Tensor:
        """R1 with `gamma / 2`, times the interval (Mescheder et al. 2018; Karras et al. 2020a, App. B)."""
        penalty, _ = r1(lambda x: self.critic(x, label), self.seen(real))
        return penalty * (gamma / 2 * self.r1_every)

    def play(
        self,
        turn: Turns,
        real: Tensor,
        label: Tensor | None,
        *,
        clock: Clock,
        images: int,
        gamma: float,
        ramp: float | None = 0.05,
    ) -> dict[str, Tensor]:
        """Take all turns of one step: generator, path lengths every few steps, critic, R1 every few steps, average.

        Args:
            turn: has the players "generator" and "critic".
            real: (B, C, H, W) in [-1, 1].
            label: (B, labels), or None.
            clock: of the generator.
            images: images per step over all processes.
            gamma: weight of R1.
            ramp: see `averaging_decay`.

        Returns:
            losses to report.
        """
        with turn("generator") as mine:
            fooling = self.generator_loss(len(real), label)
            mine.backward(fooling)
        if self.path_due(clock.step):
            with turn("generator") as mine:
                mine.backward(self.path_loss(len(real), label))
        with turn("critic") as mine:
            telling, judged = self.critic_loss(real, label)
            mine.backward(telling)
        if self.penalty_due(clock.step):
            with turn("critic") as mine:
                mine.backward(self.penalty_loss(real, label, gamma))
        self.follow(judged, images, clock.images, ramp)
        return {
            "generator_adversarial": fooling,
            "critic_adversarial": telling,
            "critic_real": judged.mean(),
            "augment_p": self.augment.p,
        }

    def follow(self, judged: Tensor, images: int, seen: int, ramp: float | None = 0.05) -> None:
        """Move the average and ADA's p after a step.

        Args:
            judged: the critic's logits on real images.
            images: images per step over all processes.
            seen: images seen before this step.
            ramp: see `averaging_decay`.
        """
        self.average.follow(self.generator, averaging_decay(images, seen, ramp))
        self.augment.follow(judged, images)


def auto_gamma(size: int, images: int, scale: float = 0.0002) -> float:
    """Weight of R1 by StyleGAN2-ADA's "auto" rule: `0.0002 * size^2 / batch`."""
    return scale * size**2 / images


def averaging_decay(images: int, seen: int, ramp: float | None = 0.05) -> float:
    """Decay of the average of weights: a half-life of `images * 10 / 32` thousand images.

    Args:
        images: images per step.
        seen: images seen so far.
        ramp: the half-life is at most this share of the images seen; None for no ramp.
    """
    life = images * 10_000 / 32
    if ramp is not None:
        life = min(life, seen * ramp)
    return float(0.5 ** (images / max(life, 1e-8)))


def lazy_adam(network: nn.Module, lr: float, interval: int = 0) -> torch.optim.Adam:
    """Adam with betas 0 and 0.99 for a player with a lazy regulariser.

    With a regulariser every k steps there are k + 1 updates in the time of k, so the rate is multiplied by
    `k / (k + 1)` and the betas are raised to that power (Karras et al. 2020a, App. B).

    Args:
        network: whose parameters to optimise.
        lr: learning rate before the correction.
        interval: k; 0 for no regulariser.
    """
    share = interval / (interval + 1) if interval else 1.0
    wanted = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(wanted, lr * share, betas=(0.0, 0.99**share))
