"""Balance `halves`: as many normal as defective images, whatever the set holds."""

from __future__ import annotations

import numpy as np

from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.module import ImageSet, Stream


def test_half_of_what_is_drawn_is_normal(squares: Prepared) -> None:
    good = squares.rows(split="train", defective=False)
    dark = squares.rows(split="train", defect="dark")
    images = ImageSet.of(squares, np.concatenate([good, dark[:2]]))
    stream = Stream(images, "train", balance="halves")
    drawn = np.concatenate([stream.indices(0, step, 16) for step in range(40)])
    normal = ~images.defects[drawn].any(axis=1)
    assert 0.42 < normal.mean() < 0.58  # 640 draws: three standard deviations are 0.06
    assert set(drawn) == set(range(len(images)))
    assert np.array_equal(stream.indices(0, 3, 16), stream.indices(0, 3, 16))
    assert not np.array_equal(stream.indices(0, 3, 16), stream.indices(1, 3, 16))


def test_a_set_of_one_kind_is_drawn_evenly(squares: Prepared) -> None:
    only = ImageSet.of(squares, squares.rows(split="train", defective=False))
    drawn = Stream(only, "train", balance="halves").indices(0, 0, 200)
    assert set(drawn) == set(range(len(only)))
