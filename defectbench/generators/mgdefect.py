"""MGDefect, reconstructed from its abstract: one GAN paints defects inside masks, another makes the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from defectbench.batch import Batch, Request, Sample, TrainBatch
from defectbench.config import UserError
from defectbench.generators.base import Generator, MaskSource, Stage
from defectbench.generators.parts.mask_guided import MaskBranch
from defectbench.generators.parts.mask_maker import MaskMaker, fit_masks, straight_through
from defectbench.nn.blocks.augment import AdaptiveAugment
from defectbench.nn.blocks.labels import label_length, label_vector
from defectbench.nn.masks.mask_regions import Region, fill_masked, jitter_masks, pair, widen
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.style_game import StyleGame, auto_gamma, averaging_decay, lazy_adam
from defectbench.nn.stylegan.stylegan2 import StyleGenerator, mix_styles, resolutions
from defectbench.nn.training.ema import Ema
from defectbench.nn.training.losses import logistic_critic, logistic_generator, mode_seeking
from defectbench.nn.training.penalties import r1
from defectbench.nn.training.turns import Turns

TRIES = 4
"""Masks drawn per image until one is neither empty nor too large."""
AREA_WEIGHT = 10.0
"""Against masks that are larger than any seen."""


class Scene(NamedTuple):
    """Normal images of the backbone, and what they were drawn from."""

    image: Tensor
    ws: Tensor
    noise: list[Tensor]


class MGDefect(Generator):
    """Paints a defect of the asked class where the mask is; the mask is given, or made by a second GAN to suit the object.

    A reconstruction from the abstract: it satisfies each clause of it, and all below that level is ours.
    """

    title: ClassVar[str] = "MGDefect (reconstruction)"
    paper: ClassVar[str] = (
        "MGDefect: A Mask-Guided High-Quality Defect Image Generation Method for Improving Defect Inspection, "
        "IEEE Transactions on Multimedia 2025; reconstruction from the abstract"
    )
    streams: ClassVar[frozenset[str]] = frozenset({"defect", "normal"})
    reads: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset({"mask", "interpolation"})
    mask_source: ClassVar[MaskSource] = "input"
    power_of_two: ClassVar[bool] = True
    least_size: ClassVar[int] = 16
    needs_masks: ClassVar[bool] = True
    revision: ClassVar[int] = 2
    tiny: ClassVar[Mapping[str, Any]] = {
        "channel_base": 256,
        "channel_max": 16,
        "latents": 16,
        "branch_from": 16,
        "mask_base": 128,
        "mask_max": 8,
        "backbone_share": 0.34,
    }
    widest: Tensor

    def __init__(
        self,
        *,
        size: int,
        defects: Sequence[str],
        products: Sequence[str],
        channel_base: int = 16384,  # StyleGAN2-ADA's "auto" configuration, here and below
        channel_max: int = 512,
        latents: int = 512,
        lr: float = 0.0025,
        r1_scale: float = 0.0002,
        r1_every: int = 16,
        branch_from: int = 32,
        mask_base: int = 2048,
        mask_max: int = 128,
        region_weight: float = 1.0,
        background_weight: float = 10.0,
        mode_weight: float = 0.1,
        ada: Literal["none", "geometric"] = "geometric",
        ada_speed: int = 100_000,
        backbone_share: float = 0.79,
    ) -> None:
        """Build the networks of all stages.

        Args:
            size: side of the images, pixels, a power of two.
            defects: names of the defects.
            products: names of the products.
            channel_base: channels times resolution, of backbone, branch and critics.
            channel_max: upper limit of these channels.
            latents: length of z and of w.
            lr: Adam's learning rate, of all players.
            r1_scale: R1's gamma is this times `size^2 / batch`.
            r1_every: steps between gradient penalties.
            branch_from: lowest resolution with a residual block, pixels; 32 at 128 px, 64 at 256 px.
            mask_base: channels times resolution of the mask GAN.
            mask_max: upper limit of these channels.
            region_weight: weight of the region critics against the image critics.
            background_weight: weight of leaving the generated image alone away from the mask.
            mode_weight: weight of mode seeking.
            ada: transforms of adaptive augmentation; image and mask move together.
            ada_speed: images in which ADA's p can go from 0 to 1 while painting is learned.
            backbone_share: part of the budget for the backbone (3,000 of 3,800 thousand images); painting and masks
                share the rest equally.

        Raises:
            UserError: there is no such resolution to branch from.
        """
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        labels = label_length(len(self.defects), len(self.products))
        widths = {"base": channel_base, "most": channel_max}
        narrow = {"base": mask_base, "most": mask_max}
        self.mask_size = min(64, size)
        if branch_from not in resolutions(size)[1:]:
            raise UserError(
                f"mgdefect: branch_from is {branch_from}; wants one of {resolutions(size)[1:]} as size is {size}"
            )
        self.game = StyleGame(
            StyleGenerator(size=size, latents=latents, styles=latents, **widths),
            Critic(size=size, **widths),
            augment=AdaptiveAugment(kind=ada),
            latents=latents,
            r1_every=r1_every,
        )
        self.painter = MaskBranch(
            size=size, start=branch_from, latents=latents, labels=labels, **widths
        )
        self.image_critic = Critic(size=size, channels=4, labels=labels, **widths)
        self.region_critic = Critic(size=size // 2, channels=4, labels=labels, **widths)
        self.augment = AdaptiveAugment(kind=ada, speed=ada_speed)
        self.maker = MaskMaker(size=self.mask_size, latents=latents, labels=labels, **narrow)
        self.mask_critic = Critic(size=self.mask_size, channels=4, labels=labels, **narrow)
        self.shape_critic = Critic(size=self.mask_size // 2, channels=1, labels=labels, **narrow)
        self.painter_average, self.maker_average = Ema(self.painter), Ema(self.maker)
        self.register_buffer("widest", torch.zeros(()))
        critics = ("image_critic", "region_critic", "mask_critic", "shape_critic")
        self.turn = Turns(
            self, "generator", "critic", "painter", *critics[:2], "maker", *critics[2:]
        )
        self.lr, self.r1_scale, self.r1_every, self.latents = lr, r1_scale, r1_every, latents
        self.region_weight, self.background_weight = region_weight, background_weight
        self.mode_weight, self.backbone_share, self.learning = mode_weight, backbone_share, ""

    def stages(self, images: int) -> Sequence[Stage]:
        """Backbone on normals, then painting, then masks."""
        both, first = frozenset({"defect", "normal"}), max(round(images * self.backbone_share), 1)
        half = max((images - first) // 2, 1)
        return (
            Stage("backbone", first, frozenset({"normal"})),
            Stage("painting", half, both),
            Stage("masks", half, both),
        )

    def enter(self, stage: Stage) -> None:
        """Note what is learned, and forget the losses of the stage before."""
        self.learning, self.losses = stage.name, {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for each player, corrected for its lazy regulariser."""
        lazy = {"generator": self.game.path_every, "painter": 0, "maker": 0}
        networks = {"generator": self.game.generator, "critic": self.game.critic}
        return [
            lazy_adam(
                networks.get(name) or getattr(self, name), self.lr, lazy.get(name, self.r1_every)
            )
            for name in self.turn.players
        ]

    def label(self, asked: Batch | Request) -> Tensor | None:
        """Tell the networks what is shown, (B, labels)."""
        return label_vector(asked["defects"], asked["product"], len(self.products))

    def training_step(self, batch: TrainBatch, step: int) -> None:
        """Learn what the stage is for; in all three the critics penalise lazily."""
        images = len(batch["normal"]["image"]) * self.trainer.world_size
        gamma = auto_gamma(self.size, images, self.r1_scale)
        if self.learning == "backbone":
            told = self.game.play(
                self.turn,
                batch["normal"]["image"],
                None,
                clock=self.clock,
                images=images,
                gamma=gamma,
            )
            self.report(**told)
        elif self.learning == "painting":
            self.learn_painting(batch["defect"], batch["normal"]["image"], images, gamma)
        else:
            self.learn_masks(batch["defect"], batch["normal"]["image"], images, gamma)

    def learn_painting(self, defect: Batch, normal: Tensor, images: int, gamma: float) -> None:
        """MGDG-GAN: paint in jittered real masks; one critic judges the image, the other the region around the mask."""
        label, side = self.label(defect), self.size // 2
        mask = jitter_masks(defect["mask"])
        region, real_region = Region.around(mask), Region.around(defect["mask"])
        real = pair(defect["image"], defect["mask"])

        with self.turn("painter") as turn:
            with torch.no_grad():
                scene = self.scene(len(normal))
            z = torch.randn(2, len(normal), self.latents, device=self.device)
            fake, code = self.paint(scene, mask, label, z[0])
            fooling = logistic_generator(self.image_critic(self.augment(pair(fake, mask)), label))
            local = logistic_generator(
                self.region_critic(region.cut(pair(fake, mask), side), label)
            )
            away = 1 - widen(mask, max(round(5 * self.size / 128), 1))
            kept = ((fake - scene.image).abs() * away).mean()
            mode = self.seek(scene, mask, label, z[1], fake, code)
            turn.backward(
                fooling
                + self.region_weight * local
                + self.background_weight * kept
                + self.mode_weight * mode
            )

        fake = fake.detach()
        with self.turn("image_critic") as turn:
            judged = self.image_critic(self.augment(real), label)
            made = self.image_critic(self.augment(pair(fake, mask)), label)
            telling = logistic_critic(judged, made)
            turn.backward(telling)
        with self.turn("region_critic") as turn:
            here = self.region_critic(real_region.cut(real, side), label)
            # A region of a normal image is as wrong as a painted one: there must be a defect in it.
            wrong = torch.cat([region.cut(pair(x, mask), side) for x in (fake, normal)])
            twice = None if label is None else torch.cat([label, label])
            telling_local = logistic_critic(here, self.region_critic(wrong, twice))
            turn.backward(telling_local)
        self.penalise("image_critic", self.augment(real), label, gamma)
        self.penalise("region_critic", real_region.cut(real, side), label, gamma)

        decay = averaging_decay(images, self.clock.images, None)
        self.painter_average.follow(self.painter, decay)
        self.augment.follow(judged.detach(), images)
        self.report(
            painter_image=fooling,
            painter_region=local,
            painter_background=kept,
            painter_mode=mode,
            image_critic_adversarial=telling,
            region_critic_adversarial=telling_local,
            augment_p=self.augment.p,
        )

    def learn_masks(self, defect: Batch, normal: Tensor, images: int, gamma: float) -> None:
        """DM-GAN: make masks that suit the object; one critic judges them on the object, the other their shape."""
        label, side = self.label(defect), self.mask_size // 2
        # Critics see objects without what is under the mask, of real pairs and of made ones alike.
        mask = F.adaptive_max_pool2d(defect["mask"], self.mask_size)
        self.widest.copy_(torch.maximum(self.widest, mask.mean((1, 2, 3)).max()))
        real = pair(fill_masked(self.small(defect["image"]), mask), mask)
        with torch.no_grad():
            place = self.small(self.scene(len(normal)).image)

        with self.turn("maker") as turn:
            z = torch.randn(len(place), self.latents, device=self.device)
            made = straight_through(self.maker(place, z, label, fresh=True))
            hidden = fill_masked(place, made.detach())
            region = Region.around(made.detach())
            fooling = logistic_generator(self.mask_critic(pair(hidden, made), label))
            local = logistic_generator(self.shape_critic(region.cut(made, side), label))
            spread = F.relu(made.mean((1, 2, 3)) - self.widest).mean()
            turn.backward(fooling + self.region_weight * local + AREA_WEIGHT * spread)

        made = made.detach()
        shape = Region.around(mask).cut(mask, side)
        with self.turn("mask_critic") as turn:
            telling = logistic_critic(
                self.mask_critic(real, label), self.mask_critic(pair(hidden, made), label)
            )
            turn.backward(telling)
        with self.turn("shape_critic") as turn:
            telling_local = logistic_critic(
                self.shape_critic(shape, label), self.shape_critic(region.cut(made, side), label)
            )
            turn.backward(telling_local)
        self.penalise("mask_critic", real, label, gamma)
        self.penalise("shape_critic", shape, label, gamma)

        decay = averaging_decay(images, self.clock.images, None)
        self.maker_average.follow(self.maker, decay)
        self.report(
            maker_image=fooling,
            maker_region=local,
            maker_area=made.mean(),
            mask_critic_adversarial=telling,
            shape_critic_adversarial=telling_local,
        )

    def penalise(self, player: str, real: Tensor, label: Tensor | None, gamma: float) -> None:
        """R1 on a critic, when it is due, as a turn of its own."""
        if self.clock.step % self.r1_every == 0:
            critic = getattr(self, player)
            with self.turn(player) as turn:
                penalty, _ = r1(lambda x: critic(x, label), real)
                turn.backward(penalty * (gamma / 2 * self.r1_every))

    def small(self, image: Tensor) -> Tensor:
        """Bring images to the size of the mask GAN."""
        return F.interpolate(image.float(), size=(self.mask_size, self.mask_size), mode="area")

    def scene(self, images: int) -> Scene:
        """Draw normal images of the backbone to paint on; for training steps."""
        generator = self.backbone
        layers = generator.synthesis.layers
        z = torch.randn(images, self.latents, device=self.device)
        ws = mix_styles(generator.mapping, z, None, layers, track=False)
        noise = generator.synthesis.draw_noise(images)
        return Scene(generator.synthesis(ws, noise), ws, noise)

    @property
    def backbone(self) -> StyleGenerator:
        """The averaged generator of normal images, which the later stages keep as it is."""
        return self.game.average.network

    def paint(
        self, scene: Scene, mask: Tensor, label: Tensor | None, z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paint on scenes with fresh noise, for training steps; also the defects' styles (B, D)."""
        code: Tensor = self.painter.mapping(z, label)
        self.painter.mapping.follow(code)
        synthesis = self.backbone.synthesis
        return self.painter(synthesis, scene.ws, mask, code, scene.noise, fresh=True), code

    def seek(
        self,
        scene: Scene,
        mask: Tensor,
        label: Tensor | None,
        z: Tensor,
        fake: Tensor,
        code: Tensor,
    ) -> Tensor:
        """Mode seeking: other latents shall paint another defect; inside the mask, on half of the batch, at most 10."""
        half = max(len(mask) // 2, 1)
        part = Scene(scene.image[:half], scene.ws[:half], [grain[:half] for grain in scene.noise])
        told = None if label is None else label[:half]
        painted, other = self.paint(part, mask[:half], told, z[:half])
        share = mask[:half] / mask[:half].mean().clamp(min=1e-4)
        return mode_seeking(code[:half], other, fake[:half] * share, painted * share).clamp(max=10)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Paint in the request's masks, or in masks made for the scene; the mask is returned as it went in."""
        b, label = len(request["product"]), self.label(request)
        z, z_defect = self.draw(2, b, self.latents, rng=rng)
        painter, synthesis = self.painter_average.network, self.backbone.synthesis
        w = self.backbone.mapping(z)[:, None].expand(-1, synthesis.layers, -1)
        valid = torch.ones(b, dtype=torch.bool, device=self.device)
        if "mask" in request:
            mask = request["mask"].float()
        else:
            draws = [self.draw(b, self.latents, rng=rng) for _ in range(TRIES)]
            place = self.small(synthesis(w))
            mask, valid = fit_masks(self.maker_average, place, draws, label, self.size)
        image = painter(synthesis, w, mask, painter.mapping(z_defect, label))
        return Sample(image=image.float().clamp(-1, 1), mask=mask, valid=valid)
