"""What is known to go wrong before a generator or a task is trained: refused by name while nothing is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from defectbench import names
from defectbench.config import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from defectbench.data.cache.prepared import Prepared


def check_fit(
    entry: names.Entry,
    prepared: Prepared,
    defective: npt.NDArray[np.int64],
    normal: npt.NDArray[np.int64],
    spec: Mapping[str, Any],
) -> None:
    """Refuse images that a generator cannot learn from.

    Args:
        entry: the generator.
        prepared: the images.
        defective: rows of the training defect images.
        normal: rows of the training normal images.
        spec: of the fit.

    Raises:
        UserError: names generator, dataset, what is missing and the cure.
    """
    facts, name, where = entry.facts, entry.name, prepared.dataset
    if facts.get("stand_ins_only") and not prepared.stand_in:
        raise UserError(
            f"{name} knows only the process that draws stand-ins; these images are real"
        )
    names.check_size(name, facts, prepared.size)
    if not len(defective):
        raise UserError(f"{where}: no training image of {spec.get('defect') or 'any defect'}")
    needed = facts.get("streams", frozenset()) | facts.get("reads", frozenset())
    if "normal" in needed and not len(normal):
        raise UserError(
            f"{where}: {name} starts or learns from normal images, and there are none in training; "
            "leave it out, or take a product that has some"
        )
    contents = spec["view"]["name"] == "contents"
    masked = prepared.table["mask_pixels"].to_numpy()[defective] > 0
    if (facts.get("needs_masks") or contents) and not masked.any():
        why = "the view `contents` cuts defects out by their masks" if contents else f"{name} needs"
        raise UserError(
            f"{where}: no training image of a defect has a mask; {why}"
            + (": take the view `full`" if contents else " masks: leave it out")
        )


def check_task(name: str, needs: Collection[str], prepared: Prepared) -> None:
    """Refuse images without the truth that a task learns and is tested by.

    Args:
        name: of the task.
        needs: its fact of that name: "mask", "boxes", any of which will do; none is fine.
        prepared: the real images.

    Raises:
        UserError: no defective image has a mask, nor a box where boxes will do.
    """
    if not needs:
        return
    rows = prepared.rows(defective=True)
    masked = bool((prepared.table["mask_pixels"].to_numpy()[rows] > 0).any())
    boxes = prepared.boxes if "boxes" in needs else None
    if not masked and not (boxes and any(len(boxes[row]) for row in rows)):
        raise UserError(
            f"{prepared.dataset}: {name} learns from {' or '.join(sorted(needs))} of defects, and its images have none; "
            "leave it out of the rows of this dataset"
        )


def trained_labels(entry: names.Entry, prepared: Prepared, spec: Mapping[str, Any]) -> list[str]:
    """Name the defects that a fit has seen, in the dataset's order: those that it may be asked for."""
    if entry.facts.get("scope") == "defect" and spec.get("defect"):
        return [str(spec["defect"])]
    labels = prepared.multi_hot(prepared.rows(split="train", defective=True))  # (N, K)
    return [name for k, name in enumerate(prepared.defects) if labels[:, k].any()]
