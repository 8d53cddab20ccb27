"""StyleGAN3-T, conditional by label, trained on defect images."""

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
from defectbench.nn.stylegan.style_game import StyleGame, lazy_adam
from defectbench.nn.stylegan.stylegan3 import AliasFreeGenerator
from defectbench.nn.training.turns import Turns


class StyleGAN3(Generator):
    """Draws whole defect images from noise and a label by an alias-free network; it returns no mask.

    The backbone of ImbDef-GAN, and a baseline of its own. Slower than `stylegan2` at equal width.
    """

    paper: ClassVar[str] = (
        "Karras et al. 2021, Alias-Free Generative Adversarial Networks, https://arxiv.org/abs/2106.12423"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect"})
    reads: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"interpolation"})
    mask_source: ClassVar[MaskSource] = "none"
    power_of_two: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {
        "channel_base": 256,
        "channel_max": 16,
        "latents": 16,
        "layers": 5,
    }

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        channel_base: int = 32768,  # configuration T of the official code, here and below
        channel_max: int = 512,
        latents: int = 512,
        layers: int = 14,
        mapping_layers: int = 2,
        lr: float = 0.0025,
        critic_lr: float = 0.002,
        r1_at_256: float = 2.0,
        r1_every: int = 16,
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
            layers: layers of the synthesis network without the last.
            mapping_layers: fully connected layers of the mapping.
            lr: Adam's learning rate of the generator.
            critic_lr: Adam's learning rate of the critic.
            r1_at_256: R1's gamma at 256 px; it goes with the square of the size. The method is sensitive to it: try a
                half, twice and four times.
            r1_every: steps between gradient penalties.
            ada: transforms of adaptive augmentation: "all" is the paper's choice, "geometric" leaves colour alone.
            ada_target: overfitting that ADA holds, a fraction.
            ada_speed: images in which ADA's p can go from 0 to 1.
            diffaugment: comma-separated transforms of DiffAugment; "" is none.
            ema_ramp: half-life of the average of weights is at most this share of the images seen.
            psi: truncation of styles when sampling; 1 for metrics, 0.7 for looks.

        Raises:
            UserError: there are too few layers, or a transform is unknown.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        labels = label_length(len(self.defects), len(self.products))
        widths = {"base": channel_base, "most": channel_max}
        self.game = StyleGame(
            AliasFreeGenerator(
                size=size,
                labels=labels,
                latents=latents,
                layers=layers,
                mapping_layers=mapping_layers,
                **widths,
            ),
            Critic(size=size, labels=labels, **widths),
            augment=AdaptiveAugment(kind=ada, target=ada_target, speed=ada_speed),
            policy=policy(diffaugment),
            latents=latents,
            r1_every=r1_every,
            path_weight=0.0,
        )
        self.turn = Turns(self, "generator", "critic")
        self.lr, self.critic_lr, self.ema_ramp, self.psi = lr, critic_lr, ema_ramp, psi
        self.gamma, self.latents = r1_at_256 * (size / 256) ** 2, latents

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for both; the critic's is corrected for its lazy penalty."""
        return [
            lazy_adam(self.game.generator, self.lr),
            lazy_adam(self.game.critic, self.critic_lr, self.game.r1_every),
        ]

    def label(self, asked: Batch | Request) -> Tensor | None:
        """Tell the networks what is shown, (B, labels)."""
        return label_vector(asked["defects"], asked["product"], len(self.products))

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Take the game's turns on defect images and their labels."""
        real, label = batch["defect"]["image"], self.label(batch["defect"])
        images = len(real) * self.trainer.world_size
        told = self.game.play(
            self.turn,
            real,
            label,
            clock=self.clock,
            images=images,
            gamma=self.gamma,
            ramp=self.ema_ramp,
        )
        self.report(**told)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Draw one image per row by the averaged generator."""
        z = self.draw(len(request["product"]), self.latents, rng=rng)
        image = self.game.average(z, self.label(request), self.psi)
        return Sample(image=image.float().clamp(-1, 1))
