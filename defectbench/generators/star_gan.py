"""StarGAN: one translator between all domains, steered by label maps in its input (Choi et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.patchgan import ClassCritic
from defectbench.nn.masks.difference import difference_masks
from defectbench.nn.training import losses
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.i2i import Translator
from defectbench.nn.translation.label_translation import (
    critic_terms,
    generator_terms,
    shuffled_labels,
)


class StarGan(Generator):
    """Translates a normal image into one with the asked defects; the normal domain is the zero label.

    It is deterministic: one normal image and one label give one image. The mask is where the translation changed
    the image.

    Args:
        size: side of the images, pixels; a multiple of 4.
        defects: names of the defects, K domains besides the normal one.
        products: names of the products; the network does not see them.
        base: width of the generator's first convolution.
        critic_base: width of the critic's first convolution.
        blocks: residual blocks.
        labels: "attributes" if defects may coincide, "exclusive" if not; decides the class loss.
        n_critic: steps of the critic per step of the generator.
        class_weight: of the class loss, lambda_cls.
        cycle_weight: of the reconstruction, lambda_rec.
        gp_weight: of the gradient penalty.
        lr: of both optimisers.
        decay_from: share of the training after which the rate falls linearly to zero.
    """

    paper: ClassVar[str] = (
        "Choi et al., StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation, "
        "CVPR 2018, https://arxiv.org/abs/1711.09020"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset({"several", "restoration"})
    mask_source: ClassVar[MaskSource] = "difference"
    multiple_of: ClassVar[int] = 4
    deterministic: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {"base": 4, "critic_base": 4, "blocks": 1, "n_critic": 1}

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        base: int = 64,  # appendix, Table 4
        critic_base: int = 64,  # appendix, Table 5
        blocks: int = 6,  # appendix, Table 4
        labels: Literal["attributes", "exclusive"] = "attributes",
        n_critic: int = 5,  # sec. 5.2
        class_weight: float = 1.0,  # sec. 3.2
        cycle_weight: float = 10.0,  # sec. 3.2
        gp_weight: float = 10.0,  # sec. 4
        lr: float = 1e-4,  # sec. 5.2
        decay_from: float = 0.5,  # sec. 5.2: the second half
    ) -> None:
        """Build both networks."""
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        classes = len(self.defects)
        self.generator = Translator(in_ch=3 + classes, base=base, blocks=blocks)
        self.critic = ClassCritic(size=size, classes=classes, base=critic_base)
        self.classify = (
            losses.binary_classes if labels == "attributes" else losses.exclusive_classes
        )
        self.n_critic, self.lr, self.decay_from = n_critic, lr, decay_from
        self.class_weight, self.cycle_weight = class_weight, cycle_weight
        self.gp_weight = gp_weight
        self.turn = Turns(self, "generator", "critic")

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each, betas (0.5, 0.999) (sec. 5.2)."""
        networks = (self.generator, self.critic)
        return [Adam(n.parameters(), lr=self.lr, betas=(0.5, 0.999)) for n in networks]

    def translate(self, image: Tensor, labels: Tensor) -> Tensor:
        """Translate images (B, 3, H, W) to the domain of labels (B, K); in and out in [-1, 1]."""
        maps = labels[..., None, None].expand(-1, -1, *image.shape[2:]).to(image.dtype)
        return torch.tanh(self.generator(torch.cat([image, maps], 1))["image"])

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic; every `n_critic` steps the generator too (sec. 3.2 and 5.2)."""
        for player in self.turn.players:
            left = (1 - self.clock.progress) / max(1 - self.decay_from, 1e-9)
            self.turn.set_lr(player, self.lr * min(left, 1.0))
        task = shuffled_labels(batch)
        generator_learns = (self.clock.step + 1) % self.n_critic == 0
        with torch.set_grad_enabled(generator_learns):  # one translation serves both turns
            fake = self.translate(task.image, task.target)
        with self.turn("critic") as turn:
            judged = critic_terms(self.critic, task, fake.detach(), self.classify)
            turn.backward(
                judged.adversarial
                + self.class_weight * judged.classes
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
            made = generator_terms(self.critic, task, fake, self.classify)
            cycle = losses.l1(self.translate(fake, task.label), task.image)
            turn.backward(
                made.adversarial + self.class_weight * made.classes + self.cycle_weight * cycle
            )
        self.report(
            generator_adversarial=made.adversarial,
            generator_class=made.classes,
            generator_cycle=cycle,
        )

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Translate the request's normal images and derive masks from what changed."""
        image = self.translate(request["normal"], request["defects"]).float()
        mask, valid = difference_masks(image, request["normal"])
        return Sample(image=image, mask=mask, valid=valid)
