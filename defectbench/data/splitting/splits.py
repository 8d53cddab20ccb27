"""Deterministic rules that say which images train, which validate and which test.

Rules work on parts: the images that share a `group` go to one side together. Each rule gives train and test; then a share
of train becomes validation, by stratum (product and defect), at least one part wherever a stratum has two. Validation is
never taken from test. A stratum of one training part gives none.
Normal images keep the publisher's side where there is one (MVTec AD: `train/good` trains, `test/good` tests); elsewhere
the rule divides them as it divides a defect. Rows that a rule leaves out are dropped.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from defectbench.config import UserError, nearest
from defectbench.data.files.scanning import GOOD
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.rules import RULES, Part, Sides, count, strata_of, take
from defectbench.rng import numpy_rng

VALIDATION: Final = 0.2
"""Share of the training images, by stratum, that validate."""
LEAKED: Final = "#train"
"""Put behind the id of the training copy of an image that also tests (`one_third_anomalydiffusion_exact`)."""


def split(
    manifest: Manifest,
    rule: str,
    seed: int = 0,
    *,
    validation: float = VALIDATION,
    validation_seed: int | None = None,
) -> Manifest:
    """Set every row's `split` to `train`, `val` or `test`.

    Args:
        manifest: the images.
        rule: name of a rule, with arguments where it has some: see `split_rules.RULES`. Examples:
            `one_third`, `few_shot(5)`, `k_fold(5, 0)`, `fraction(test=0.4)`, `subset(20 of A)`.
        seed: of the rules that choose at random, and of the choice of validation images.
        validation: share of the training images that validate, [0, 1); 0 for none.
        validation_seed: of the choice of validation images alone, where it shall not be `seed`.

    Returns:
        A manifest without the rows that the rule leaves out.

    Raises:
        UserError: no such rule, arguments out of range, or a rule that does not fit the dataset.
    """
    if not 0 <= validation < 1:
        raise UserError(f"split: validation={validation}; wants a share in [0, 1)")
    name, arguments = parse(rule)
    sides = Sides(manifest, strata_of(manifest), seed)
    RULES[name].apply(sides, **arguments)
    sides.seed = seed if validation_seed is None else validation_seed
    _take_validation(sides, validation)
    if name == "one_third_anomalydiffusion_exact":
        return _with_leak(sides)
    if RULES[name].ignores_groups:
        _deal_by_image(sides)
    return _result(manifest, sides.of_row)


def parse(rule: str) -> tuple[str, dict[str, int | float | str]]:
    """Take a rule apart.

    Returns:
        Its name and its arguments.

    Raises:
        UserError: no such rule, or wrong arguments.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", rule)
    name = match[1] if match else rule
    if match is None or name not in RULES:
        raise UserError(f"split: no rule {rule!r}; {nearest(name, RULES)}")
    entry, text = RULES[name], (match[2] or "").strip()
    wrong = UserError(f"split: cannot read {rule!r}; write it as {entry.usage}")
    if name == "subset":
        asked = re.fullmatch(r"(\d+)\s+of\s+(.+)", text)
        if asked is None:
            raise wrong
        return name, {"n": int(asked[1]), "product": asked[2].strip()}
    given = [item.strip() for item in text.split(",")] if text else []
    if len(given) != len(entry.arguments):
        raise wrong
    arguments: dict[str, int | float | str] = {}
    for item, key in zip(given, entry.arguments, strict=True):
        word, _, value = item.rpartition("=")
        try:
            if word.strip() not in {"", key}:
                raise ValueError(word)
            arguments[key] = entry.arguments[key](value)
        except ValueError:
            raise wrong from None
    return name, arguments


def ignores_groups(rule: str) -> bool:
    """Whether a rule puts images of one group on several sides on purpose, to show what that does."""
    return RULES[parse(rule)[0]].ignores_groups


def at_most(manifest: Manifest, limit: int, seed: int = 0, *, by_image: bool = False) -> Manifest:
    """Keep at most `limit` training images of each defect; validation and test stay.

    Parts are kept whole and in one seeded order, so a smaller limit keeps a subset of what a larger one keeps.

    Args:
        manifest: divided by `split`.
        limit: images of each product and defect.
        seed: of the order.
        by_image: whether each image is a part of its own, so that exactly `limit` images are kept where there are so many.
            Images of a group that are left out of training are left out altogether.
    """
    parts = manifest
    if by_image:
        parts = replace(manifest, table=manifest.table.assign(group=manifest.table["id"]))
    sides = Sides(manifest, strata_of(parts), seed)
    sides.of_row[:] = manifest.table["split"].tolist()
    for stratum in sides.strata:
        if stratum[1] == GOOD:
            continue
        training = [p for p in sides.shuffled(stratum, "limit") if sides.on(p) == "train"]
        kept: list[Part] = []
        total = 0
        for part in training:
            if kept and total + part.images > limit:
                break
            kept.append(part)
            total += part.images
        sides.put(training, "")
        sides.put(kept, "train")
    return _result(manifest, sides.of_row)


def without(manifest: Manifest, *defects: str) -> Manifest:
    """Leave out the images that have one of some defects, e.g. `combined`, and the names of those defects."""
    gone = set(defects)
    kept = manifest.where(manifest.table["defects"].map(lambda names: not gone & set(names)))
    return replace(kept, defects=tuple(d for d in manifest.defects if d not in gone))


def _take_validation(sides: Sides, share: float) -> None:
    """Move a share of each training stratum to validation, unless the rule has given it some."""
    if not share:
        return
    for stratum, parts in sides.strata.items():
        if any(sides.on(part) == "val" for part in parts):
            continue
        training = [p for p in sides.shuffled(stratum, "validation") if sides.on(p) == "train"]
        sides.put(take(training, max(1, round(share * count(training)))), "val")


def _result(manifest: Manifest, of_row: np.ndarray) -> Manifest:
    table = manifest.table.copy()
    table["split"] = pd.Series(of_row, index=table.index, dtype="str")
    return replace(manifest, table=table[table["split"] != ""].reset_index(drop=True))


def _deal_by_image(sides: Sides) -> None:
    """Deal the sides anew among the images of each product and defect, whatever their groups; the numbers stay."""
    table = sides.manifest.table
    keys = [
        (str(product), "+".join(names) or GOOD)
        for product, names in zip(table["product"], table["defects"], strict=True)
    ]
    order = table["id"].argsort(kind="stable").to_numpy()
    for key in sorted(set(keys)):
        rows = [row for row in order if keys[row] == key]
        shuffled = numpy_rng(sides.seed, "split", "by_image", *key).permutation(len(rows))
        sides.of_row[rows] = sides.of_row[[rows[place] for place in shuffled]]


def _with_leak(sides: Sides) -> Manifest:
    """Add a training copy of test image number n // 3 of every defect."""
    done = _result(sides.manifest, sides.of_row)
    ids = sides.manifest.table["id"]
    leaked = []
    for (_, label), parts in sides.strata.items():
        if label != GOOD:
            testing = [p for p in parts if sides.on(p) == "test"]
            leaked += [ids.iloc[row] for part in testing[:1] for row in part.rows]
    copies = done.table[done.table["id"].isin(leaked)].assign(split="train")
    copies["id"] = copies["id"] + LEAKED
    table = pd.concat([done.table, copies]).sort_values("id", kind="stable", ignore_index=True)
    return replace(done, table=table)
