"""The memoriser: replays the training images. What it scores is what copying alone is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from defectbench.batch import Batch, Request, Sample
from defectbench.generators.base import Generator, MaskSource
from defectbench.nn.training.memory import ImageMemory


class Memoriser(Generator):
    """Gives back a training image of the asked label and product, with its own mask.

    A control: every metric that rewards it rewards memorising.
    """

    paper: ClassVar[str] = "none: a control"
    streams: ClassVar[frozenset[str]] = frozenset({"defect"})
    reads: ClassVar[frozenset[str]] = frozenset()
    mask_source: ClassVar[MaskSource] = "native"
    tiny: ClassVar[Mapping[str, Any]] = {}
    learns: ClassVar[bool] = False

    def __init__(self, *, size: int, defects: Sequence[str], products: Sequence[str]) -> None:
        self.save_hyperparameters()
        super().__init__(size=size, defects=defects, products=products)
        self.memory = ImageMemory(size=size, defects=len(self.defects))

    def observe(self, defect: Batch, normal: Batch) -> None:
        """Remember all training defect images."""
        self.memory.keep(defect)

    def synthesise(self, request: Request, rng: torch.Generator) -> Sample:
        """Replay one image per row: the nearest label first, then the product, then chance."""
        rows = self.memory.choose(request["defects"], request["product"], rng)
        found = self.memory.rows(rows)
        return Sample(image=found["image"], mask=found["mask"])
