"""Arms of a fair comparison: which images a downstream task trains on; the steps are equal in all of them.

- `raw`: the real training images.
- `augment`: the same, under traditional augmentation (brightness, rotation, noise: DCDGANc section 3.3).
- `ideal`: real images in the place of synthetic ones: `raw` and training images that its limit of real images holds back,
  in the numbers of the synthetic ones, or as many as there are. The bound for every generator.
- `enlarge`: real and synthetic images together.
- `synthetic_only`: no real defect image at all (zero-shot); real normals only if the table asks for normals. A fifth of
  the synthetic images validates, so that no real defect chooses a checkpoint or a threshold either.
- `transfer`: the same, with images of a generator that learned from other products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from defectbench.config import UserError
from defectbench.data.cache.prepare import Prepared
from defectbench.data.streams.module import ImageSet
from defectbench.rng import numpy_rng


class NothingToAdd(UserError):
    """An arm cannot be had from these synthetic images, e.g. for want of masks: its cell stays empty, with the reason."""


@dataclass(frozen=True)
class TrainingSet:
    """What a task trains on.

    Attributes:
        images: real and synthetic images.
        validation: what chooses checkpoint and thresholds; real images where real defects train.
        augment: augmentations that the arm adds.
        n_real: real images with a defect.
        n_synthetic: synthetic images that are used.
        left_out: synthetic images without a usable mask, where the task needs masks.
        n_restored: restored normals among the images, flagged as synthetic.
    """

    images: ImageSet
    validation: ImageSet
    augment: tuple[str, ...]
    n_real: int
    n_synthetic: int
    left_out: int
    n_restored: int = 0


def training_set(
    arm: str,
    real: Prepared,
    synthetic: Prepared | None,
    *,
    needs_masks: bool,
    held_back: Prepared | None = None,
    per_defect: Mapping[str, int] | None = None,
    normals: int = 0,
    ratio: float | None = None,
    seed: int = 0,
    restored: Prepared | None = None,
) -> TrainingSet:
    """Put the training images of an arm together.

    Args:
        arm: one of the names above.
        real: the real images; only the train split is read.
        synthetic: the synthetic images, for arms that use them.
        held_back: for `ideal`, the real images without the limit; only the train split is read.
        per_defect: for `ideal`, how many more real images to add, by defect.
        needs_masks: leave synthetic images without a valid mask out.
        normals: real normal training images to add (all that there are if fewer).
        ratio: synthetic images per real defect image; None takes all.
        restored: normals that the generator made of defective images, if any; they join where normals do and the task needs
            no masks, because a trace of the defect may be left in them.
        seed: chooses among normals and synthetic images where not all are taken.

    Raises:
        NothingToAdd: no synthetic image is usable.
        UserError: an arm lacks what it needs, or the two sides name other defects or products.
    """
    without_real = arm in {"synthetic_only", "transfer"}
    rows = real.rows(split="train", defective=True)
    if without_real:
        rows = rows[:0]
    elif not len(rows):
        raise UserError(f"{real.dataset}: no defective training image; check the split")
    chosen = ImageSet.of(real, rows)
    held = real.rows(split="val", defective=None if normals else True)
    validation = ImageSet.of(real, held)
    n_synthetic = left_out = 0
    if arm in {"enlarge", "synthetic_only", "transfer"}:
        if synthetic is None:
            raise UserError(f"arm {arm} needs synthetic images; give it a method")
        _check_same_names(real, synthetic)
        usable = _usable(synthetic, needs_masks)
        left_out = len(synthetic.table) - len(usable)
        if ratio is not None:
            wanted = min(len(usable), round(ratio * len(rows)))
            if not wanted:
                raise NothingToAdd(
                    f"ratio {ratio:g} of {len(rows)} real images asks for no synthetic image; raise it or leave it out"
                )
            usable = numpy_rng(seed, "synthetic").permutation(usable)[:wanted]
            usable.sort()
        if without_real:
            usable, apart = _hold_out(usable, seed)
            good = real.rows(split="val", defective=False) if normals else held[:0]
            validation = ImageSet.of(synthetic, apart) + ImageSet.of(real, good)
        chosen, n_synthetic = chosen + ImageSet.of(synthetic, usable), len(usable)
    elif arm == "ideal":
        if held_back is None or per_defect is None:
            raise UserError("arm ideal needs the real images that are held back; give it `real`")
        more = _more_real(real, rows, held_back, per_defect, seed)
        chosen, rows = chosen + ImageSet.of(held_back, more), np.concatenate([rows, more])
    elif arm not in {"raw", "augment"}:
        raise UserError(
            f"no arm {arm!r}; known: raw, augment, ideal, enlarge, synthetic_only, transfer"
        )
    if normals:
        good = real.rows(split="train", defective=False)
        good = np.sort(numpy_rng(seed, "normals").permutation(good)[:normals])
        chosen = chosen + ImageSet.of(real, good)
    n_restored = 0
    if restored is not None and n_synthetic and normals and not needs_masks:
        n_restored = len(restored.table)
        chosen = chosen + ImageSet.of(restored, np.arange(n_restored, dtype=np.int64))
    return TrainingSet(
        images=chosen,
        validation=validation,
        augment=("traditional",) if arm == "augment" else (),
        n_real=len(rows),
        n_synthetic=n_synthetic,
        left_out=left_out,
        n_restored=n_restored,
    )


def _more_real(
    real: Prepared,
    used: npt.NDArray[np.int64],
    held: Prepared,
    per_defect: Mapping[str, int],
    seed: int,
) -> npt.NDArray[np.int64]:
    """Choose training images that the limited set lacks, of each defect so many or as many as there are.

    Raises:
        NothingToAdd: the limited set has them all.
    """
    _check_same_names(real, held)
    known = set(real.table["origin"].iloc[used])
    fresh = ~held.table["origin"].isin(known).to_numpy()
    chosen: set[int] = set()
    for defect, count in per_defect.items():
        rows = held.rows(split="train", defect=defect)
        rows = numpy_rng(seed, "ideal", defect).permutation(rows[fresh[rows]])
        chosen |= {int(row) for row in rows[:count]}
    if not chosen:
        raise NothingToAdd("no real training image is held back: all of them are in raw already")
    return np.array(sorted(chosen), dtype=np.int64)


def _hold_out(
    rows: npt.NDArray[np.int64], seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Divide synthetic images into four fifths that train and a fifth that validates."""
    order = numpy_rng(seed, "synthetic validation").permutation(rows)
    apart = len(order) // 5
    return np.sort(order[apart:]), np.sort(order[:apart])


def _usable(synthetic: Prepared, needs_masks: bool) -> npt.NDArray[np.int64]:
    """Find the synthetic images that can train.

    Raises:
        NothingToAdd: there is none.
    """
    rows = np.arange(len(synthetic.table), dtype=np.int64)
    if not len(rows):
        raise NothingToAdd("the set of synthetic images is empty")
    if not needs_masks:
        return rows
    invalid = synthetic.table["mask_source"].isin(["invalid", "none"]).to_numpy()
    if "boxes" in synthetic.table.columns:  # replayed images of a dataset that annotates boxes
        invalid = invalid & (synthetic.table["boxes"] == "").to_numpy()
    if invalid.all():
        reasons = ", ".join(sorted(set(synthetic.table["mask_source"])))
        raise NothingToAdd(
            f"none of {len(rows)} synthetic images has a usable mask (mask source: {reasons})"
        )
    return rows[~invalid]


def _check_same_names(real: Prepared, synthetic: Prepared) -> None:
    """Refuse sides whose labels would mean different things.

    Raises:
        UserError: names the names.
    """
    for what in ("defects", "products"):
        here, there = getattr(real, what), getattr(synthetic, what)
        if here != there:
            raise UserError(
                f"{what} of the real images are {', '.join(here)}, of the synthetic ones {', '.join(there) or 'none'}; "
                "give both the same names in the same order"
            )
