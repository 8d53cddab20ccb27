"""The training of StarGAN, StarGAN + SPADE and Defect-GAN: batches, and the turns of critic and generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from defectbench.batch import TrainBatch
from defectbench.nn.training import losses
from defectbench.nn.training.penalties import wgan_gp
from defectbench.nn.training.turns import Turns


class Task(NamedTuple):
    """Images to translate.

    Attributes:
        image: (B, 3, H, W).
        label: (B, K), of the images.
        target: (B, K), to be translated to.
    """

    image: Tensor
    label: Tensor
    target: Tensor


def shuffled_labels(batch: TrainBatch) -> Task:
    """Translate all images, defective and normal, to the shuffled labels of all (Choi et al. 2018)."""
    image = torch.cat([batch["defect"]["image"], batch["normal"]["image"]])
    label = torch.cat([batch["defect"]["defects"], batch["normal"]["defects"]])
    return Task(image, label, label[torch.randperm(len(label), device=label.device)])


def two_cycles(batch: TrainBatch) -> Task:
    """Translate normal images to shuffled defect labels and defective ones to normal (Zhang et al. 2021, sec. 3.1)."""
    defect, normal = batch["defect"], batch["normal"]
    order = torch.randperm(len(normal["image"]), device=normal["image"].device)
    wanted = defect["defects"][order % len(defect["defects"])]
    return Task(
        image=torch.cat([normal["image"], defect["image"]]),
        label=torch.cat([normal["defects"], defect["defects"]]),
        target=torch.cat([wanted, torch.zeros_like(defect["defects"])]),
    )


class LabelGame:
    """A translator steered by labels against a critic of sources and classes: Wasserstein loss with penalty, and cycles.

    It is no module: the generator that plays it owns networks and optimisers.

    Args:
        generator: has the player's name "generator" among the turns.
        critic: gives patch logits and class logits; the player "critic".
        turn: of both.
        labels: "attributes" if defects may coincide, "exclusive" if not; decides the class loss.
        n_critic: steps of the critic per step of the generator.
        class_weight_critic: of the class loss of real images.
        class_weight_generator: of the class loss of made images.
        cycle_weight: of the reconstruction.
        gp_weight: of the gradient penalty.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        turn: Turns,
        *,
        labels: Literal["attributes", "exclusive"],
        n_critic: int,
        class_weight_critic: float,
        class_weight_generator: float,
        cycle_weight: float,
        gp_weight: float,
    ) -> None:
        self.generator, self.critic, self.turn, self.n_critic = generator, critic, turn, n_critic
        self.classify = (
            losses.binary_classes if labels == "attributes" else losses.exclusive_classes
        )
        self.class_weight_critic = class_weight_critic
        self.class_weight_generator = class_weight_generator
        self.cycle_weight, self.gp_weight = cycle_weight, gp_weight

    def optimizers(self, lr: float) -> list[Optimizer]:
        """Give one Adam each, betas (0.5, 0.999), generator first."""
        networks = (self.generator, self.critic)
        return [Adam(n.parameters(), lr=lr, betas=(0.5, 0.999)) for n in networks]

    def play(
        self,
        task: Task,
        translate: Callable[[Tensor, Tensor], Tensor],
        *,
        step: int,
        lr: float,
        add: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Train the critic, and every `n_critic` steps the generator.

        Args:
            task: images, their labels, and the labels to translate to.
            translate: from images (B, 3, H, W) and labels (B, K) to images.
            step: of the clock.
            lr: learning rate of both.
            add: adds further losses to the generator's total, after both translations.

        Returns:
            losses to report.
        """
        for player in ("generator", "critic"):
            self.turn.set_lr(player, lr)
        learns = (step + 1) % self.n_critic == 0
        with torch.set_grad_enabled(learns):  # one translation serves both turns
            there = translate(task.image, task.target)
        with self.turn("critic") as turn:
            fake = there.detach()
            source, classes = self.critic(torch.cat([task.image, fake]))
            adversarial = losses.wasserstein_critic(*source.chunk(2))
            mix = torch.rand(len(fake), 1, 1, 1, device=fake.device)
            found = self.classify(classes[: len(fake)], task.label)
            penalty = wgan_gp(lambda image: self.critic(image)[0], task.image, fake, mix)
            turn.backward(adversarial + self.class_weight_critic * found + self.gp_weight * penalty)
        told = {"critic_adversarial": adversarial, "critic_class": found, "critic_penalty": penalty}
        if not learns:
            return told
        with self.turn("generator") as turn:
            back = translate(there, task.label)
            source, classes = self.critic(there)
            adversarial = losses.wasserstein_generator(source)
            found = self.classify(classes, task.target)
            cycle = losses.l1(back, task.image)
            total = adversarial + self.class_weight_generator * found + self.cycle_weight * cycle
            turn.backward(total if add is None else add(total))
        return {
            **told,
            "generator_adversarial": adversarial,
            "generator_class": found,
            "generator_cycle": cycle,
        }
