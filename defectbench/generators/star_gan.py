"""StarGAN: one translator between all domains, steered by label maps in its input (Choi et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.patchgan import ClassCritic
from defectbench.nn.masks.drawn_masks import difference_masks
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.label_translation import LabelGame, shuffled_labels
from defectbench.nn.translation.translator import Translator


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
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        classes = len(self.defects)
        self.generator = Translator(in_ch=3 + classes, base=base, blocks=blocks)
        self.critic = ClassCritic(size=size, classes=classes, base=critic_base)
        self.turn = Turns(self, "generator", "critic")
        self.game = LabelGame(
            self.generator,
            self.critic,
            self.turn,
            labels=labels,
            n_critic=n_critic,
            class_weight_critic=class_weight,
            class_weight_generator=class_weight,
            cycle_weight=cycle_weight,
            gp_weight=gp_weight,
        )
        self.lr, self.decay_from = lr, decay_from

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each (sec. 5.2)."""
        return self.game.optimizers(self.lr)

    def translate(self, image: Tensor, labels: Tensor) -> Tensor:
        """Translate images (B, 3, H, W) to the domain of labels (B, K); in and out in [-1, 1]."""
        maps = labels[..., None, None].expand(-1, -1, *image.shape[2:]).to(image.dtype)
        return torch.tanh(self.generator(torch.cat([image, maps], 1))["image"])

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic; every `n_critic` steps the generator too (sec. 3.2 and 5.2)."""
        left = (1 - self.clock.progress) / max(1 - self.decay_from, 1e-9)
        task, lr = shuffled_labels(batch), self.lr * min(left, 1.0)
        self.report(**self.game.play(task, self.translate, step=self.clock.step, lr=lr))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Translate the request's normal images and derive masks from what changed."""
        image = self.translate(request["normal"], request["defects"]).float()
        mask, valid = difference_masks(image, request["normal"])
        return Sample(image=image, mask=mask, valid=valid)
