"""Drawings and defects: exact masks, determinism, and every name of every product once."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy import ndimage

from defectbench.names import find
from defectbench.standin import drawing
from defectbench.standin.catalogue import PRODUCTS
from defectbench.standin.defects.canvas import Canvas, foreground
from defectbench.standin.defects.dagm import weak_ellipse
from defectbench.standin.parts import Ground, Kind, Mark, Part, Picture
from defectbench.standin.textures import noise
from tests.standin.test_standin import NAMES


@pytest.mark.parametrize("product", drawing.PRODUCTS)
def test_a_product_is_drawn_and_each_of_its_defects_is_where_the_mask_says(product: str) -> None:
    rng = np.random.default_rng(64)
    image = drawing.draw(product, 64, rng)
    assert np.array_equal(image, drawing.draw(product, 64, np.random.default_rng(64)))
    assert (image != drawing.draw(product, 64, np.random.default_rng(6))).mean() > 0.1
    oblong = drawing.draw(product, (48, 96), rng)
    assert oblong.shape == (48, 96, 3)
    assert oblong.std() > 3
    assert 15 < oblong.mean() < 245
    kept = image.copy()
    for name in drawing.names(product):
        painted, mask = drawing.add(product, name, image, rng)
        np.testing.assert_array_equal(image, kept)
        assert (painted.shape, painted.dtype) == (image.shape, np.uint8), name
        assert (mask.shape, mask.dtype) == (image.shape[:2], np.bool_), name
        assert 12 <= mask.sum() < 0.75 * mask.size, name
        change = np.abs(painted.astype(int) - image).max(axis=2)
        outside = ~ndimage.binary_dilation(mask, np.ones((7, 7)))
        assert change[outside].max(initial=0) == 0, name
        assert change[mask].mean() > 8, name
        assert (change[mask] > 2).mean() > 0.6, name


@pytest.mark.parametrize("dataset", NAMES)
def test_the_defects_of_a_dataset_are_drawn_under_its_names(dataset: str) -> None:
    for product, names in find("datasets", dataset).load().defects.items():
        drawn = drawing.names(product)
        assert drawn == tuple(names) if dataset == "visa" else set(drawn) == set(names)


# mean grey level of a picture with one of each defect, and the pixels of all masks
AS_BEFORE = {
    "wood": (105.12, 630), "carpet": (91.03, 292), "tile": (136.04, 1048), "leather": (77.83, 373), "bottle": (125.34, 133),
    "magnetic_tile": (68.28, 1528), "concrete": (107.38, 1706), "ksdd2": (80.96, 48), "A": (76.02, 137), "B": (134.59, 176),
    "C": (115.88, 128), "Class1": (112.10, 84), "Class7": (131.14, 60), "hot_rolled_steel": (114.95, 1833),
    "hot_rolled_strip": (119.44, 971),
}  # fmt: skip


@pytest.mark.parametrize("product", AS_BEFORE)
def test_what_tables_draw_stays_as_it_is(product: str) -> None:
    rng, pixels = np.random.default_rng(0), 0
    image = drawing.draw(product, 64, rng)
    for name in drawing.names(product):
        image, mask = drawing.add(product, name, image, rng)
        pixels += int(mask.sum())
    assert (image.mean(), pixels) == pytest.approx(AS_BEFORE[product], rel=2e-3, abs=2)


PICTURE = Picture(Ground((30, 30, 30)), (Part((0.2, 0.3), (220, 200, 180), power=6),))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_mark_follows_its_numbers(kind: str) -> None:
    image = noise.to_bytes(PICTURE((64, 64), np.random.default_rng(0)))
    large = 0.3 if kind in {"scratch", "crack", "strand", "chip"} else 0.12
    colour = (90.0, 0.0, 0.0) if kind == "abrasion" else (0.4, 0.4, 0.4)
    mark = Mark(kind, (large, large), (colour,), 0.05, rim=kind in {"bite", "push"})  # type: ignore[arg-type]

    def painted(seed: int) -> tuple[np.ndarray, np.ndarray]:
        canvas = Canvas(image, foreground(image))
        mark(canvas, np.random.default_rng(seed))
        return canvas.finish()

    (one, mask), (two, _), (other, _) = painted(2), painted(2), painted(3)
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert (one[mask] != image[mask]).mean() > 0.6
    assert not (mask & ~foreground(image)).any() or kind == "push"


@pytest.mark.parametrize("product", ["wood", "carpet", "tile", "magnetic_tile"])
def test_small_and_large_drawings_have_the_same_overall_tone(product: str) -> None:
    means = [
        np.mean([drawing.draw(product, size, np.random.default_rng(i)).mean() for i in range(6)])
        for size in (64, 256)
    ]
    assert abs(means[0] - means[1]) < 25


def test_large_defects_of_magnetic_tiles_are_large_and_blowholes_small() -> None:
    def area(name: str) -> float:
        shares = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            image = drawing.draw("magnetic_tile", 96, rng)
            shares.append(drawing.add("magnetic_tile", name, image, rng)[1].mean())
        return float(np.mean(shares))

    assert area("Uneven") > 0.15
    assert area("Fray") > 0.06
    assert area("Blowhole") < 0.02


def test_what_cannot_be_drawn_is_refused_with_what_can() -> None:
    image, rng = np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"'marmalade'.*wood"):
        drawing.draw("marmalade", 64, rng)
    with pytest.raises(ValueError, match="16 pixels"):
        drawing.draw("wood", 8, rng)
    with pytest.raises(ValueError, match=r"'marmalade'.*wood"):
        drawing.add("marmalade", "hole", image, rng)
    with pytest.raises(ValueError, match=r"'rust'.*color, combined, hole"):
        drawing.add("wood", "rust", image, rng)
    with pytest.raises(ValueError, match="float64"):
        drawing.add("wood", "hole", np.zeros((64, 64, 3)), rng)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(64, 64\)"):
        drawing.add("wood", "hole", image[..., 0], rng)


def test_defects_of_a_turned_part_stay_on_the_part() -> None:
    assert PRODUCTS["A"].part
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = drawing.draw("A", 96, rng)
        _, mask = drawing.add("A", "spots", image, rng)
        y, x = np.argwhere(mask).mean(0)
        assert np.hypot(y - 48, x - 48) < 48


def test_the_foreground_is_the_part_and_not_its_shaded_background() -> None:
    for name in ("hazelnut", "screw", "cashew"):
        image = drawing.draw(name, 128, np.random.default_rng(1))
        part = foreground(image)
        assert 0.1 < part.mean() < 0.8
        assert not part[[0, -1]].any()
        assert not part[:, [0, -1]].any()
        assert abs(image[part].mean() - image[~part].mean()) > 20


def test_the_weak_ellipse_covers_the_mask_and_is_convex_and_coarser() -> None:
    mask = np.zeros((64, 80), np.bool_)
    mask[20:24, 10:40] = True
    mask[24:34, 36:40] = True
    weak = weak_ellipse(mask)
    assert (weak >= mask).all()
    assert weak.sum() > 1.5 * mask.sum()
    assert not weak[:, 60:].any()
    for line in (*weak, *weak.T):  # every row and column of an ellipse is one run
        assert np.abs(np.diff(np.pad(line, 1).astype(int))).sum() in (0, 2)
    tiny = np.zeros((32, 32), np.bool_)
    assert not weak_ellipse(tiny).any()
    tiny[5, 6] = True
    assert weak_ellipse(tiny)[5, 6]
    assert weak_ellipse(tiny).sum() < 12


@pytest.mark.parametrize("scale", [0.005, 0.03, 0.2, (0.5, 0.01)])
def test_smooth_noise_has_unit_variance_at_any_scale(scale: float | tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    fields = np.stack([noise.smooth((64, 64), rng, scale) for _ in range(60)])
    assert abs(float(fields.mean())) < 0.15
    assert abs(float(fields.std()) - 1) < 0.12


def test_smooth_noise_is_as_smooth_as_asked_and_runs_as_it_is_stretched() -> None:
    rng = np.random.default_rng(2)
    steps = [np.abs(np.diff(noise.smooth((128, 128), rng, s))).mean() for s in (0.01, 0.05, 0.3)]
    assert steps[0] > 3 * steps[1] > 9 * steps[2]
    field = noise.smooth((128, 128), np.random.default_rng(3), (0.5, 0.02))
    assert np.abs(np.diff(field, axis=1)).mean() > 5 * np.abs(np.diff(field, axis=0)).mean()


def test_the_second_nearest_point_of_cells_is_never_nearer() -> None:
    first, second = noise.cells((90, 70), np.random.default_rng(0), 0.1)
    assert (second >= first).all()
    assert first.max() < 1.5
    assert first.min() < 0.2
