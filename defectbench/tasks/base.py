"""The contract of a downstream task: a model that inspects, trained on real and synthetic images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from lightning import LightningModule
from torch import Tensor, nn

from defectbench.batch import Batch
from defectbench.nn.pretrained import origins
from defectbench.nn.training.clock import Clock
from defectbench.nn.training.optimisers import lightning_optimisers, make_optimiser
from defectbench.tasks.parts.encoders import FROM_SCRATCH, Treatment


class Task(LightningModule, ABC):
    """Learns to inspect from batches and reports scores.

    Subclasses take keyword-only plain arguments; `size`, `defects` and `products` come from the data, `steps` from the
    table. They call `self.save_hyperparameters()` first. Of one that learns by optimiser steps `optimizer`, `lr`, `momentum`,
    `weight_decay`, `schedule` and `warmup` are arguments, with defaults of its own.

    The loop of an evaluation: `loss` per training batch; every so often `measure` over the validation images, then
    `calibrate` and `scores`; the best state by `monitor` is kept; at the very end `measure` over validation and
    `calibrate`, then `measure` over the test images, `scores` and `details`. A task that does not learn by steps
    (`by_steps` is False) gets all training images at once, by `learn` in place of `loss`; the rest is the same.
    """

    by_steps: ClassVar[bool] = True
    """Whether it learns by optimiser steps on batches (`loss`), or from one look at all training images (`learn`)."""

    needs: ClassVar[frozenset[str]]
    """What a training image must bring besides its label, any one of these: "mask", "boxes"."""
    monitor: ClassVar[str]
    """The score by which the validation data choose the checkpoint."""
    mode: ClassVar[Literal["max", "min"]] = "max"
    """Whether more of `monitor` is better."""
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]]
    """Every score that `scores` gives and its direction."""
    better_own: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {}
    """Every score that `own_scores` gives and its direction; none of a task that finds no pixels."""
    tiny: ClassVar[Mapping[str, Any]]
    """Arguments that train at 32 px in seconds, for the contract tests."""
    revision: ClassVar[int] = 1
    """Raised when a change moves its numbers."""
    revision_with_weights: ClassVar[int]
    """The revision of trainings from pretrained weights (`weights`), where a change moved only these; else `revision`."""

    def __init__(
        self, *, size: int, defects: Sequence[str], products: Sequence[str], steps: int
    ) -> None:
        """Set up what every task has.

        Args:
            size: side of the square images, pixels.
            defects: names of the K defects, in the order of `Batch["defects"]`.
            products: names of the products.
            steps: optimiser steps of the whole training, for schedules.
        """
        super().__init__()
        self.size, self.defects, self.products = size, tuple(defects), tuple(products)
        self.steps = steps
        self.clock = Clock()
        self.treatment: Treatment = FROM_SCRATCH
        """How the encoder trains; subclasses set it where they have a pretrained one."""
        self.reasons: dict[str, str] = {}
        """Why scores of the last `scores()` are NaN, by score."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a task that lacks the way to learn that it claims."""
        super().__init_subclass__(**options)
        way = "loss" if cls.by_steps else "learn"
        if getattr(cls, way) is getattr(Task, way):
            raise TypeError(f"{cls.__name__}: by_steps is {cls.by_steps}, so it must define {way}")

    def loss(self, batch: Batch) -> Tensor:
        """Give the training loss of a batch, a scalar; only of a task that learns by steps."""
        raise NotImplementedError

    def learn(self, batches: Iterator[Batch], seed: int) -> None:
        """Learn from all training images, each shown once and in order; only of a task that does not learn by steps.

        Args:
            batches: the images, as they are: no augmentation, no balance.
            seed: of whatever is drawn.
        """
        raise NotImplementedError

    def on_train_start(self) -> None:
        """Hold fixed statistics from the first step on; Lightning leaves the mode of a new module as it is."""
        self.train()

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Train on one batch with automatic optimisation."""
        return self.loss(batch)

    def encoder(self) -> nn.Module | None:
        """Give the part that `treatment` is about; None where all parts train alike."""
        return None

    def train(self, mode: bool = True) -> Self:
        """Set the mode; an encoder whose statistics stay fixed keeps its batch normalisation in evaluation mode."""
        super().train(mode)
        if mode:
            self.treatment.hold_statistics(self.encoder())
        return self

    def describe(self) -> dict[str, Any]:
        """Say for the record what this inspector is made of, as plain values."""
        found = [asdict(origin) for origin in origins(self)]
        return {"weights": found, "encoder": asdict(self.treatment)} if found else {}

    def configure_optimizers(self) -> dict[str, Any]:
        """Give the optimiser that the arguments name, and its per-step schedule."""
        given, part = self.hparams, self.encoder()
        optimiser = make_optimiser(
            given["optimizer"],
            self.parameters(),
            lr=given["lr"],
            momentum=given["momentum"],
            weight_decay=given["weight_decay"],
            slow=part.parameters() if part is not None and self.treatment.rate != 1 else (),
            slow_rate=self.treatment.rate,
        )
        return lightning_optimisers(optimiser, given["schedule"], self.steps, given["warmup"])

    @abstractmethod
    def measure(self, batch: Batch) -> None:
        """Add one evaluation batch to what `calibrate` and `scores` look at; evaluation mode, no gradients."""

    def calibrate(self) -> None:
        """Choose thresholds on what was measured (validation images) and keep them; by default nothing."""
        return

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Compute the scores of what was measured since the last call, and forget it."""

    def own_scores(self, masks: Sequence[npt.NDArray[np.uint8]]) -> dict[str, float]:
        """Score the images of the last `scores()` again, at their masks' own size.

        Args:
            masks: one (h, w) in {0, 1} per image, in the order in which they were measured.

        Returns:
            the scores that `better_own` names; NaN where one is undefined, explained in `reasons`.
        """
        del masks
        return {}

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Take the last `scores()` apart: finer scores for the record, pictures for people; by default nothing.

        Args:
            folder: where pictures go, as PNG.

        Returns:
            what a score is for each class alone, by score and class; NaN where it is undefined.
        """
        del folder
        return {}
