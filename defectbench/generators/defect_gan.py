"""Defect-GAN: defacement and restoration, painted as a layer on the image (Zhang et al., WACV 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch.optim import Adam, Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.blocks.patchgan import ClassCritic
from defectbench.nn.masks.soft_masks import harden
from defectbench.nn.training import losses
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.label_translation import critic_terms, generator_terms, two_cycles
from defectbench.nn.translation.layered import LayeredTranslator


class DefectGan(Generator):
    """Paints defects on a normal image, and restores a defective one when asked for the normal label.

    Labels may name several defects at once. Where a request holds a mask, defects are asked for inside it only
    (Fig. 6), and with `compose` the rest of the image is left alone; training never sees such maps. The mask returned is the spread of
    the painted layer.

    Args:
        size: side of the images, pixels; a multiple of 4.
        defects: names of the defects, K.
        products: names of the products; the network does not see them.
        base: width of the generator's first convolution.
        critic_base: width of the critic's first convolution.
        blocks: residual blocks.
        hidden: width of SPADE's shared layer.
        noise: adaptive noise injection (ANI of Table 2).
        compose: layer-wise composition (LWC of Table 2).
        spatial_losses: the two losses of the spread (SC of Table 2); they need `compose`.
        labels: "attributes" if defects may coincide, "exclusive" if not; decides the class loss.
        n_critic: steps of the critic per step of the generator.
        class_weight_critic: of the class loss of real images.
        class_weight_generator: of the class loss of made images.
        cycle_weight: of the reconstruction.
        spread_cycle_weight: of the difference of the two spreads.
        spread_weight: of the size of the spreads.
        gp_weight: of the gradient penalty; the paper does not say.
        lr: of both optimisers, at the beginning.
        lr_end: at the end; between them the rate is linear.
    """

    paper: ClassVar[str] = (
        "Zhang et al., Defect-GAN: High-Fidelity Defect Synthesis for Automated Defect Inspection, WACV 2021, "
        "https://arxiv.org/abs/2103.15158"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset({"mask", "several", "restoration"})
    mask_source: ClassVar[MaskSource] = "native"
    multiple_of: ClassVar[int] = 4
    revision: ClassVar[int] = 2
    tiny: ClassVar[Mapping[str, Any]] = {
        "base": 4,
        "critic_base": 4,
        "blocks": 1,
        "hidden": 4,
        "n_critic": 1,
    }

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        base: int = 64,  # StarGAN, which sec. 3.1 follows
        critic_base: int = 64,  # "the same as StarGAN", sec. 3.1
        blocks: int = 6,
        hidden: int = 128,  # SPADE
        noise: bool = True,
        compose: bool = True,
        spatial_losses: bool = True,
        labels: Literal["attributes", "exclusive"] = "attributes",
        n_critic: int = 5,  # sec. 4.1
        class_weight_critic: float = 2.0,  # eq. 11
        class_weight_generator: float = 5.0,  # eq. 12
        cycle_weight: float = 5.0,  # eq. 12
        spread_cycle_weight: float = 5.0,  # eq. 12
        spread_weight: float = 1.0,  # eq. 12
        gp_weight: float = 10.0,  # WGAN-GP's own
        lr: float = 2e-4,  # sec. 4.1
        lr_end: float = 1e-6,  # sec. 4.1
    ) -> None:
        """Build both networks.

        Raises:
            UserError: spatial losses without composition.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if spatial_losses and not compose:
            raise UserError(
                "defect_gan: spatial_losses=true needs compose=true, for without it there is no spread; "
                "set spatial_losses=false"
            )
        classes = len(self.defects)
        self.generator = LayeredTranslator(
            classes=classes, base=base, blocks=blocks, hidden=hidden, noise=noise, compose=compose
        )
        self.critic = ClassCritic(size=size, classes=classes, base=critic_base)
        self.classify = (
            losses.binary_classes if labels == "attributes" else losses.exclusive_classes
        )
        self.compose, self.spatial_losses = compose, spatial_losses
        self.n_critic, self.gp_weight = n_critic, gp_weight
        self.class_weight_critic = class_weight_critic
        self.class_weight_generator = class_weight_generator
        self.cycle_weight, self.spread_weight = cycle_weight, spread_weight
        self.spread_cycle_weight = spread_cycle_weight
        self.lr, self.lr_end = lr, lr_end
        self.turn = Turns(self, "generator", "critic")

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each, betas (0.5, 0.999) (sec. 4.1)."""
        networks = (self.generator, self.critic)
        return [Adam(n.parameters(), lr=self.lr, betas=(0.5, 0.999)) for n in networks]

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic, and every `n_critic` steps the generator: defacement and restoration at once."""
        for player in self.turn.players:
            self.turn.set_lr(player, self.lr + (self.lr_end - self.lr) * self.clock.progress)
        task, draw = two_cycles(batch), draw_from(None)
        generator_learns = (self.clock.step + 1) % self.n_critic == 0
        with torch.set_grad_enabled(generator_learns):  # one translation serves both turns
            there = self.generator(task.image, task.target, draw)  # eqs. 1, 2
        with self.turn("critic") as turn:
            judged = critic_terms(self.critic, task, there.image.detach(), self.classify)
            turn.backward(
                judged.adversarial
                + self.class_weight_critic * judged.classes
                + self.gp_weight * judged.penalty
            )
        self.report(
            critic_adversarial=judged.adversarial,
            critic_class=judged.classes,
            critic_penalty=judged.penalty,
        )
        if not generator_learns:
            return
        with self.turn("generator") as turn:
            back = self.generator(there.image, task.label, draw)  # eqs. 3, 4
            made = generator_terms(self.critic, task, there.image, self.classify)
            cycle = losses.l1(back.image, task.image)
            total = (
                made.adversarial
                + self.class_weight_generator * made.classes
                + self.cycle_weight * cycle
            )
            if self.spatial_losses:
                spread_cycle = losses.l1(there.spread, back.spread)
                area = there.spread.mean() + back.spread.mean()
                total = total + self.spread_cycle_weight * spread_cycle + self.spread_weight * area
                self.report(generator_spread_cycle=spread_cycle)
            turn.backward(total)
        self.report(
            generator_adversarial=made.adversarial,
            generator_class=made.classes,
            generator_cycle=cycle,
            generator_spread=there.spread.mean(),
        )

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Paint the asked defects, everywhere or inside the request's mask; without composition there is no mask."""
        labels, normal = request["defects"], request["normal"]
        if "mask" in request:
            labels = labels[..., None, None] * request["mask"]  # (B, K, H, W)
        image, spread = self.generator(normal, labels, draw_from(rng))
        if not self.compose:
            return Sample(image=image)
        if "mask" in request:
            # Departs: outside, the label of zeros would "restore" a normal image, which training never asks for.
            inside = request["mask"] > 0
            image, spread = torch.where(inside, image, normal), spread * inside
        mask, valid = harden(spread)
        return Sample(image=image, mask=mask, valid=valid)
