"""The contract of a downstream task: a model that inspects, trained on real and synthetic images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning import LightningModule
from torch import Tensor

from defectbench.batch import Batch
from defectbench.nn.training.clock import Clock
from defectbench.nn.training.optimisers import lightning_optimisers, make_optimiser


class Task(LightningModule, ABC):
    """Learns to inspect from batches and reports scores.

    Subclasses take keyword-only plain arguments; `size`, `defects` and `products` come from the data, `steps` from the
    table. They call `self.save_hyperparameters()` first; `optimizer`, `lr`, `momentum`, `weight_decay`, `schedule` and
    `warmup` are arguments of each, with defaults of its own.

    The loop of an evaluation: `loss` per training batch; every so often `measure` over the validation images, then
    `calibrate` and `scores`; the best state by `monitor` is kept; at the very end `measure` over validation and
    `calibrate`, then `measure` over the test images, `scores` and `details`.
    """

    needs: ClassVar[frozenset[str]]
    """What a training image must bring besides its label: of "mask", "boxes"."""
    monitor: ClassVar[str]
    """The score by which the validation data choose the checkpoint."""
    mode: ClassVar[Literal["max", "min"]] = "max"
    """Whether more of `monitor` is better."""
    better: ClassVar[Mapping[str, Literal["higher", "lower"]]]
    """Every score that `scores` gives and its direction."""
    tiny: ClassVar[Mapping[str, Any]]
    """Arguments that train at 32 px in seconds, for the contract tests."""
    revision: ClassVar[int] = 1
    """Raised when a change moves its numbers."""

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
        self.reasons: dict[str, str] = {}
        """Why scores of the last `scores()` are NaN, by score."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Give the training loss of a batch, a scalar."""

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Train on one batch with automatic optimisation."""
        return self.loss(batch)

    def configure_optimizers(self) -> dict[str, Any]:
        """Give the optimiser that the arguments name, and its per-step schedule."""
        given = self.hparams
        optimiser = make_optimiser(
            given["optimizer"],
            self.parameters(),
            lr=given["lr"],
            momentum=given["momentum"],
            weight_decay=given["weight_decay"],
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

    def details(self, folder: Path) -> dict[str, dict[str, float]]:
        """Take the last `scores()` apart: finer scores for the record, pictures for people; by default nothing.

        Args:
            folder: where pictures go, as PNG.

        Returns:
            what a score is for each class alone, by score and class; NaN where it is undefined.
        """
        del folder
        return {}
