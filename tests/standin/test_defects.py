"""Procedural defects: exact masks, determinism, and every defect of every product at small sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from defectbench.standin import defects, textures
from defectbench.standin.defects.canvas import foreground

EVERY = [(product, name) for product in textures.PRODUCTS for name in defects.names(product)]


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize(("product", "name"), EVERY)
def test_the_mask_is_where_the_picture_changed(product: str, name: str, size: int) -> None:
    rng = np.random.default_rng(size)
    image = textures.draw(product, size, rng)
    kept = image.copy()
    painted, mask = defects.add(product, name, image, rng)
    np.testing.assert_array_equal(image, kept)
    assert painted.shape == image.shape
    assert painted.dtype == np.uint8
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.bool_
    assert mask.sum() >= 12
    assert mask.mean() < 0.75
    change = np.abs(painted.astype(int) - image).max(axis=2)
    outside = ~ndimage.binary_dilation(mask, np.ones((7, 7)))
    assert change[outside].max(initial=0) == 0
    assert change[mask].mean() > 8
    assert (change[mask] > 2).mean() > 0.6


@pytest.mark.parametrize(("product", "name"), EVERY)
def test_the_same_rng_paints_the_same_bytes(product: str, name: str) -> None:
    image = textures.draw(product, 64, np.random.default_rng(1))
    one, one_mask = defects.add(product, name, image, np.random.default_rng(2))
    two, two_mask = defects.add(product, name, image, np.random.default_rng(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one_mask, two_mask)
    other, _ = defects.add(product, name, image, np.random.default_rng(3))
    assert (one != other).any()


def test_every_drawn_product_has_defects() -> None:
    for product in textures.PRODUCTS:
        assert len(set(defects.names(product))) == len(defects.names(product)) >= 1


def test_mvtec_and_mtd_defect_names_are_the_official_ones() -> None:
    assert defects.names("carpet") == ("color", "cut", "hole", "metal_contamination", "thread")
    assert set(defects.names("wood")) == {"color", "combined", "hole", "liquid", "scratch"}
    assert set(defects.names("tile")) == {"crack", "glue_strip", "gray_stroke", "oil", "rough"}
    assert set(defects.names("magnetic_tile")) == {"Blowhole", "Break", "Crack", "Fray", "Uneven"}


def test_large_defects_of_magnetic_tiles_are_large_and_blowholes_small() -> None:
    def area(name: str) -> float:
        shares = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            image = textures.draw("magnetic_tile", 96, rng)
            shares.append(defects.add("magnetic_tile", name, image, rng)[1].mean())
        return float(np.mean(shares))

    assert area("Uneven") > 0.15
    assert area("Fray") > 0.06
    assert area("Blowhole") < 0.02


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"'marmalade'.*wood"):
        defects.names("marmalade")
    with pytest.raises(ValueError, match=r"'marmalade'.*wood"):
        defects.add("marmalade", "hole", image, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"'rust'.*color, combined, hole"):
        defects.add("wood", "rust", image, np.random.default_rng(0))


def test_an_image_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        defects.add("wood", "hole", np.zeros((64, 64, 3)), np.random.default_rng(0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(64, 64\)"):
        defects.add("wood", "hole", np.zeros((64, 64), np.uint8), np.random.default_rng(0))


def test_several_concrete_defects_can_be_painted_on_one_picture() -> None:
    rng = np.random.default_rng(4)
    clean = textures.draw("concrete", 96, rng)
    image, union = clean, np.zeros((96, 96), np.bool_)
    for name in ("CorrosionStain", "Spallation", "Crack"):
        image, mask = defects.add("concrete", name, image, rng)
        union |= mask
    changed = np.abs(image.astype(int) - clean).max(axis=2) > 12
    assert (changed & ~ndimage.binary_dilation(union, np.ones((7, 7)))).sum() == 0
    assert (changed & union).sum() > 0.7 * union.sum()


def test_defects_of_a_turned_part_stay_on_the_part() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = textures.draw("sdi_a", 96, rng)
        _, mask = defects.add("sdi_a", "spots", image, rng)
        y, x = np.argwhere(mask).mean(0)
        assert np.hypot(y - 48, x - 48) < 48


def test_the_weak_ellipse_covers_the_mask_and_is_convex_and_coarser() -> None:
    mask = np.zeros((64, 80), np.bool_)
    mask[20:24, 10:40] = True
    mask[24:34, 36:40] = True
    weak = defects.weak_ellipse(mask)
    assert (weak >= mask).all()
    assert weak.sum() > 1.5 * mask.sum()
    assert not weak[:, 60:].any()
    for line in (*weak, *weak.T):  # every row and column of an ellipse is one run
        assert np.abs(np.diff(np.pad(line, 1).astype(int))).sum() in (0, 2)


def test_the_weak_ellipse_of_tiny_and_empty_masks() -> None:
    mask = np.zeros((32, 32), np.bool_)
    assert not defects.weak_ellipse(mask).any()
    mask[5, 6] = True
    weak = defects.weak_ellipse(mask)
    assert weak[5, 6]
    assert weak.sum() < 12


def test_all_73_mvtec_ad_defect_types_are_drawn() -> None:
    objects = ("bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw")
    more_objects = ("toothbrush", "transistor", "zipper")
    categories = (*objects, *more_objects, "carpet", "grid", "leather", "tile", "wood")
    assert sum(len(defects.names(category)) for category in categories) == 73


def test_visa_defects_come_in_the_order_of_their_class_ids() -> None:
    assert defects.names("capsules") == ("Bubble", "Discolor", "Scratch", "Leak", "Misshape")
    for board in ("pcb1", "pcb2", "pcb3"):
        assert defects.names(board) == ("Bent", "Melt", "Scratch", "Missing")


def test_the_foreground_is_the_part_and_not_its_shaded_background() -> None:
    for seed in range(5):
        image = textures.draw("screw", 128, np.random.default_rng(seed))
        part = foreground(image)
        assert 0.02 < part.mean() < 0.2
        assert not part[[0, -1]].any()
        assert not part[:, [0, -1]].any()
        assert image[part].mean() < image[~part].mean() - 20
