"""DCDGANc: defect contents on a constant background, from a class and a random code (Wei et al., CVPR Workshops 2023).

A VAE-GAN in the manner of BicycleGAN whose source image is a constant map that names the class. It is trained on defect
contents alone (images whose background is one colour), so that watershed finds the mask of what it makes, and blending
puts that into any normal image, also of another product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource
from defectbench.generators.parts.content_networks import (
    ContentCritic,
    ContentEncoder,
    ContentNetwork,
)
from defectbench.nn.training import losses
from defectbench.nn.training.ema import Ema
from defectbench.nn.training.first_weights import normal_
from defectbench.nn.training.penalties import wgan_gp
from defectbench.nn.training.turns import Turns, held

AdversarialName = Literal["least_squares", "least_squares_mean", "log"]


def class_values(classes: int, rule: Literal["code", "paper"]) -> Tensor:
    """Give the constant that fills the source image of each class: (K,) in [-1, 1].

    Args:
        classes: K.
        rule: "code" spreads them from -1 to 1; "paper" is its eq. 1, `2 n / K - 1`, n = 0 .. K - 1.
    """
    if rule == "code":
        return torch.linspace(-1, 1, classes)
    return torch.arange(classes) * (2 / classes) - 1


def _per_image(logits: Tensor) -> Tensor:
    """Mean over the patches of each image: (B, 1, h, w) to (B,)."""
    return logits.float().mean((1, 2, 3))


_ADVERSARIAL: Mapping[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "least_squares": (losses.least_squares_critic, losses.least_squares_generator),
    "least_squares_mean": (
        lambda real, fake: losses.least_squares_critic(_per_image(real), _per_image(fake)),
        lambda fake: losses.least_squares_generator(_per_image(fake)),
    ),
    "log": (losses.logistic_critic, losses.logistic_generator),
}


class DcdganC(Generator):
    """Diversified and multi-class controllable defect contents from constant source images.

    Args:
        size: side of the images, pixels; a multiple of 16, at least 32.
        defects: names of the classes.
        products: names of the products; the network does not see them.
        norm: what steers the generator: the paper's OD-SPADE or one of its two ablations.
        base: width of the generator's first convolution; encoder and critic begin at twice that.
        blocks: residual blocks.
        latent: length of the random code.
        encoder_pool: side of the squares over which the encoder pools features of stride 2; from 1 to size / 2. The
            paper's 8 leave a grid of 16 x 16 at its 256 px, and of 4 x 4 at 64 px, too coarse to say where a line lies.
        class_value: how classes become constants; the paper's equation never reaches 1.
        adversarial: "least_squares" on the patch map; "least_squares_mean" as the authors' code, on each image's mean
            over its patches; "log" as the paper's eq. 6, non-saturating.
        gp: gradient penalty of the mean "logit", or of the "loss" as the authors' code.
        gp_weight: of the mean of the penalties of both fakes. The authors' code has 5, beside an adversarial loss that
            is summed over the batch of 20: 0.25 beside the mean taken here, and then 0.5 for `pixel_weight`, 0.05 for
            `latent_weight` and 0.01 for `kl_weight`.
        pixel_weight: of the reconstruction, lambda_p.
        latent_weight: of the latent loss, lambda_l.
        kl_weight: of the divergence, summed over the code, mean over the batch. The paper's is 0.01, which the preset
            `paper` takes; 0.2 is the authors' code's ratio to the reconstruction, both summed over batches of 20.
        lr: of all three optimisers.
        ema: decay per step of an average of the generator's weights that samples are drawn from; 0, as in the paper,
            for none.
    """

    paper: ClassVar[str] = (
        "Wei et al., Diversified and Multi-Class Controllable Industrial Defect Synthesis for Data Augmentation "
        "and Transfer, CVPR Workshops 2023, https://openaccess.thecvf.com/content/CVPR2023W/VISION/"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect"})
    reads: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"interpolation"})
    mask_source: ClassVar[MaskSource] = "watershed"
    multiple_of: ClassVar[int] = 16
    least_size: ClassVar[int] = 32
    tiny: ClassVar[Mapping[str, Any]] = {"base": 4, "blocks": 1, "ema": 0.5}
    revision: ClassVar[int] = 2

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        norm: Literal["od_spade", "adain", "instance"] = "od_spade",
        base: int = 32,  # authors' code
        blocks: int = 4,  # authors' command line; its class says 6
        latent: int = 8,  # authors' code
        encoder_pool: int = 8,  # authors' code
        class_value: Literal["code", "paper"] = "code",
        adversarial: AdversarialName = "least_squares",
        gp: Literal["logit", "loss"] = "logit",
        gp_weight: float = 10.0,  # sec. 3.1
        pixel_weight: float = 10.0,  # sec. 3.1
        latent_weight: float = 1.0,  # sec. 3.1
        kl_weight: float = 0.2,  # ours; sec. 3.1 has 0.01
        lr: float = 5e-4,  # sec. 3.1
        ema: float = 0.0,
    ) -> None:
        """Build the three networks.

        Raises:
            UserError: the encoder's pool is larger than its features, or `ema` is no decay.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if not 1 <= encoder_pool <= size // 2:
            raise UserError(
                f"dcdgan_c: encoder_pool={encoder_pool} at {size} px: expected 1 to {size // 2}"
            )
        if not 0 <= ema < 1:
            raise UserError(f"dcdgan_c: ema={ema}: expected 0 (none) or a decay below 1")
        classes = len(self.defects)
        self.generator = ContentNetwork(
            size=size, code=latent + classes, base=base, blocks=blocks, norm=norm
        )
        self.encoder = ContentEncoder(size=size, width=2 * base, latent=latent, pool=encoder_pool)
        self.critic = ContentCritic(size=size, width=2 * base, classes=classes)
        normal_(self.generator)
        normal_(self.critic)
        self.average = Ema(self.generator) if ema else None
        self.values: Tensor
        self.register_buffer("values", class_values(classes, class_value), persistent=False)
        self.latent, self.gp, self.lr, self.ema = latent, gp, lr, ema
        self.gp_weight, self.pixel_weight = gp_weight, pixel_weight
        self.latent_weight, self.kl_weight = latent_weight, kl_weight
        self.critic_loss, self.generator_loss = _ADVERSARIAL[adversarial]
        self.turn = Turns(self, "generator", "encoder", "critic")

    def configure_optimizers(self) -> list[Optimizer]:
        """Give one Adam each, betas (0.5, 0.999) (sec. 3.1)."""
        networks = (self.generator, self.encoder, self.critic)
        return [Adam(n.parameters(), lr=self.lr, betas=(0.5, 0.999)) for n in networks]

    def make(self, latent: Tensor, weights: Tensor) -> Tensor:
        """Make contents: latent codes (B, Z) and class weights (B, K) to images (B, 3, H, W) in [-1, 1].

        In evaluation mode by the average of the generator, if there is one.
        """
        drawing = self.generator if self.training or self.average is None else self.average
        image: Tensor = drawing(torch.cat([latent, weights], 1), weights @ self.values)
        return image

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Train as Table 1 of the paper: encoder and generator, the latent loss for the generator alone, the critic."""
        real, c = batch["defect"]["image"], _weights(batch["defect"]["defects"])
        with self.turn("generator", "encoder") as turn:
            mean, log_variance = self.encoder(real)
            encoded = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()  # eq. 3
            drawn = torch.randn_like(mean)
            made = self.make(torch.cat([encoded, drawn]), torch.cat([c, c]))  # (2B, 3, H, W)
            rebuilt, invented = made.chunk(2)
            with held(self.encoder):  # it may not help the generator by changing its mind
                found, _ = self.encoder(invented)
            judged = self.critic(made, torch.cat([c, c])).chunk(2)
            adversarial = self.generator_loss(judged[0]) + self.generator_loss(judged[1])
            kl = losses.kl(mean, log_variance)
            pixel, latent = losses.l1(rebuilt, real), losses.l1(found, drawn)
            turn.backward(
                adversarial
                + self.pixel_weight * pixel
                + self.kl_weight * kl
                + self.latent_weight * latent
            )
        if self.average is not None:
            self.average.follow(self.generator, self.ema)
        with self.turn("critic") as turn:
            made = made.detach()
            verdict = self.critic(torch.cat([real, made]), c.repeat(3, 1))
            on_real, on_rebuilt, on_invented = verdict.chunk(3)
            # Two pairs: the real images count twice, each kind of fake once (eq. 6).
            critic = self.critic_loss(on_real, on_rebuilt) + self.critic_loss(on_real, on_invented)
            penalty = self.penalty(real, made, c)
            turn.backward(critic + self.gp_weight * penalty)
        self.report(
            generator_adversarial=adversarial,
            generator_pixel=pixel,
            generator_latent=latent,
            encoder_kl=kl,
            critic_adversarial=critic,
            critic_penalty=penalty,
        )

    def penalty(self, real: Tensor, made: Tensor, weights: Tensor) -> Tensor:
        """Penalise the critic's gradient between real images (B) and both kinds of fakes (2B), averaged over both."""
        if self.gp == "logit":
            mix = torch.rand(len(made), 1, 1, 1, device=real.device)
            judge = partial(self.critic, weights=weights.repeat(2, 1))
            return wgan_gp(judge, real.repeat(2, 1, 1, 1), made, mix, reduce="mean")
        mix = torch.rand(len(real), 1, 1, 1, device=real.device)

        def loss(image: Tensor) -> Tensor:
            return (_per_image(self.critic(image, weights)) - 1).square()

        return torch.stack([wgan_gp(loss, real, fake, mix) for fake in made.chunk(2)]).mean()

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Make contents; class weights that are not one-hot interpolate between classes (Fig. 5).

        Raises:
            UserError: a row asks for no defect at all.
        """
        if bool((request["defects"].sum(1) <= 0).any()):
            raise UserError(
                "dcdgan_c draws defects only; a row of the request has no class: name one of "
                + ", ".join(self.defects)
            )
        latent = self.draw(len(request["defects"]), self.latent, rng=rng)
        return Sample(image=self.make(latent, _weights(request["defects"])).float())


def _weights(defects: Tensor) -> Tensor:
    """Class weights (B, K) that sum to 1: one-hot for one defect, an average for several."""
    return defects / defects.sum(1, keepdim=True).clamp(min=1e-6)
