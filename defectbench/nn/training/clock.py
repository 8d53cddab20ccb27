"""The clock of a training: images seen, steps taken, the stage and its budget.

Lightning's `global_step` counts every optimiser step, so two players would make it run twice as fast; this clock
counts batches and images instead. It holds plain integers in the state dict, so a checkpoint restores it and reading it
never waits for a GPU.
"""

from __future__ import annotations

from typing import TypedDict

from torch import nn


class ClockState(TypedDict):
    """What a checkpoint keeps of a clock."""

    stage: int
    step: int
    images: int
    budget: int


class Clock(nn.Module):
    """Counts the steps and images of the current stage.

    Attributes:
        stage: index of the training stage.
        step: batches finished in this stage.
        images: images seen in this stage, over all ranks.
        budget: images that this stage shall see.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage, self.step, self.images, self.budget = 0, 0, 0, 0

    @property
    def progress(self) -> float:
        """Fraction of the stage's budget that has been seen, in [0, 1]."""
        return min(self.images / self.budget, 1.0) if self.budget else 0.0

    @property
    def finished(self) -> bool:
        """Whether the stage has seen its budget."""
        return self.images >= self.budget

    def enter(self, stage: int, budget: int) -> None:
        """Begin a stage, or go on in it if it is the current one."""
        if stage != self.stage:
            self.stage, self.step, self.images = stage, 0, 0
        self.budget = budget

    def tick(self, images: int) -> None:
        """Count one finished batch of `images` images."""
        self.step += 1
        self.images += images

    def get_extra_state(self) -> ClockState:
        """Give the state as plain integers."""
        return ClockState(stage=self.stage, step=self.step, images=self.images, budget=self.budget)

    def set_extra_state(self, state: ClockState) -> None:
        """Take up a state."""
        self.stage, self.step = state["stage"], state["step"]
        self.images, self.budget = state["images"], state["budget"]
