"""ImbDef-GAN, reconstructed from its abstract: a StyleGAN3 of backgrounds with their masks, and a smoothly blended defect branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.batch import Batch, Request, Sample, TrainBatch
from defectbench.generators.base import Generator, MaskSource, Stage
from defectbench.generators.parts.edge_losses import (
    edge_alignment,
    edge_variation,
    region_consistency,
)
from defectbench.generators.parts.joint_background import JointBackground, detail_schedule
from defectbench.generators.parts.mask_aware import MaskAwareCritic
from defectbench.generators.parts.smooth_branch import SHARPNESS, SmoothBranch
from defectbench.nn.blocks.augment import AdaptiveAugment
from defectbench.nn.masks.drawn_masks import object_masks
from defectbench.nn.masks.mask_regions import pair, widen
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.style_game import averaging_decay, lazy_adam
from defectbench.nn.training.ema import Ema
from defectbench.nn.training.losses import logistic_critic, logistic_generator, mode_seeking
from defectbench.nn.training.penalties import r1
from defectbench.nn.training.turns import Turns

MISMATCHED = 0.5
"""Weight of real images with another image's mask, as fakes."""
VARIATION = 0.1
"""Weight of the varied edges against the aligned ones."""


class ImbDefGAN(Generator):
    """Draws a background and its object mask first; then defects inside the object, blended with a smooth edge.

    One model is fitted per defect. A reconstruction from the abstract: formulas and numbers are ours. Each of its six
    ideas can be switched off.
    """

    title: ClassVar[str] = "ImbDef-GAN (reconstruction)"
    paper: ClassVar[str] = (
        "Jiang et al., ImbDef-GAN: Defect Image-Generation Method Based on Sample Imbalance, Journal of Imaging 2025, "
        "11(10):367; reconstruction from the abstract"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset()
    mask_source: ClassVar[MaskSource] = "native"
    power_of_two: ClassVar[bool] = True
    needs_masks: ClassVar[bool] = True
    least_batch: ClassVar[int] = 2
    revision: ClassVar[int] = 2
    scope: ClassVar[Literal["product", "defect"]] = "defect"
    shared_stages: ClassVar[int] = 1
    tiny: ClassVar[Mapping[str, Any]] = {
        "channel_base": 256,
        "channel_max": 16,
        "latents": 16,
        "layers": 5,
        "defect_share": 0.4,
    }

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        channel_base: int = 8192,
        channel_max: int = 256,
        latents: int = 512,
        layers: int = 10,
        objects: Literal["whole", "otsu"] = "whole",
        joint_mask: bool = True,
        detail: bool = True,
        smoothing: bool = True,
        mask_aware: bool = True,
        edge_weight: float = 1.0,
        region_weight: float = 10.0,
        blend: Literal["additive", "convex"] = "additive",
        match_weight: float = 1.0,
        mode_weight: float = 0.1,
        lr: float = 0.0025,
        critic_lr: float = 0.002,
        r1_at_256: float = 2.0,
        r1_every: int = 16,
        ada: Literal["none", "geometric", "all"] = "geometric",
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
            channel_max: upper limit of channels; 256 at 256 px, 128 at 128 px.
            latents: length of z and of w, for the background and for the defect.
            layers: layers of the synthesis network without the last; StyleGAN3 has 14.
            objects: where objects are on normal images: "whole" for textures, "otsu" for one object on a flat background.
            joint_mask: whether the background's mask is drawn with it and matched; without, region consistency is void.
            detail: whether progress-coupled gated detail injection is used.
            smoothing: whether defects are blended by a smooth mask of learned width; without, by a hard one.
            mask_aware: whether image and mask are matched scale by scale; without, as the channels of one input.
            edge_weight: weight of the Edge Structure Loss; 0 for none.
            region_weight: weight of the Region Consistency Loss; 0 for none.
            blend: whether defect features are added to the background's, or take their place.
            match_weight: weight of the matching critics.
            mode_weight: weight of mode seeking on masks.
            lr: Adam's learning rate of generators.
            critic_lr: Adam's learning rate of critics.
            r1_at_256: R1's gamma at 256 px; it goes with the square of the size. Sensitive: see stylegan3.
            r1_every: steps between gradient penalties.
            ada: transforms of adaptive augmentation, for the image critic only.
            ada_speed: images in which ADA's p can go from 0 to 1 while normals are learned.
            ada_speed_defect: the same while defects are learned.
            defect_share: part of the budget that goes to defects: 400 of 3,400 thousand images.

        Raises:
            UserError: there are too few layers.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        widths = {"base": channel_base, "most": channel_max}
        self.background = JointBackground(
            size=size, joint=joint_mask, detail=detail, latents=latents, layers=layers, **widths
        )
        self.branch = SmoothBranch(
            self.background, size=size, latents=latents, smoothing=smoothing, blend=blend
        )
        self.critic = Critic(size=size, **widths)
        self.object_match = Critic(size=size, channels=4, **widths) if joint_mask else None
        self.match: nn.Module = (
            MaskAwareCritic(size=size, **widths)
            if mask_aware
            else Critic(size=size, channels=4, **widths)
        )
        self.background_average, self.branch_average = Ema(self.background), Ema(self.branch)
        self.augment = AdaptiveAugment(kind=ada, speed=ada_speed)
        self.augment_defect = AdaptiveAugment(kind=ada, speed=ada_speed_defect)
        self.objects, self.latents, self.defect_share = objects, latents, defect_share
        self.edge_weight, self.region_weight = edge_weight, region_weight
        self.match_weight, self.mode_weight = match_weight, mode_weight
        self.lr, self.critic_lr, self.r1_every = lr, critic_lr, r1_every
        self.gamma = r1_at_256 * (size / 256) ** 2
        names = ["background", "critic", "object_match", "branch", "match"]
        self.turn = Turns(self, *(name for name in names if getattr(self, name) is not None))

    def stages(self, images: int) -> Sequence[Stage]:
        """Backgrounds first, then defects on the frozen background."""
        defects = max(round(images * self.defect_share), 1)
        return (
            Stage("background", max(images - defects, 1), frozenset({"normal"})),
            Stage("defect", defects, frozenset({"defect"})),
        )

    def enter(self, stage: Stage) -> None:
        """Forget the losses of the stage before; what is frozen is held by `Turns`."""
        self.losses = {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for each player; those of critics are corrected for their lazy penalty."""
        generators = ("background", "branch")
        return [
            lazy_adam(getattr(self, name), self.lr)
            if name in generators
            else lazy_adam(getattr(self, name), self.critic_lr, self.r1_every)
            for name in self.turn.players
        ]

    @property
    def progress(self) -> float:
        """Share of detail that the background injects: by the progress of the first stage, all of it later."""
        return detail_schedule(self.clock.progress) if self.clock.stage == 0 else 1.0

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Stage 1: background and mask against two critics. Stage 2: the branch against two critics."""
        if self.clock.stage == 0:
            self.learn_background(batch["normal"]["image"])
        else:
            self.learn_defect(batch["defect"])

    def learn_background(self, real: Tensor) -> None:
        """StyleGAN3 on normal images; the matching critic sees that the mask belongs to the image."""
        b = len(real)
        pairs = pair(real, self.object_masks(real))

        with self.turn("background") as turn:
            fake, around = self.background.imagine(b, self.progress)
            fooling = logistic_generator(self.critic(self.augment(fake)))
            total = fooling
            if self.object_match is not None:
                matching = logistic_generator(self.object_match(self.pair(fake, around)))
                total = total + self.match_weight * matching
                self.report(background_match=matching)
            turn.backward(total)

        fake, around = fake.detach(), around.detach()
        judged = self.tell("critic", self.augment(real), self.augment(fake))
        if self.object_match is not None:
            self.tell("object_match", pairs, self.pair(fake, around))
        self.penalise("critic", self.augment(real))
        if self.object_match is not None:
            self.penalise("object_match", pairs)

        images = b * self.trainer.world_size
        decay = averaging_decay(images, self.clock.images)
        self.background_average.follow(self.background, decay)
        self.augment.follow(judged, images)
        self.report(background_adversarial=fooling, augment_p=self.augment.p)

    def learn_defect(self, defect: Batch) -> None:
        """The branch: realistic, matched with its mask, with edges where the mask has them, inside the object."""
        real, b = defect["image"], len(defect["image"])
        pairs, half = pair(real, defect["mask"]), b // 2

        with self.turn("branch") as turn:
            ws, w = self.styles(b)
            fake, _, raw = self.branch(self.backbone, ws, w, track=True)
            with torch.no_grad():
                clean, around = self.backbone(ws, 1.0)  # the object as it is without the defect
            fooling = logistic_generator(self.critic(self.augment_defect(fake)))
            matching = logistic_generator(self.match(self.pair(fake, raw)))
            # The same background with another defect.
            *_, other = self.branch(self.backbone, ws[:half], w[half : 2 * half], track=True)
            soft, soft_other = torch.sigmoid(SHARPNESS * raw), torch.sigmoid(SHARPNESS * other)
            one, two = torch.tanh(SHARPNESS * raw[:half]), torch.tanh(SHARPNESS * other)
            mode = mode_seeking(w[:half], w[half : 2 * half], one, two)
            near = widen((raw >= 0).float(), max(round(5 * self.size / 128), 1))
            aligned = edge_alignment(fake, clean, soft, near)
            varied = edge_variation(soft[:half], soft_other)
            inside = region_consistency(soft, (around > 0).float())
            turn.backward(
                fooling
                + self.match_weight * matching
                + self.mode_weight * mode
                + self.edge_weight * (aligned + VARIATION * varied)
                + self.region_weight * inside
            )

        fake, raw = fake.detach(), raw.detach()
        judged = self.tell("critic", self.augment_defect(real), self.augment_defect(fake))
        self.tell("match", pairs, self.pair(fake, raw), wrong=pair(real, defect["mask"].roll(1, 0)))
        self.penalise("critic", self.augment_defect(real))
        self.penalise("match", pairs)

        images = b * self.trainer.world_size
        decay = averaging_decay(images, self.clock.images, None)
        self.branch_average.follow(self.branch, decay)
        self.augment_defect.follow(judged, images)
        self.report(
            branch_adversarial=fooling,
            branch_match=matching,
            branch_mode=mode,
            branch_edges=aligned,
            branch_outside=inside,
            mask_area=(raw >= 0).float().mean(),
            augment_p=self.augment_defect.p,
        )

    def tell(self, player: str, real: Tensor, fake: Tensor, wrong: Tensor | None = None) -> Tensor:
        """Let a critic tell real from fake as a turn of its own, and give its logits (B,) of the real.

        Args:
            player: the critic.
            real: what it shall take for real.
            fake: what it shall not.
            wrong: real images with others' masks, which are fakes too; those that are equal to a real pair are not.
        """
        critic = getattr(self, player)
        with self.turn(player) as turn:
            judged: Tensor = critic(real)
            telling = logistic_critic(judged, critic(fake))
            if wrong is not None:
                different = (wrong != real).flatten(1).any(1).float()
                mistaken = F.softplus(critic(wrong)) * different
                telling = telling + MISMATCHED * mistaken.sum() / different.sum().clamp(min=1)
            turn.backward(telling)
        self.report(**{f"{player}_adversarial": telling})
        return judged.detach()

    def penalise(self, player: str, real: Tensor) -> None:
        """R1 on a critic, when it is due, as a turn of its own."""
        if self.clock.step % self.r1_every == 0:
            with self.turn(player) as turn:
                penalty, _ = r1(getattr(self, player), real)
                turn.backward(penalty * (self.gamma / 2 * self.r1_every))

    @property
    def backbone(self) -> JointBackground:
        """The averaged background, which the second stage keeps as it is."""
        return self.background_average.network

    def styles(self, images: int) -> tuple[Tensor, Tensor]:
        """Draw styles of backgrounds (B, L, D) and of defects (B, D); for training steps."""
        z, z_defect = torch.randn(2, images, self.latents, device=self.device)
        w: Tensor = self.branch.mapping(z_defect)
        self.branch.mapping.follow(w, decay=0.998)
        with torch.no_grad():
            return self.backbone.generator.styles(z), w

    def object_masks(self, normal: Tensor) -> Tensor:
        """Give the object's masks of normal images, (B, 1, H, W) in {0, 1}."""
        return object_masks(normal) if self.objects == "otsu" else torch.ones_like(normal[:, :1])

    @staticmethod
    def pair(image: Tensor, logit: Tensor) -> Tensor:
        """Join images and drawn masks as critics see them: (B, 4, H, W), float32."""
        return torch.cat([image.float(), torch.tanh(SHARPNESS * logit.float())], 1)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Draw a background and a defect per row by the averaged networks; an empty mask is not valid."""
        z, z_defect = self.draw(2, len(request["product"]), self.latents, rng=rng)
        branch = self.branch_average.network
        ws, w = self.backbone.generator.styles(z), branch.mapping(z_defect)
        image, _, raw = branch(self.backbone, ws, w)
        mask = (raw >= 0).float()
        return Sample(image=image.float().clamp(-1, 1), mask=mask, valid=mask.flatten(1).any(1))
