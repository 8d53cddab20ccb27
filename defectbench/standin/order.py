"""What is asked of a stand-in, whichever dataset it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 32
"""Pixels; on less no defect can be drawn."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Size, numbers and seed of a stand-in; the same order gives the same bytes.

    Attributes:
        size: image side, pixels (datasets of varying or oblong size vary around it).
        normals: normal training images per product; the test split gets a fitting share besides.
        defective: defective images per defect type.
        seed: seed.
        products: which products; all that can be drawn by default.
    """

    size: int
    normals: int
    defective: int
    seed: int
    products: Sequence[str] | None = None
