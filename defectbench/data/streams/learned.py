"""What a generator has learned from, and whether it can be asked for what a table wants; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError, nearest
from defectbench.data.cache.prepared import Prepared


@dataclass(frozen=True)
class Learned:
    """What a generator has learned from, where that is not the images it is asked to draw beside.

    Attributes:
        prepared: the images; only the train split is read, for references and masks.
        labels: what to ask for, by defect of the target; the same name by default.
        products: products whose images may be references; all by default.
        product: what the target's product is called there; the reference's own if it is unknown there.
    """

    prepared: Prepared
    labels: Mapping[str, str] = field(default_factory=dict)
    products: tuple[str, ...] = ()
    product: str | None = None

    def references(self, defect: str) -> npt.NDArray[np.int64]:
        """Give the training rows with a defect, of the products whose images may be references."""
        rows = self.prepared.rows(split="train", defect=defect)
        if not self.products:
            return rows
        there = self.prepared.table["product"].isin(self.products).to_numpy()
        return rows[there[rows]]


def check_requests(
    prepared: Prepared,
    counts: Mapping[str, int],
    *,
    reads: frozenset[str],
    needs_normals: bool,
    learned: Learned,
) -> None:
    """Refuse what cannot be asked for; the arguments are those of `requests`.

    Raises:
        UserError: a defect is unknown or no training image has it, or there are no training normals or references.
    """
    source = learned.prepared
    needs_normals |= "normal" in reads
    if needs_normals and not len(prepared.rows(split="train", defective=False)):
        raise UserError(
            f"{prepared.dataset}: sampling needs normal training images, and there are none"
        )
    for defect, count in counts.items():
        asked = learned.labels.get(defect, defect)
        for name, cache in ((defect, prepared), (asked, source)):
            if name not in cache.defects:
                raise UserError(f"no defect {name!r}; {nearest(name, cache.defects)}")
        if count and not len(source.rows(split="train", defect=asked)):
            raise UserError(
                f"{source.dataset}: no training image of {asked!r}, so no generator has learned it; "
                "leave it out (`defects` of a table), or take a split that trains on it"
            )
        if reads & {"mask", "reference"} and not len(learned.references(asked)):
            raise UserError(
                f"{source.dataset}: no training image of {asked!r} to take as reference"
            )
