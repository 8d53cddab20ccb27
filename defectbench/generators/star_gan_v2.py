"""StarGAN v2: translation to a domain in a style, drawn or taken from a reference (Choi et al., CVPR 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.modulate import AdaIN, instance
from defectbench.nn.blocks.resblk import PreActBlock
from defectbench.nn.masks.drawn_masks import difference_masks
from defectbench.nn.training import losses
from defectbench.nn.training.first_weights import he_
from defectbench.nn.training.penalties import r1
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.style_domains import (
    Averages,
    Exchange,
    LatentTrunk,
    StyleBranches,
    ToVector,
    Trunk,
    domain_weights,
    exchange,
    pick,
    style_adams,
)


class StyleTranslator(nn.Module):
    """Encoder with instance normalisation, decoder with AdaIN (Table 6; `w_hpf = 0`).

    Args:
        widths: channels after the first convolution and after each halving.
        style: length S of the style.
    """

    def __init__(self, widths: Sequence[int], style: int) -> None:
        super().__init__()
        norm, styled = instance(affine=True), partial(AdaIN, code=style)
        steps = list(pairwise(widths))
        last = widths[-1]
        self.first = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(
            [PreActBlock(cin, cout, norm=norm, resample="down") for cin, cout in steps]
            + [PreActBlock(last, last, norm=norm) for _ in range(2)]
        )
        self.decode = nn.ModuleList(
            [PreActBlock(last, last, norm=styled, early=True) for _ in range(2)]
            + [
                PreActBlock(cout, cin, norm=styled, resample="up", early=True)
                for cin, cout in reversed(steps)
            ]
        )
        self.last_norm = nn.InstanceNorm2d(widths[0], affine=True)
        self.out = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        """(B, 3, H, W) and (B, S) to (B, 3, H, W), about [-1, 1] but not bounded."""
        x = self.first(image)
        for block in self.encode:
            x = block(x)
        for block in self.decode:
            x = block(x, style)
        made: Tensor = self.out(F.leaky_relu(self.last_norm(x), 0.2))
        return made


class DomainHeads(nn.Module):
    """A trunk, a vector and one linear output per domain: the style encoder (S outputs each) and the critic (one each).

    Args:
        widths: channels of the trunk.
        size: side of the images, pixels.
        outputs: per domain.
        domains: N.
    """

    def __init__(self, widths: Sequence[int], *, size: int, outputs: int, domains: int) -> None:
        super().__init__()
        self.trunk = Trunk(widths)
        self.vector = ToVector(widths[-1], size >> (len(widths) - 1))
        self.heads = nn.Linear(widths[-1], domains * outputs)
        self.outputs = outputs

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, N, outputs)."""
        outputs: Tensor = self.heads(self.vector(self.trunk(image)))
        return outputs.reshape(len(image), -1, self.outputs)


class StarGanV2(Generator):
    """Translates a normal image to a defect's domain, in a style drawn at random or taken from a reference.

    The style acts on the whole image, so that the background may change too: then the mask by difference is invalid.

    Args:
        size: side of the images, pixels; a power of two.
        defects: names of the defects; "normal" is one more domain.
        products: names of the products; the networks do not see them.
        capacity: width of the first convolution times the size.
        max_ch: largest width.
        latent: length of the random code.
        style: length of the style.
        hidden: width of the mapping network.
        style_weight: of the style reconstruction, lambda_sty.
        diversity_weight: of the diversity, lambda_ds, at the beginning; it falls to 0 linearly.
        cycle_weight: of the reconstruction, lambda_cyc.
        r1_weight: of R1 at every step of the critic, gamma.
        lr: of generator, encoder and critic.
        mapping_lr: of the mapping network.
        ema: decay per step of the averaged networks that sampling uses.
    """

    paper: ClassVar[str] = (
        "Choi et al., StarGAN v2: Diverse Image Synthesis for Multiple Domains, CVPR 2020, "
        "https://arxiv.org/abs/1912.01865"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset({"reference", "interpolation", "restoration"})
    mask_source: ClassVar[MaskSource] = "difference"
    power_of_two: ClassVar[bool] = True
    least_size: ClassVar[int] = 32
    tiny: ClassVar[Mapping[str, Any]] = {
        "capacity": 128,
        "max_ch": 8,
        "hidden": 8,
        "style": 4,
        "ema": 0.5,
    }

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        capacity: int = 2**14,  # official code
        max_ch: int = 512,  # official code
        latent: int = 16,  # appendix A
        style: int = 64,  # appendix A
        hidden: int = 512,  # Table 7
        style_weight: float = 1.0,  # appendix B
        diversity_weight: float = 1.0,  # appendix B, CelebA-HQ; 2 for AFHQ
        cycle_weight: float = 1.0,  # appendix B
        r1_weight: float = 1.0,  # appendix B
        lr: float = 1e-4,  # appendix B
        mapping_lr: float = 1e-6,  # appendix B
        ema: float = 0.999,  # appendix B
    ) -> None:
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        domains, levels = len(self.defects) + 1, size.bit_length() - 1
        widths = [min(capacity // size * 2**level, max_ch) for level in range(levels - 1)]
        self.generator = StyleTranslator(widths[: levels - 3], style)
        self.mapping = nn.Sequential(
            LatentTrunk(latent, hidden), StyleBranches(hidden, style, domains)
        )
        self.encoder = DomainHeads(widths, size=size, outputs=style, domains=domains)
        self.critic = DomainHeads(widths, size=size, outputs=1, domains=domains)
        for network in (self.generator, self.mapping, self.encoder, self.critic):
            he_(network)
        self.averages = Averages(
            generator=self.generator, mapping=self.mapping, encoder=self.encoder
        )
        self.latent, self.lr, self.mapping_lr, self.ema = latent, lr, mapping_lr, ema
        self.style_weight, self.cycle_weight = style_weight, cycle_weight
        self.diversity_weight, self.r1_weight = diversity_weight, r1_weight
        self.turn = Turns(self, "generator", "mapping", "encoder", "critic")

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each."""
        return style_adams(self, self.turn.players, self.lr, self.mapping_lr)

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train the critic twice, then generator, mapping and encoder, then the generator alone (official code)."""
        task = exchange(batch)
        size = len(task.image), self.latent
        z, z_2 = (torch.randn(size, device=task.image.device) for _ in range(2))

        def drawn(code: Tensor) -> Tensor:
            return pick(self.mapping(code), task.target)

        def seen(reference: Tensor) -> Tensor:
            return pick(self.encoder(reference), task.target)

        for style_of, source in ((drawn, z), (seen, task.reference)):
            with self.turn("critic") as turn:
                turn.backward(self.critic_loss(task, style_of, source))
        with self.turn("generator", "mapping", "encoder") as turn:
            turn.backward(self.generator_loss(task, drawn, z, z_2))
        with self.turn("generator") as turn:
            turn.backward(self.generator_loss(task, seen, task.reference, task.reference_2))
        self.averages.follow(self, self.ema)

    def critic_loss(
        self, task: Exchange, style_of: Callable[[Tensor], Tensor], source: Tensor
    ) -> Tensor:
        """Binary cross-entropy of the domains' branches, and R1 (eq. 1 and appendix B)."""
        with torch.no_grad():
            fake = self.generator(task.image, style_of(source))
        penalty, on_real = r1(lambda image: pick(self.critic(image), task.domain), task.image)
        adversarial = losses.logistic_critic(on_real, pick(self.critic(fake), task.target))
        self.report(critic_adversarial=adversarial, critic_penalty=penalty)
        return adversarial + 0.5 * self.r1_weight * penalty

    def generator_loss(
        self, task: Exchange, style_of: Callable[[Tensor], Tensor], one: Tensor, other: Tensor
    ) -> Tensor:
        """Adversarial, style, diversity and cycle terms (eqs. 1 to 5)."""
        style = style_of(one)
        fake = self.generator(task.image, style)
        adversarial = losses.logistic_generator(pick(self.critic(fake), task.target))
        original, found = self.encoder(torch.cat([task.image, fake])).chunk(2)
        style_loss = losses.l1(pick(found, task.target), style)
        with torch.no_grad():
            second = self.generator(task.image, style_of(other))
        diversity = losses.l1(fake, second)
        cycle = losses.l1(self.generator(fake, pick(original, task.domain)), task.image)
        self.report(
            generator_adversarial=adversarial,
            generator_style=style_loss,
            generator_diversity=diversity,
            generator_cycle=cycle,
        )
        return (
            adversarial
            + self.style_weight * style_loss
            - self.diversity_weight * (1 - self.clock.progress) * diversity
            + self.cycle_weight * cycle
        )

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Translate normal images in drawn styles, or in those of the references if the request has them."""
        domain = domain_weights(request["defects"])
        if "reference" in request:
            styles = self.averages["encoder"](request["reference"]["image"])
        else:
            styles = self.averages["mapping"](self.draw(len(domain), self.latent, rng=rng))
        image = self.averages["generator"](request["normal"], pick(styles, domain))
        image = image.float().clamp(-1, 1)
        mask, valid = difference_masks(image, request["normal"])
        return Sample(image=image, mask=mask, valid=valid)
