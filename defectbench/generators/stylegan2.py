"""StyleGAN2-ADA, conditional by label, trained on defect images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from defectbench.batch import Batch, Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.augment import AdaptiveAugment, policy
from defectbench.nn.blocks.labels import label_length, label_vector
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.style_game import StyleGame, auto_gamma, lazy_adam
from defectbench.nn.stylegan.stylegan2 import StyleGenerator
from defectbench.nn.training.turns import Turns


class StyleGAN2(Generator):
    """Draws whole defect images from noise and a label; it has no idea where the defect is, so it returns no mask.

    Its critic sees images through adaptive augmentation (ADA), DiffAugment, or both.
    """

    paper: ClassVar[str] = (
        "Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, "
        "https://arxiv.org/abs/2006.06676"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect"})
    reads: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"interpolation"})
    mask_source: ClassVar[MaskSource] = "none"
    power_of_two: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {"channel_base": 256, "channel_max": 16, "latents": 16}

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        channel_base: int = 16384,  # "auto" configuration of the official code, here and below
        channel_max: int = 512,
        latents: int = 512,
        mapping_layers: int = 2,
        conditional: bool = True,
        lr: float = 0.0025,
        r1_scale: float = 0.0002,
        r1_every: int = 16,
        path_weight: float = 2.0,
        path_every: int = 4,
        ada: Literal["none", "geometric", "all"] = "geometric",
        ada_target: float = 0.6,
        ada_speed: int = 500_000,
        diffaugment: str = "translation",
        ema_ramp: float = 0.05,
        psi: float = 1.0,
    ) -> None:
        """Build both networks.

        Args:
            size: side of the images, pixels, a power of two.
            defects: names of the defects.
            products: names of the products.
            channel_base: channels times resolution.
            channel_max: upper limit of channels.
            latents: length of z and of w.
            mapping_layers: fully connected layers of the mapping.
            conditional: whether the networks are told defects and products; without, what is asked for is not heard.
            lr: Adam's learning rate, of both players.
            r1_scale: R1's gamma is this times `size^2 / batch`.
            r1_every: steps between gradient penalties.
            path_weight: weight of path length regularisation; 0 for none.
            path_every: steps between its applications.
            ada: transforms of adaptive augmentation: "all" is the paper's choice, "geometric" leaves colour alone.
            ada_target: overfitting that ADA holds, a fraction.
            ada_speed: images in which ADA's p can go from 0 to 1.
            diffaugment: comma-separated transforms of DiffAugment: "color,translation,cutout" is its paper's, "" is none.
            ema_ramp: half-life of the average of weights is at most this share of the images seen.
            psi: truncation of styles when sampling; 1 for metrics, 0.7 for looks.

        Raises:
            UserError: a transform is unknown.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        labels = label_length(len(self.defects), len(self.products)) if conditional else 0
        self.conditional = conditional
        widths = {"base": channel_base, "most": channel_max}
        self.game = StyleGame(
            StyleGenerator(
                size=size,
                labels=labels,
                latents=latents,
                styles=latents,
                layers=mapping_layers,
                **widths,
            ),
            Critic(size=size, labels=labels, **widths),
            augment=AdaptiveAugment(kind=ada, target=ada_target, speed=ada_speed),
            policy=policy(diffaugment),
            latents=latents,
            r1_every=r1_every,
            path_every=path_every,
            path_weight=path_weight,
        )
        self.turn = Turns(self, "generator", "critic")
        self.lr, self.r1_scale, self.ema_ramp, self.psi = lr, r1_scale, ema_ramp, psi
        self.latents = latents

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for both, corrected for their lazy regularisers."""
        return [
            lazy_adam(self.game.generator, self.lr, self.game.path_every),
            lazy_adam(self.game.critic, self.lr, self.game.r1_every),
        ]

    def label(self, asked: Batch | Request) -> Tensor | None:
        """Tell the networks what is shown, (B, labels)."""
        if not self.conditional:
            return None
        return label_vector(asked["defects"], asked["product"], len(self.products))

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Take the game's turns on defect images and their labels."""
        real, label = batch["defect"]["image"], self.label(batch["defect"])
        images = len(real) * self.trainer.world_size
        gamma = auto_gamma(self.size, images, self.r1_scale)
        told = self.game.play(
            self.turn, real, label, clock=self.clock, images=images, gamma=gamma, ramp=self.ema_ramp
        )
        self.report(**told)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Draw one image per row by the averaged generator, with its fixed noise."""
        z = self.draw(len(request["product"]), self.latents, rng=rng)
        image = self.game.average(z, self.label(request), self.psi)
        return Sample(image=image.float().clamp(-1, 1))
