"""From which value on a pixel of a user's own masks is a defect: one rule wherever such masks are read.

Every value above 0 is a defect, so that masks of 0 and 1, of class numbers and of 0 and 255 mean the same. Where the values
of a mask cluster at both ends, as JPEG and smooth edges leave them, it is the middle, 128: at 1 such masks grow. All
masks of a set share one threshold; a set in which neither works for all is refused. Published datasets have thresholds of
their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from defectbench.data.files.decoding import Pixels
from defectbench.data.files.mask_parts import decode_merged_values

LOWEST: Final = 1
MIDDLE: Final = 128
NEAR: Final = 64
"""Grey levels from 0 and from 255 that count as the ends."""
BETWEEN: Final = 0.3
"""Largest share of the marked pixels between the ends in a mask whose values cluster at both."""
LARGE: Final = 0.5
"""Share of an image that few defects fill, and nearly every inverted mask."""
FEW: Final = 2
"""So many small values may be class numbers; JPEG leaves more."""

Kind = Literal["empty", "one", "numbers", "ends"]


class Levels(NamedTuple):
    """What the values of one mask are.

    Attributes:
        kind: `empty`; `one` value beside 0; `numbers`: several; `ends`: several that cluster at both ends.
        top: the largest value.
        marked: pixels of at least 1.
        bright: pixels of at least 128.
        odd: pixels that are neither 0 nor the largest value.
        pixels: all.
    """

    kind: Kind
    top: int
    marked: int
    bright: int
    odd: int
    pixels: int


@dataclass(frozen=True)
class Rule:
    """The rule for a set of masks.

    Attributes:
        threshold: a pixel is a defect if its value is at least this.
        remarks: what the user must know, one line each.
        problem: why the set cannot be read; "" if it can.
    """

    threshold: int
    remarks: tuple[str, ...] = ()
    problem: str = ""


def levels_of(path: Path) -> Levels:
    """Decode a mask, in one file or a folder of files, and sum up its values.

    Raises:
        defectbench.data.files.decoding.BadFile: it cannot be used.
    """
    return levels(decode_merged_values(path))


def levels(values: Pixels) -> Levels:
    """Sum up the values (H, W) uint8 of a mask."""
    count = np.bincount(values.ravel(), minlength=256)
    there = np.flatnonzero(count[1:]) + 1
    marked, pixels = int(count[1:].sum()), int(values.size)
    if not marked:
        return Levels("empty", 0, 0, 0, 0, pixels)
    top = int(there.max())
    kind: Kind = "numbers"
    if len(there) == 1:
        kind = "one"
    elif top > 255 - NEAR:
        between = count[NEAR : 256 - NEAR].sum() / marked
        bright = count[256 - NEAR :].sum()
        blurred = int((there < NEAR).sum()) > FEW or bool(
            ((there > 255 - NEAR) & (there < top)).any()
        )
        if between <= BETWEEN and bright and blurred:
            kind = "ends"
    return Levels(kind, top, marked, int(count[MIDDLE:].sum()), marked - int(count[top]), pixels)


def rule_of(found: Iterable[Levels]) -> Rule:
    """Choose the rule for a set of masks, and say which of them may be inverted."""
    masks = list(found)
    rule = _threshold_of(masks)
    shares = [(m.marked if rule.threshold == LOWEST else m.bright) / m.pixels for m in masks]
    large = sum(share > LARGE for share in shares)
    if not large:
        return rule
    told = (
        f"{large} of {len(masks)} masks mark more than half of their image (up to {max(shares):.0%}); if they mark what is "
        "good, invert them"
    )
    return replace(rule, remarks=(*rule.remarks, told))


def _threshold_of(masks: Sequence[Levels]) -> Rule:
    kinds = [mask.kind for mask in masks]
    ends = kinds.count("ends")
    if not masks:
        return Rule(LOWEST)
    if kinds.count("empty") == len(masks):
        return Rule(LOWEST, (f"all {len(masks)} masks are empty: no pixel of them is above 0",))
    if ends:
        other = sum(m.kind == "numbers" or (m.kind == "one" and m.top < MIDDLE) for m in masks)
        if other:
            return Rule(
                MIDDLE,
                problem=f"{ends} masks have values near 0 and near 255, as JPEG leaves them, and {other} hold small numbers; "
                "no one threshold reads both: save all as PNG of 0 and 255",
            )
        odd = sum(mask.odd for mask in masks) / sum(mask.pixels for mask in masks)
        return Rule(
            MIDDLE,
            (
                f"{ends} of {len(masks)} masks have values that cluster near 0 and near 255, as JPEG and smooth edges leave "
                f"them ({odd:.2%} of all mask pixels are neither 0 nor the top); a defect is value >= {MIDDLE}, the middle",
            ),
        )
    several = [mask for mask in masks if mask.kind == "numbers"]
    if not several:
        return Rule(LOWEST)
    odd = sum(mask.odd for mask in several) / sum(mask.marked for mask in several)
    return Rule(
        LOWEST,
        (
            f"{len(several)} of {len(masks)} masks hold several values above 0 ({odd:.1%} of their marked pixels are not of "
            "the largest); every value above 0 is a defect",
        ),
    )


def is_empty(mask: Levels, threshold: int) -> bool:
    """Say whether a mask marks no pixel at a threshold of 1 or 128."""
    return not (mask.marked if threshold == LOWEST else mask.bright)
