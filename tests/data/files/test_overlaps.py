"""Cut-outs of one photograph are found, wherever they were cut; images of one kind are not."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.data.files.overlaps import overlaps
from defectbench.standin import drawing


def strip(seed: int, height: int = 200, width: int = 260) -> np.ndarray:
    """A photograph in grey."""
    rng = np.random.default_rng(seed)
    return drawing.draw("hot_rolled_steel", (height, width), rng)[..., 0]


def test_shifted_cut_outs_are_found_with_their_shift() -> None:
    photograph = strip(0)
    cuts = [(0, 0), (30, 90), (72, 40)]
    images = [photograph[y : y + 128, x : x + 128] for y, x in cuts]
    images.insert(1, strip(1)[:128, :128])
    found = {(o.first, o.second): (o.down, o.right) for o in overlaps(images)}
    assert found == {(0, 2): (30, 90), (0, 3): (72, 40), (2, 3): (42, -50)}


def test_a_darker_noisier_cut_out_is_found() -> None:
    photograph = strip(2).astype(float)
    rng = np.random.default_rng(0)
    other = photograph[20:148, 60:188] * 0.7 + rng.normal(0, 1, (128, 128))
    images = [photograph[:128, :128].astype(np.uint8), other.clip(0, 255).astype(np.uint8)]
    (one,) = overlaps(images)
    assert (one.down, one.right) == (20, 60)
    assert one.alike > 0.8


@pytest.mark.parametrize("product", ["hot_rolled_steel", "hot_rolled_strip", "magnetic_tile"])
def test_different_photographs_of_one_kind_are_not_alike(product: str) -> None:
    rng = np.random.default_rng(5)
    assert overlaps([drawing.draw(product, 128, rng)[..., 0] for _ in range(6)]) == []
