"""StarGAN + SPADE: StarGAN whose labels steer the decoder's normalisation; Defect-GAN's strongest baseline.

It is Defect-GAN with its noise, composition and spatial losses off ("SCC" alone in Table 2 of Zhang et al. 2021), under
a name of its own because the paper's tables give it a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.blocks.patchgan import ClassCritic
from defectbench.nn.masks.drawn_masks import difference_masks
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.label_translation import LabelGame, two_cycles
from defectbench.nn.translation.layered_translator import LayeredTranslator, Layers


class StarGanSpade(Generator):
    """Translates a normal image into one with the asked defects; labels enter every normalisation of the decoder.

    Where a request holds a mask, defects are asked for inside it only; training never sees such maps.

    Args:
        size: side of the images, pixels; a multiple of 4.
        defects: names of the defects, K.
        products: names of the products; the network does not see them.
        base: width of the generator's first convolution.
        critic_base: width of the critic's first convolution.
        blocks: residual blocks.
        hidden: width of SPADE's shared layer.
        labels: "attributes" if defects may coincide, "exclusive" if not; decides the class loss.
        n_critic: steps of the critic per step of the generator.
        class_weight_critic: of the class loss of real images.
        class_weight_generator: of the class loss of made images.
        cycle_weight: of the reconstruction.
        gp_weight: of the gradient penalty.
        lr: of both optimisers, at the beginning.
        lr_end: at the end; between them the rate is linear.
    """

    paper: ClassVar[str] = (
        "StarGAN (Choi et al., CVPR 2018) + SPADE (Park et al., CVPR 2019), as the baseline of Zhang et al., "
        "Defect-GAN, WACV 2021, https://arxiv.org/abs/2103.15158"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset({"mask", "several", "restoration"})
    mask_source: ClassVar[MaskSource] = "difference"
    multiple_of: ClassVar[int] = 4
    deterministic: ClassVar[bool] = True
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
        base: int = 64,  # StarGAN
        critic_base: int = 64,  # StarGAN
        blocks: int = 6,  # StarGAN
        hidden: int = 128,  # SPADE
        labels: Literal["attributes", "exclusive"] = "attributes",
        n_critic: int = 5,  # Defect-GAN, sec. 4.1
        class_weight_critic: float = 2.0,  # Defect-GAN, eq. 11
        class_weight_generator: float = 5.0,  # Defect-GAN, eq. 12
        cycle_weight: float = 5.0,  # Defect-GAN, eq. 12
        gp_weight: float = 10.0,  # WGAN-GP's own
        lr: float = 2e-4,  # Defect-GAN, sec. 4.1
        lr_end: float = 1e-6,  # Defect-GAN, sec. 4.1
    ) -> None:
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        classes = len(self.defects)
        self.generator = LayeredTranslator(
            classes=classes, base=base, blocks=blocks, hidden=hidden, noise=False, compose=False
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
        self.lr, self.lr_end = lr, lr_end

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each."""
        return self.game.optimizers(self.lr)

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic, and every `n_critic` steps the generator."""
        task, draw = two_cycles(batch), draw_from(None)

        def translate(image: Tensor, labels: Tensor) -> Tensor:
            made: Layers = self.generator(image, labels, draw)
            return made.image

        lr = self.lr + (self.lr_end - self.lr) * self.clock.progress
        self.report(**self.game.play(task, translate, step=self.clock.step, lr=lr))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Translate the request's normal images and derive masks from what changed."""
        labels = request["defects"]
        if "mask" in request:
            labels = labels[..., None, None] * request["mask"]  # (B, K, H, W)
        image = self.generator(request["normal"], labels, draw_from(rng)).image
        mask, valid = difference_masks(image, request["normal"])
        return Sample(image=image, mask=mask, valid=valid)
