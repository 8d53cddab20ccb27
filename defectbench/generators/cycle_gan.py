"""CycleGAN, and SDGAN as CycleGAN with D2GAN's pair of critics: one translator from normal to one defect, one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.blocks.modulate import instance
from defectbench.nn.blocks.patchgan import PatchCritic, PatchTrunk
from defectbench.nn.masks.drawn_masks import difference_masks
from defectbench.nn.training import losses
from defectbench.nn.training.first_weights import normal_
from defectbench.nn.training.turns import Turns
from defectbench.nn.translation.translator import Translator


class CycleGAN(Generator):
    """Translates a normal image into one with the defect; one model is fitted per defect.

    It is deterministic: one normal image gives one image. The mask is where the translation changed the image.

    Args:
        size: side of the images, pixels; a multiple of 4.
        defects: names of the defects; the model is fitted on one of them and knows no label.
        products: names of the products; the networks do not see them.
        base: width of the translators' first convolution.
        blocks: residual blocks of the translators: 6 up to 128 px, 9 from 256 px (Zhu et al., appendix 7.2).
        critic_base: width of the critics' first convolution.
        adv: "least_squares" is CycleGAN; "d2gan" gives each domain two opposed critics, as SDGAN does.
        cycle_weight: of the reconstruction after a round trip.
        identity_weight: of leaving images alone that are of the target domain already.
        pool: fakes kept per domain, from which critics are shown an older one half of the time.
        lr: of both optimisers; constant for half of the training, then linear to zero.
        alpha: D2GAN's weight of log D1 on real images.
        beta: D2GAN's weight of log D2 on fakes.
    """

    paper: ClassVar[str] = (
        "Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017, "
        "https://arxiv.org/abs/1703.10593"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset({"normal"})
    takes: ClassVar[frozenset[str]] = frozenset({"restoration"})
    mask_source: ClassVar[MaskSource] = "difference"
    multiple_of: ClassVar[int] = 4
    least_size: ClassVar[int] = 32
    scope: ClassVar[Literal["product", "defect"]] = "defect"
    deterministic: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, Any]] = {"base": 4, "blocks": 1, "critic_base": 4, "pool": 6}

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        base: int = 64,  # appendix 7.2, here and below
        blocks: int = 6,
        critic_base: int = 64,
        adv: Literal["least_squares", "d2gan"] = "least_squares",
        cycle_weight: float = 10.0,  # sec. 4
        identity_weight: float = 5.0,  # sec. 5.2: half of the cycle's
        pool: int = 50,  # sec. 4
        lr: float = 2e-4,  # sec. 4
        alpha: float = 0.2,
        beta: float = 0.1,
    ) -> None:
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        self.spoil, self.mend = (
            Translator(
                base=base,
                blocks=blocks,
                encode_norm=instance(),
                kernel=3,
                padding="reflect",
                head_bias=True,
            )
            for _ in range(2)
        )
        self.doubt_defect, self.doubt_normal = (
            self._critic(critic_base, pair=adv == "d2gan") for _ in range(2)
        )
        normal_(self)
        self.old_defects, self.old_normals = FakePool(pool, size), FakePool(pool, size)
        self.adv, self.alpha, self.beta = adv, alpha, beta
        self.cycle_weight, self.identity_weight, self.lr = cycle_weight, identity_weight, lr
        self.turn = Turns(self, "translators", "critics")

    @staticmethod
    def _critic(base: int, pair: bool) -> nn.Module:
        """Build a 70x70 PatchGAN, or two of them side by side."""

        def one() -> PatchCritic:
            widths = (base, 2 * base, 4 * base, 8 * base)
            norm = nn.InstanceNorm2d
            return PatchCritic(PatchTrunk(widths=widths, strides=(2, 2, 2, 1), norm=norm))

        return SideBySide(one(), one()) if pair else one()

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam to both translators and one to both critics, betas (0.5, 0.999)."""
        players = ((self.spoil, self.mend), (self.doubt_defect, self.doubt_normal))
        return [
            Adam([*one.parameters(), *other.parameters()], lr=self.lr, betas=(0.5, 0.999))
            for one, other in players
        ]

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Both translators together, then both critics on a pool of fakes (sec. 3 and 4)."""
        for player in self.turn.players:
            self.turn.set_lr(player, self.lr * min(2 * (1 - self.clock.progress), 1.0))
        normal, defect = batch["normal"]["image"], batch["defect"]["image"]

        with self.turn("translators") as turn:
            spoilt, mended = translate(self.spoil, normal), translate(self.mend, defect)
            fooling = self.fool(self.doubt_defect(spoilt)) + self.fool(self.doubt_normal(mended))
            cycle = losses.l1(translate(self.mend, spoilt), normal)
            cycle = cycle + losses.l1(translate(self.spoil, mended), defect)
            same = losses.l1(translate(self.spoil, defect), defect)
            same = same + losses.l1(translate(self.mend, normal), normal)
            turn.backward(fooling + self.cycle_weight * cycle + self.identity_weight * same)
        with self.turn("critics") as turn:
            telling = self.tell(self.doubt_defect, defect, self.old_defects.swap(spoilt.detach()))
            telling = telling + self.tell(
                self.doubt_normal, normal, self.old_normals.swap(mended.detach())
            )
            turn.backward(telling)

        self.report(
            generator_adversarial=fooling,
            generator_cycle=cycle,
            generator_identity=same,
            critic_adversarial=telling,
        )

    def fool(self, judged: Tensor) -> Tensor:
        """Adversarial loss of a translator from the critic's logits of its images."""
        if self.adv == "d2gan":
            return losses.d2gan_generator(judged, self.beta)
        return losses.least_squares_generator(judged)

    def tell(self, critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        """Adversarial loss of a critic; CycleGAN halves it."""
        if self.adv == "d2gan":
            return losses.d2gan_critic(critic(real), critic(fake), self.alpha, self.beta)
        return 0.5 * losses.least_squares_critic(critic(real), critic(fake))

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Translate the request's normal images, or mend those whose label is zero; masks are where it changed them."""
        image = translate(self.spoil, request["normal"]).float()
        mending = ~request["defects"].bool().any(1)
        if mending.any():
            image[mending] = translate(self.mend, request["normal"][mending]).float()
        mask, valid = difference_masks(image, request["normal"])
        return Sample(image=image, mask=mask, valid=valid)


def translate(translator: nn.Module, image: Tensor) -> Tensor:
    """Translate images (B, 3, H, W), in and out in [-1, 1]."""
    return torch.tanh(translator(image)["image"])


class SideBySide(nn.Module):
    """Two critics whose logits (B, 1, h, w) become the two channels that D2GAN wants."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 2, h, w)."""
        return torch.cat([self.first(x), self.second(x)], 1)


class FakePool(nn.Module):
    """Fakes of earlier steps (Shrivastava et al. 2017, sec. 2.3), in a buffer, so that a resumed training has them too.

    Args:
        length: how many are kept; 0 for none.
        size: side of the images, pixels.
    """

    images: Tensor

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(length, 3, size, size))
        self.filled = 0

    def get_extra_state(self) -> int:
        """Give how many are kept."""
        return self.filled

    def set_extra_state(self, state: int) -> None:
        """Take up how many are kept."""
        self.filled = state

    def swap(self, fakes: Tensor) -> Tensor:
        """Keep fakes (B, 3, H, W) while there is room; then give an older one for each, with a chance of one half.

        Draws from torch's own generator, one image after the other.
        """
        given = fakes.clone()
        for row, fake in enumerate(fakes):
            if self.filled < len(self.images):
                self.images[self.filled] = fake
                self.filled += 1
            elif self.filled and float(torch.rand(())) < 0.5:
                place = int(torch.randint(self.filled, ()))
                given[row] = self.images[place].to(given.dtype)
                self.images[place] = fake
        return given
