"""DT-GAN: defects separated from products, with shape and style apart, so that they travel (Wang et al., BMVC 2022).

Its appendices, with weights and layers, were not at hand: layers follow a third-party transcription, weights are ours;
docs/generators/dt_gan.md lists each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.generators.parts.defect_transfer import (
    Defect,
    DefectEncoder,
    DefectMapping,
    MultiTaskCritic,
    Painter,
    Verdict,
)
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.masks.drawn_masks import anchor_masks
from defectbench.nn.training import losses
from defectbench.nn.training.first_weights import he_
from defectbench.nn.training.penalties import second_derivatives, squared_gradient
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.style_domains import (
    Averages,
    Exchange,
    domain_weights,
    exchange,
    pick,
    style_adams,
)


class DtGan(Generator):
    """Puts a defect, drawn or taken from a reference of any product, on a normal image of any product.

    The mask is where the image with the defect differs from the one with the anchor, of the same background.

    Args:
        size: side of the images, pixels; a power of two.
        defects: names of the defects; "normal" is one more domain. They exclude one another.
        products: names of the products.
        base: largest width of all networks.
        hidden: width of the mapping network's linear layers.
        shape_ch: channels of a defect's shape.
        background_ch: channels that the background decoder ends with; the transcription says 448.
        latent: length of the random code.
        style: length of the style.
        recover_weight: of shape and style found again in the image, lambda_sd.
        shape_weight: of the agreement of generator and encoder on shapes, lambda_d.
        diversity_weight: of the diversity, lambda_ds, at the beginning; it falls to 0 linearly.
        cycle_weight: of the reconstruction, lambda_cyc.
        defect_weight: of the class loss of defects, lambda_FG.
        product_weight: of the class loss of products, lambda_BG.
        r1_weight: of R1 at every step of the critic.
        lr: of generator, encoder and critic.
        mapping_lr: of the mapping network.
        ema: decay per step of the averaged networks that sampling uses.
    """

    paper: ClassVar[str] = (
        "Wang et al., Defect Transfer GAN: Diverse Defect Synthesis for Data Augmentation, BMVC 2022, "
        "https://bmvc2022.mpi-inf.mpg.de/0445.pdf"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset(
        {"reference", "style", "interpolation", "restoration"}
    )
    mask_source: ClassVar[MaskSource] = "anchor"
    power_of_two: ClassVar[bool] = True
    revision: ClassVar[int] = 2
    least_size: ClassVar[int] = 32
    tiny: ClassVar[Mapping[str, Any]] = {
        "base": 16,
        "hidden": 8,
        "shape_ch": 4,
        "background_ch": 4,
        "style": 4,
        "ema": 0.5,
    }

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        base: int = 512,  # transcription
        hidden: int = 512,  # transcription
        shape_ch: int = 64,  # transcription
        background_ch: int = 64,  # ours
        latent: int = 16,  # transcription
        style: int = 64,  # transcription; the paper's text prints 512
        recover_weight: float = 1.0,  # ours, as all weights
        shape_weight: float = 1.0,
        diversity_weight: float = 1.0,
        cycle_weight: float = 1.0,
        defect_weight: float = 1.0,
        product_weight: float = 1.0,
        r1_weight: float = 1.0,  # StarGAN v2, as what follows
        lr: float = 1e-4,
        mapping_lr: float = 1e-6,
        ema: float = 0.999,
    ) -> None:
        """Build the four networks and the averages of three.

        Raises:
            UserError: the widths do not go together.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if base % 8 or not 0 < shape_ch < base:
            raise UserError(
                f"dt_gan: base={base}, shape_ch={shape_ch}; wants base a multiple of 8 and shape_ch below it"
            )
        domains, side = len(self.defects) + 1, size // 8
        shared = {"base": base, "shape_ch": shape_ch, "style": style}
        placed = {"side": side, "domains": domains}
        self.generator = Painter(**shared, background_ch=background_ch)
        self.mapping = DefectMapping(**shared, **placed, latent=latent, hidden=hidden)
        self.encoder = DefectEncoder(**shared, **placed)
        # With one product there is nothing to tell apart.
        told = len(self.products) if len(self.products) > 1 else 0
        self.critic = MultiTaskCritic(base=base, side=side, domains=domains, products=told)
        for network in (self.generator, self.mapping, self.encoder, self.critic):
            he_(network)
        self.averages = Averages(
            generator=self.generator, mapping=self.mapping, encoder=self.encoder
        )
        self.latent, self.lr, self.mapping_lr, self.ema = latent, lr, mapping_lr, ema
        self.recover_weight, self.shape_weight = recover_weight, shape_weight
        self.diversity_weight, self.cycle_weight = diversity_weight, cycle_weight
        self.defect_weight, self.r1_weight = defect_weight, r1_weight
        self.product_weight = product_weight
        self.turn = Turns(self, "generator", "mapping", "encoder", "critic")

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each."""
        return style_adams(self, self.turn.players, self.lr, self.mapping_lr)

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic twice, then generator, mapping and encoder, then the generator alone (as StarGAN v2)."""
        task, draw = exchange(batch), draw_from(None)
        codes = torch.randn(2, len(task.image), self.latent, device=task.image.device)

        def drawn(index: int) -> Defect:
            defect: Defect = self.mapping(codes[index], task.target, draw)
            return defect

        def seen(index: int) -> Defect:
            defect: Defect = self.encoder((task.reference, task.reference_2)[index], task.target)
            return defect

        for defect_of in (drawn, seen):
            with self.turn("critic") as turn:
                with torch.no_grad():
                    behind = self.generator.render(self.generator.separate(task.image).background)
                    fake = self.generator(behind, defect_of(0))
                turn.backward(self.critic_loss(task, fake))
        with self.turn("generator", "mapping", "encoder") as turn:
            turn.backward(self.generator_loss(task, drawn(0), drawn(1)))
        with self.turn("generator") as turn:
            turn.backward(self.generator_loss(task, seen(0), seen(1)))
        self.averages.follow(self, self.ema)

    def critic_loss(self, task: Exchange, fake: Tensor) -> Tensor:
        """Adversarial loss with R1, and both class losses on real images (eqs. 1, 6, 7)."""
        with second_derivatives(fake.device):
            real = task.image.detach().float().requires_grad_()
            verdict = self.critic(real)
            on_real = pick(verdict.domains, task.domain)
            penalty = squared_gradient(on_real, real)
        on_fake = pick(self.critic(fake).domains, task.target)
        adversarial = losses.logistic_critic(on_real, on_fake)
        defect, product = self.class_losses(verdict, task.domain, task.product)
        self.report(
            critic_adversarial=adversarial,
            critic_penalty=penalty,
            critic_defect=defect,
            critic_product=product,
        )
        return (
            adversarial
            + 0.5 * self.r1_weight * penalty
            + self.defect_weight * defect
            + self.product_weight * product
        )

    def class_losses(
        self, verdict: Verdict, domain: Tensor, product: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of defect domain and product; that of the product is 0 where there is only one."""
        defect = F.cross_entropy(verdict.defect.float(), domain)
        if not verdict.product.shape[1]:
            return defect, torch.zeros_like(defect)
        return defect, F.cross_entropy(verdict.product.float(), product)

    def generator_loss(self, task: Exchange, one: Defect, two: Defect) -> Tensor:
        """All terms of the generator (eqs. 1 to 7) for two defects of each target domain."""
        separated = self.generator.separate(task.image)
        behind = self.generator.render(separated.background)
        mixed = Defect(one.shape, two.style), Defect(two.shape, one.style)
        fake, *others = self.generator(behind, one, *mixed, two).chunk(4)
        verdict = self.critic(fake)
        adversarial = losses.logistic_generator(pick(verdict.domains, task.target))
        defect, product = self.class_losses(verdict, task.target, task.product)
        both = torch.cat([task.image, fake]), torch.cat([task.domain, task.target])
        original, found = self.encoder(*both).halves()
        again = self.generator.separate(fake)
        recover = losses.l1(found.shape, one.shape) + losses.l1(found.style, one.style)  # eq. 2
        shape = losses.l1(separated.shape, original.shape) + losses.l1(again.shape, found.shape)
        diversity = losses.diversity([fake, *others])  # eq. 4: six pairs, all of them learned from
        back = self.generator(self.generator.render(again.background), original)
        cycle = losses.l1(back, task.image)  # eq. 5
        self.report(
            generator_adversarial=adversarial,
            generator_defect=defect,
            generator_product=product,
            generator_recover=recover,
            generator_shape=shape,
            generator_diversity=diversity,
            generator_cycle=cycle,
        )
        return (
            adversarial
            + self.recover_weight * recover
            + self.shape_weight * shape  # eq. 3
            - self.diversity_weight * (1 - self.clock.progress) * diversity
            + self.cycle_weight * cycle
            + self.defect_weight * defect
            + self.product_weight * product
        )

    def guide(self, image: Tensor, defects: Tensor) -> Defect:
        """Take the defects out of reference images (B, 3, H, W) with labels (B, K); shape and style may then be mixed."""
        defect: Defect = self.averages["encoder"](image, domain_weights(defects))
        return defect

    def invent(self, defects: Tensor, rng: torch.Generator) -> Defect:
        """Draw defects of labels (B, K)."""
        z = self.draw(len(defects), self.latent, rng=rng)
        defect: Defect = self.averages["mapping"](z, domain_weights(defects), draw_from(rng))
        return defect

    def paint(self, normal: Tensor, defect: Defect) -> Sample:
        """Put defects on images (B, 3, H, W), and derive masks from the difference to the anchor."""
        average: Painter = self.averages["generator"].network
        behind = average.render(average.separate(normal).background)
        anchor = Defect(torch.zeros_like(defect.shape), defect.style)
        image, plain = average(behind, defect, anchor).float().clamp(-1, 1).chunk(2)
        mask, valid = anchor_masks(image, plain)
        return Sample(image=image, mask=mask, valid=valid)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Put drawn defects on normal images, or those of the references if the request has them.

        Styles may come from other references, or be drawn for the references' defects (Fig. 5).
        """
        asked = request["defects"]
        if "reference" in request:
            defect = self.guide(request["reference"]["image"], asked)
        else:
            defect = self.invent(asked, rng)
        if "style" in request:
            defect = defect._replace(style=self.guide(request["style"]["image"], asked).style)
        if "draw_style" in request:
            drawn, here = self.invent(asked, rng).style, request["draw_style"][:, None]
            defect = defect._replace(style=torch.where(here, drawn, defect.style))
        return self.paint(request["normal"], defect)
