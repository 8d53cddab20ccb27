"""Rules that drop synthetic images before a downstream model trains on them; each reads training images alone.

Rules apply one after another, and an image counts where the first rule drops it. An image that a rule cannot judge passes
it: one without a mask passes `on_object`, one without a normal that it was made from passes `visible`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.data.cache.prepared import Prepared, Rows
from defectbench.features.mask_alignment import without_visible_change
from defectbench.imaging.objects import object_area

SMALL: Final = 32
"""Side of the images, pixels, that `copies` compares."""
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judge:
    """What rules measure with.

    Attributes:
        real: the real images; only training images are read.
        rules: thresholds by rule; None or False switches one off.
        inspector: a segmentation model trained on the real training images alone, for `confidence`.
    """

    real: Prepared
    rules: Mapping[str, Any]
    inspector: Any = None

    @cached_property
    def training(self) -> npt.NDArray[np.float32]:
        """Defective training images as `small` gives them, under the eight symmetries of the square: (N, 8, D)."""
        rows = self.real.rows(split="train", defective=True)
        return np.stack([symmetries(self.real.images[row]) for row in rows])

    @cached_property
    def spacing(self) -> float:
        """Median distance of a training image to its nearest other one; 0 if there is one image only."""
        upright = self.training[:, 0]
        if len(upright) < 2:
            return 0.0
        nearest = [
            min(
                float(np.sqrt(((other - one) ** 2).mean(axis=1)).min())
                for place, other in enumerate(self.training)
                if place != own
            )
            for own, one in enumerate(upright)
        ]
        return float(np.median(nearest))


def keep(made: Prepared, judge: Judge) -> tuple[Rows, dict[str, int]]:
    """Apply the rules in order.

    Args:
        made: synthetic images.
        judge: the rules and what they measure with.

    Returns:
        the rows that are left, ascending, and the funnel: numbers drawn, dropped by each rule that is on, and kept.
    """
    left = np.arange(len(made), dtype=np.int64)
    funnel = {"drawn": len(left)}
    for name, (told, rule) in RULES.items():
        asked = judge.rules.get(name)
        if asked is None or asked is False or not len(left):
            continue
        dropped = rule(made, left, judge)
        funnel[told] = int(dropped.sum())
        left = left[~dropped]
    funnel["kept"] = len(left)
    return left, funnel


def no_mask(made: Prepared, rows: Rows, judge: Judge) -> Flags:  # noqa: ARG001
    """Find images whose mask is empty or unusable."""
    table = made.table.iloc[rows]
    unusable = table["mask_source"].isin(["invalid", "none"]).to_numpy()
    return np.asarray(unusable | (table["mask_pixels"].to_numpy() == 0))


def off_object(made: Prepared, rows: Rows, judge: Judge) -> Flags:
    """Find images with less than the asked share of the mask on the object of the normal that they were made from.

    Of an image without a normal, the object is looked for in the image itself.
    """
    least, sources = float(judge.rules["on_object"]), _sources(made, judge.real)
    found = np.zeros(len(rows), dtype=np.bool_)
    for place, row in enumerate(rows):
        mask = made.masks[row] > 0
        if mask.any():
            source = judge.real.images[sources[row]] if sources[row] >= 0 else made.images[row]
            found[place] = object_area(np.asarray(source))[mask].mean() < least
    return found


def not_visible(made: Prepared, rows: Rows, judge: Judge) -> Flags:
    """Find images that nowhere inside the mask differ visibly from their normal, as `without_visible_change` has it."""
    sources = _sources(made, judge.real)[rows]
    found = np.zeros(len(rows), dtype=np.bool_)
    judged = np.flatnonzero((sources >= 0) & (made.table["mask_pixels"].to_numpy()[rows] > 0))
    for place in judged:
        row = rows[place]
        found[place] = bool(
            without_visible_change(
                np.asarray(made.images[row])[None],
                np.asarray(judge.real.images[sources[place]])[None],
                np.asarray(made.masks[row])[None],
                levels=float(judge.rules["visible"]),
            )[0]
        )
    return found


def copied(made: Prepared, rows: Rows, judge: Judge) -> Flags:
    """Find images nearer to a defective training image than the asked share of the distance among those.

    The distance is the root mean square difference of the images at 32 px, the least over the eight symmetries of the
    square; the unit is the median distance of a training image to its nearest other one.
    """
    if not judge.spacing:
        return np.zeros(len(rows), dtype=np.bool_)
    limit = float(judge.rules["copies"]) * judge.spacing
    known = judge.training.reshape(-1, judge.training.shape[-1])
    found = np.zeros(len(rows), dtype=np.bool_)
    for place, row in enumerate(rows):
        difference = known - small(made.images[row])
        found[place] = float(np.sqrt((difference**2).mean(axis=1)).min()) < limit
    return found


def not_confident(made: Prepared, rows: Rows, judge: Judge) -> Flags:
    """Find, of each defect, the asked share of images in whose mask the inspector sees a defect least.

    The measure is the mean defect probability inside the mask, or the largest one of an image without a mask. It is a
    rank, not a threshold, because probabilities of a model trained on a few images mean little.
    """
    share = float(judge.rules["confidence"])
    seen = judge.inspector.scores(np.asarray(made.images[rows]))  # (n, S, S)
    masks = np.asarray(made.masks[rows]) > 0
    values = np.array(
        [
            probability[mask].mean() if mask.any() else probability.max()
            for probability, mask in zip(seen, masks, strict=True)
        ]
    )
    found = np.zeros(len(rows), dtype=np.bool_)
    labels = made.table["label"].to_numpy()[rows]
    for label in dict.fromkeys(labels):
        places = np.flatnonzero(labels == label)
        weakest = places[np.argsort(values[places], kind="stable")]
        found[weakest[: int(share * len(places))]] = True
    return found


def small(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Give an image as a vector of grey levels at 32 px, (32 * 32 * 3,)."""
    picture = Image.fromarray(np.asarray(image)).resize((SMALL, SMALL), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32).reshape(-1)


def symmetries(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Give `small` of an image under the eight symmetries of the square, the upright one first: (8, D)."""
    turned = [np.rot90(np.asarray(image), quarter) for quarter in range(4)]
    return np.stack(
        [small(np.ascontiguousarray(side)) for one in turned for side in (one, one[:, ::-1])]
    )


def _sources(made: Prepared, real: Prepared) -> Rows:
    """Row of the training normal that each image was made from; -1 where there is none."""
    places = {
        name: int(row)
        for row, name in zip(
            real.rows(split="train", defective=False),
            real.table["id"].iloc[real.rows(split="train", defective=False)],
            strict=True,
        )
    }
    return np.array([places.get(name, -1) for name in made.table["normal"]], dtype=np.int64)


RULES: Final[Mapping[str, tuple[str, Callable[[Prepared, Rows, Judge], Flags]]]] = {
    "mask": ("without a mask", no_mask),
    "on_object": ("off the object", off_object),
    "visible": ("without a visible change", not_visible),
    "copies": ("near a training image", copied),
    "confidence": ("least confident", not_confident),
}
"""Rules by key of `RulesSpec`, each with its words in the funnel."""
