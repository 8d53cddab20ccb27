"""DFMGAN: a StyleGAN2 that draws normal images, and a residual branch that manipulates its features into defects."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from defectbench.batch import Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource, Stage
from defectbench.nn.blocks.augment import AdaptiveAugment
from defectbench.nn.blocks.equalized import Fir
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.style_game import StyleGame, auto_gamma, averaging_decay, lazy_adam
from defectbench.nn.stylegan.stylegan2 import (
    Block,
    Mapping,
    StyleGenerator,
    Synthesis,
    ToImage,
    Widths,
    mix_styles,
    resolutions,
)
from defectbench.nn.training.ema import Ema
from defectbench.nn.training.losses import logistic_critic, logistic_generator, mode_seeking
from defectbench.nn.training.penalties import path_length, r1, second_derivatives
from defectbench.nn.training.turns import Turns

SHARPNESS = 10.0
"""Factor on the raw mask before tanh, for the losses (official code)."""


class DFMGAN(Generator):
    """Learns normal images first; then, from few defects with masks, where and how to change the features of one.

    One model is fitted per defect. It returns the image and its mask, [raw mask >= 0], which decided pixel by pixel where
    features were changed. The mask may be empty; such samples are not valid.
    """

    paper: ClassVar[str] = (
        "Duan et al., Few-Shot Defect Image Generation via Defect-Aware Feature Manipulation, AAAI 2023, "
        "https://arxiv.org/abs/2303.02389"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset()
    mask_source: ClassVar[MaskSource] = "native"
    power_of_two: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True
    least_batch: ClassVar[int] = 2
    scope: ClassVar[Literal["product", "defect"]] = "defect"
    shared_stages: ClassVar[int] = 1
    tiny: ClassVar[MappingType[str, Any]] = {
        "channel_base": 256,
        "channel_max": 16,
        "latents": 16,
        "branch_from": 16,
        "defect_share": 0.5,
    }
    path_average: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        channel_base: int = 16384,  # StyleGAN2-ADA's "auto" configuration, here and below
        channel_max: int = 512,
        match_scale: float = 1.0,
        latents: int = 512,
        mapping_layers: int = 2,
        branch_from: int = 64,
        lr: float = 0.0025,
        r1_scale: float = 0.0002,
        r1_every: int = 16,
        path_weight: float = 2.0,
        path_every: int = 4,
        match_weight: float = 1.0,
        mode_weight: float = 0.1,
        ada: Literal["none", "geometric", "all"] = "all",
        ada_target: float = 0.6,
        ada_speed: int = 500_000,
        ada_speed_defect: int = 100_000,
        defect_share: float = 0.118,
    ) -> None:
        """Build the networks of both stages.

        Args:
            size: side of the images, pixels, a power of two.
            defects: names of the defects; the model is fitted on one of them and knows no label.
            products: names of the products; the networks do not see them.
            channel_base: channels times resolution.
            channel_max: upper limit of channels.
            match_scale: factor on both for the matching critic.
            latents: length of z and of w, for the object and for the defect.
            mapping_layers: fully connected layers of both mappings.
            branch_from: lowest resolution with a residual block, pixels; at it the mask is made.
            lr: Adam's learning rate, of all players.
            r1_scale: R1's gamma is this times `size^2 / batch`.
            r1_every: steps between gradient penalties.
            path_weight: weight of path length regularisation; 0 for none.
            path_every: steps between its applications.
            match_weight: weight of the matching critic, lambda_match.
            mode_weight: weight of mode seeking, lambda_ms.
            ada: transforms of adaptive augmentation, for the image critic only.
            ada_target: overfitting that ADA holds, a fraction.
            ada_speed: images in which ADA's p can go from 0 to 1 while normals are learned.
            ada_speed_defect: the same while defects are learned.
            defect_share: part of the budget that goes to defects: 400 of 3,400 thousand images.

        Raises:
            UserError: there is no such resolution to branch from.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        if branch_from not in resolutions(size)[1:]:
            raise UserError(
                f"dfmgan: branch_from is {branch_from}; wants one of {resolutions(size)[1:]} as size is {size}"
            )
        widths = {"base": channel_base, "most": channel_max}
        self.game = StyleGame(
            StyleGenerator(
                size=size, latents=latents, styles=latents, layers=mapping_layers, **widths
            ),
            Critic(size=size, **widths),
            augment=AdaptiveAugment(kind=ada, target=ada_target, speed=ada_speed),
            latents=latents,
            r1_every=r1_every,
            path_every=path_every,
            path_weight=path_weight,
        )
        self.branch = DefectBranch(
            size=size, start=branch_from, latents=latents, layers=mapping_layers, **widths
        )
        self.branch_average = Ema(self.branch)
        narrow = {key: max(round(value * match_scale), 1) for key, value in widths.items()}
        self.match = Critic(size=size, channels=4, **narrow)
        self.augment = AdaptiveAugment(kind=ada, target=ada_target, speed=ada_speed_defect)
        self.register_buffer("path_average", torch.zeros(()))
        self.turn = Turns(self, "generator", "critic", "branch", "match")
        self.lr, self.r1_scale, self.latents = lr, r1_scale, latents
        self.match_weight, self.mode_weight = match_weight, mode_weight
        self.defect_share = defect_share

    def stages(self, images: int) -> Sequence[Stage]:
        """Normals first, then defects on the frozen backbone."""
        defects = max(round(images * self.defect_share), 1)
        return (
            Stage("backbone", max(images - defects, 1), frozenset({"normal"})),
            Stage("defect", defects, frozenset({"defect"})),
        )

    def enter(self, stage: Stage) -> None:
        """Forget the losses of the stage before; what is frozen is held by `Turns`."""
        self.losses = {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for each player, corrected for their lazy regularisers."""
        return [
            lazy_adam(self.game.generator, self.lr, self.game.path_every),
            lazy_adam(self.game.critic, self.lr, self.game.r1_every),
            lazy_adam(self.branch, self.lr, self.game.path_every),
            lazy_adam(self.match, self.lr, self.game.r1_every),
        ]

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Stage 1: StyleGAN2-ADA on normals. Stage 2: branch, critic and matching critic; the backbone is frozen."""
        real = batch["normal" if self.clock.stage == 0 else "defect"]["image"]
        b, images = len(real), len(real) * self.trainer.world_size
        gamma = auto_gamma(self.size, images, self.r1_scale)
        if self.clock.stage == 0:
            self.report(
                **self.game.play(
                    self.turn, real, None, clock=self.clock, images=images, gamma=gamma
                )
            )
            return
        pairs = torch.cat([real, 2 * batch["defect"]["mask"] - 1], 1)  # (B, 4, H, W)
        game, now = self.game, self.clock.step

        with self.turn("branch") as turn:
            w, w_defect = self.styles(b)
            fake, mask = self.imagine(w, w_defect)
            fooling = logistic_generator(game.critic(self.augment(fake)))
            matching = logistic_generator(self.match(torch.cat([fake, mask], 1)))
            half = b // 2  # the same object with another defect
            other = self.imagine(w[:half], w_defect[half : 2 * half])[1]
            seeking = mode_seeking(w_defect[:half], w_defect[half : 2 * half], mask[:half], other)
            turn.backward(fooling + self.match_weight * matching + self.mode_weight * seeking)
        if game.path_due(now):
            with self.turn("branch") as turn:
                turn.backward(self.path_loss(b))

        with torch.no_grad():
            fake, mask = self.imagine(*self.styles(b))
        with self.turn("critic") as turn:
            judged = game.critic(self.augment(real))
            telling = logistic_critic(judged, game.critic(self.augment(fake)))
            turn.backward(telling)
        if game.penalty_due(now):
            with self.turn("critic") as turn:
                penalty, _ = r1(game.critic, self.augment(real))
                turn.backward(penalty * (gamma / 2 * game.r1_every))
        with self.turn("match") as turn:
            telling_match = logistic_critic(
                self.match(pairs), self.match(torch.cat([fake, mask], 1))
            )
            turn.backward(telling_match)
        if game.penalty_due(now):
            with self.turn("match") as turn:
                penalty, _ = r1(self.match, pairs)
                turn.backward(penalty * (gamma / 2 * game.r1_every))

        self.branch_average.follow(self.branch, averaging_decay(images, self.clock.images, None))
        self.augment.follow(judged.detach(), images)
        self.report(
            branch_adversarial=fooling,
            branch_match=matching,
            branch_mode=seeking,
            critic_adversarial=telling,
            match_adversarial=telling_match,
            mask_area=(mask > 0).float().mean(),
            augment_p=self.augment.p,
        )

    @property
    def backbone(self) -> StyleGenerator:
        """The averaged generator of normal images, which the second stage keeps as it is."""
        return self.game.average.network

    def styles(self, images: int) -> tuple[Tensor, Tensor]:
        """Draw styles of objects (B, L, D) and of defects (B, L', D), both with mixing; for training steps."""
        z, z_defect = torch.randn(2, images, self.latents, device=self.device)
        with torch.no_grad():
            layers = self.backbone.synthesis.layers
            w = mix_styles(self.backbone.mapping, z, None, layers, track=False)
        return w, mix_styles(self.branch.mapping, z_defect, None, self.branch.layers)

    def imagine(self, w: Tensor, w_defect: Tensor) -> tuple[Tensor, Tensor]:
        """Make images and their masks as the losses see them, in [-1, 1], with fresh noise; for training steps."""
        synthesis = self.backbone.synthesis
        image, raw = self.branch(
            synthesis, w, w_defect, synthesis.draw_noise(len(w)), self.branch.draw_noise(len(w))
        )
        return image, torch.tanh(SHARPNESS * raw)

    def path_loss(self, images: int) -> Tensor:
        """Equalise path lengths by the object's styles, on half of the batch, times the interval."""
        with second_derivatives(self.device):
            w, w_defect = self.styles(max(images // 2, 1))
            w = w.clone().requires_grad_()
            made, _ = self.imagine(w, w_defect)
            penalty, average = path_length(made, w, torch.randn_like(made), self.path_average)
        self.path_average.copy_(average)
        return penalty * (self.game.path_weight * self.game.path_every)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Draw an object and a defect per row by the averaged networks, with their fixed noise."""
        z, z_defect = self.draw(2, len(request["product"]), self.latents, rng=rng)
        branch = self.branch_average.network
        w, w_defect = self.backbone.mapping(z), branch.mapping(z_defect)
        synthesis = self.backbone.synthesis
        image, raw = branch(
            synthesis,
            w[:, None].expand(-1, synthesis.layers, -1),
            w_defect[:, None].expand(-1, branch.layers, -1),
        )
        mask = (raw >= 0).float()
        return Sample(image=image.float().clamp(-1, 1), mask=mask, valid=mask.flatten(1).any(1))


class DefectBranch(nn.Module):
    """Defect-aware residual blocks beside a frozen synthesis network (Duan et al., sec. 3.2).

    From `start` on, each block reads the backbone's incoming features and makes a residual of the shape of the
    backbone's; where the raw mask is not negative, it is added. The mask is hard, so no gradient reaches it by the image.

    Args:
        size: side of the images, pixels.
        start: lowest resolution with a block, where the raw mask is made; above it is only upsampled.
        latents: length of z and of w.
        layers: fully connected layers of the mapping.
        base: channels times resolution, as the backbone's.
        most: upper limit of channels, as the backbone's.

    Attributes:
        layers: number of style vectors that a defect takes.
    """

    def __init__(
        self, *, size: int, start: int, latents: int, layers: int, base: int, most: int
    ) -> None:
        super().__init__()
        width = Widths(base, most)
        self.sizes = [r for r in resolutions(size) if r >= start]
        self.layers = 2 * len(self.sizes) + 1
        self.mapping = Mapping(latents=latents, labels=0, styles=latents, layers=layers)
        self.blocks = nn.ModuleList(
            Block(width(r // 2), width(r), size=r, styles=latents) for r in self.sizes
        )
        self.to_mask = ToImage(width(start), 1, styles=latents)
        self.filter = Fir()

    def draw_noise(self, images: int) -> list[Tensor]:
        """Draw noise for all convolutions from torch's own generator; for training steps."""
        device = self.filter.taps.device
        return [torch.randn(images, 1, r, r, device=device) for r in self.sizes for _ in range(2)]

    def forward(
        self,
        synthesis: Synthesis,
        w: Tensor,
        w_defect: Tensor,
        noise: Sequence[Tensor] | None = None,
        noise_defect: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Make images with defects and their raw masks.

        Args:
            synthesis: the backbone.
            w: styles of the objects, (B, L, D).
            w_defect: styles of the defects, (B, layers, D).
            noise: of the backbone; None takes its fixed noise.
            noise_defect: of the branch; None takes its fixed noise.

        Returns:
            images (B, 3, H, W), and raw masks (B, 1, H, W), of which the part that is not negative is defect.
        """
        styles, raw = w_defect.unbind(1), None
        grains: Sequence[Tensor | None] = noise_defect or [None] * (2 * len(self.sizes))

        def manipulate(size: int, x: Tensor) -> Tensor | None:
            nonlocal raw
            if size not in self.sizes:
                return None
            at = 2 * self.sizes.index(size)
            block = self.blocks[at // 2]
            residual: Tensor = block(x, styles[at : at + 2], grains[at : at + 2])
            raw = self.to_mask(residual, styles[at + 2]) if raw is None else self.filter.up(raw)
            added: Tensor = residual * (raw >= 0)
            return added

        image = synthesis(w, noise, manipulate)
        assert raw is not None
        return image, raw
