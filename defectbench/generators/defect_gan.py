"""Defect-GAN: defacement and restoration, painted as a layer on the image (Zhang et al., WACV 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.blocks.patchgan import ClassCritic
from defectbench.nn.masks.drawn_masks import harden
from defectbench.nn.training import losses
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.label_translation import LabelGame, two_cycles
from defectbench.nn.translation.layered_translator import LayeredTranslator, Layers


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
        self.turn = Turns(self, "generator", "critic")
        self.game = LabelGame(
            self.generator,
            self.critic,
            self.turn,
            labels=labels,
            n_critic=n_critic,
            class_weight_critic=class_weight_critic,
            class_weight_generator=class_weight_generator,
            cycle_weight=cycle_weight,
            gp_weight=gp_weight,
        )
        self.compose, self.spatial_losses = compose, spatial_losses
        self.spread_weight, self.spread_cycle_weight = spread_weight, spread_cycle_weight
        self.lr, self.lr_end = lr, lr_end

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each (sec. 4.1)."""
        return self.game.optimizers(self.lr)

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic, and every `n_critic` steps the generator: defacement and restoration at once."""
        task, draw = two_cycles(batch), draw_from(None)
        layers: list[Layers] = []  # there (eqs. 1, 2) and back (eqs. 3, 4)

        def translate(image: Tensor, labels: Tensor) -> Tensor:
            layers.append(self.generator(image, labels, draw))
            return layers[-1].image

        def add(total: Tensor) -> Tensor:
            there, back = (layer.spread for layer in layers)
            self.report(generator_spread=there.mean())
            if not self.spatial_losses:
                return total
            cycle = losses.l1(there, back)
            self.report(generator_spread_cycle=cycle)
            area = there.mean() + back.mean()
            return total + self.spread_cycle_weight * cycle + self.spread_weight * area

        lr = self.lr + (self.lr_end - self.lr) * self.clock.progress
        self.report(**self.game.play(task, translate, step=self.clock.step, lr=lr, add=add))

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
