"""What the trainings of StarGAN, StarGAN + SPADE and Defect-GAN share: batches, and the terms of critic and generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from defectbench.batch import TrainBatch
from defectbench.nn.training import losses
from defectbench.nn.training.penalties import wgan_gp

ClassLoss = Callable[[Tensor, Tensor], Tensor]
"""Of class logits (B, K) and labels (B, K)."""


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


class CriticTerms(NamedTuple):
    """The critic's terms: Wasserstein, classes of real images, gradient penalty; all scalars."""

    adversarial: Tensor
    classes: Tensor
    penalty: Tensor


def critic_terms(critic: nn.Module, task: Task, fake: Tensor, classify: ClassLoss) -> CriticTerms:
    """Compare real and translated images in one pass of the critic, and penalise its gradient between them.

    Args:
        critic: gives patch logits and class logits.
        task: real images and labels.
        fake: their translations, detached.
        classify: class loss.
    """
    source, classes = critic(torch.cat([task.image, fake]))
    on_real, on_fake = source.chunk(2)
    mix = torch.rand(len(fake), 1, 1, 1, device=fake.device)
    return CriticTerms(
        adversarial=losses.wasserstein_critic(on_real, on_fake),
        classes=classify(classes[: len(fake)], task.label),
        penalty=wgan_gp(lambda image: critic(image)[0], task.image, fake, mix),
    )


class GeneratorTerms(NamedTuple):
    """The generator's terms against the critic: Wasserstein and the asked classes; scalars."""

    adversarial: Tensor
    classes: Tensor


def generator_terms(
    critic: nn.Module, task: Task, fake: Tensor, classify: ClassLoss
) -> GeneratorTerms:
    """Let the critic judge translated images."""
    source, classes = critic(fake)
    return GeneratorTerms(losses.wasserstein_generator(source), classify(classes, task.target))
