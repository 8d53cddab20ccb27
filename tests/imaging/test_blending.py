from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from defectbench.imaging.blending import (
    alpha_blend,
    distance_weights,
    improved_poisson_blend,
    mixed_poisson_blend,
    poisson_blend,
    refine_mask,
)

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
BLENDS = [alpha_blend, poisson_blend, mixed_poisson_blend, improved_poisson_blend]


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - side / 2, x - side / 2) < radius


def texture(seed: int, side: int, mean: float, spread: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(mean, spread, size=(side, side, 3))
    return noise.clip(0, 255).astype(np.uint8)


def test_weights_rise_linearly_from_the_edge_of_a_bar() -> None:
    mask = np.zeros((20, 40), dtype=bool)
    mask[3:17] = True
    profile = distance_weights(mask, boundary=5)[:, 20]
    expected = [0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1]
    np.testing.assert_allclose(profile, expected + expected[::-1])


def test_alpha_blend_is_equation_8() -> None:
    defect, normal, mask = texture(0, 32, 60, 20), texture(1, 32, 170, 20), disc(32, 11)
    weights = distance_weights(mask)[..., None]
    exact = weights * defect + (1 - weights) * normal
    assert np.abs(alpha_blend(defect, normal, mask) - exact).max() <= 0.5


@pytest.mark.parametrize("blend", BLENDS)
def test_nothing_changes_outside_the_mask(blend: Blend) -> None:
    defect, normal, mask = texture(0, 48, 60, 20), texture(1, 48, 170, 20), disc(48, 15)
    blended = blend(defect, normal, mask)
    assert blended.dtype == np.uint8
    np.testing.assert_array_equal(blended[~mask], normal[~mask])
    assert (blended[mask] != normal[mask]).any()


@pytest.mark.parametrize("blend", BLENDS)
def test_the_defect_is_read_inside_the_mask_only(blend: Blend) -> None:
    defect, normal, mask = texture(0, 48, 60, 20), texture(1, 48, 170, 20), disc(48, 15)
    elsewhere = np.where(mask[..., None], defect, 255).astype(np.uint8)
    np.testing.assert_array_equal(blend(defect, normal, mask), blend(elsewhere, normal, mask))


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("mask", [np.zeros((24, 24), bool), np.ones((24, 24), bool)])
def test_empty_and_full_masks_are_blended(blend: Blend, mask: np.ndarray) -> None:
    defect, normal = texture(0, 24, 60, 20), texture(1, 24, 170, 20)
    blended = blend(defect, normal, mask)
    assert np.array_equal(blended, normal) == (not mask.any())


def test_poisson_blending_removes_a_constant_offset() -> None:
    normal, mask = texture(1, 64, 150, 15), disc(64, 22)
    defect = np.where(mask[..., None], normal.astype(int) - 40, 0).astype(np.uint8)
    blended = poisson_blend(defect, normal, mask)
    assert np.abs(blended.astype(int) - normal).max() <= 1


def test_poisson_blending_keeps_the_gradients_of_the_defect() -> None:
    normal = np.full((64, 64, 3), 120, dtype=np.uint8)
    mask = disc(64, 24)
    defect = np.full((64, 64, 3), 30, dtype=np.uint8)
    defect[31:33, 31:33] = 90
    blended = poisson_blend(defect, normal, mask).astype(int)
    assert abs(blended[32, 32, 0] - blended[32, 36, 0] - 60) <= 1


def test_mixed_blending_keeps_the_texture_that_plain_blending_covers() -> None:
    normal, mask = texture(1, 64, 150, 15), disc(64, 22)
    smooth = np.full((64, 64, 3), 80, dtype=np.uint8)
    core = disc(64, 14)
    assert poisson_blend(smooth, normal, mask)[core].std() < 8
    np.testing.assert_allclose(
        mixed_poisson_blend(smooth, normal, mask).astype(int), normal, atol=1
    )


def test_improved_blending_retains_the_content_that_plain_poisson_loses() -> None:
    """Figure 3 of Wei et al. 2023: a dark defect on a bright normal image."""
    defect, normal, mask = texture(0, 96, 60, 8), texture(1, 96, 170, 8), disc(96, 30)
    core = disc(96, 15)
    tone = [
        image[core].mean()
        for image in (
            poisson_blend(defect, normal, mask),
            improved_poisson_blend(defect, normal, mask),
        )
    ]
    contrast = normal[core].mean() - defect[core].mean()
    assert abs(normal[core].mean() - tone[0]) < 0.2 * contrast
    assert 0.6 * contrast < normal[core].mean() - tone[1] < 0.99 * contrast


def test_improved_blending_keeps_the_gradients_of_the_defect() -> None:
    defect, normal, mask = texture(0, 96, 90, 12), texture(1, 96, 150, 2), disc(96, 30)
    core = disc(96, 20)
    shift = improved_poisson_blend(defect, normal, mask).astype(int) - defect
    assert shift[core].std() < 3 < defect[core].std()


def test_improved_blending_leaves_no_step_at_the_edge() -> None:
    defect = np.full((64, 64, 3), 50, dtype=np.uint8)
    normal = np.full((64, 64, 3), 200, dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    profile = improved_poisson_blend(defect, normal, mask)[32, :, 0].astype(int)
    assert np.abs(np.diff(profile)).max() <= 150 / 5 + 1
    assert profile[32] < 90


def test_edge_weight_runs_from_near_plain_poisson_to_alpha() -> None:
    defect, normal, mask = texture(0, 64, 60, 8), texture(1, 64, 170, 8), disc(64, 22)
    np.testing.assert_array_equal(
        improved_poisson_blend(defect, normal, mask, edge_weight=1.0),
        alpha_blend(defect, normal, mask),
    )
    core = disc(64, 10)
    means = [
        improved_poisson_blend(defect, normal, mask, edge_weight=weight)[core].mean()
        for weight in (0.0, 0.3, 0.6, 0.9)
    ]
    assert means == sorted(means, reverse=True)


def test_a_defect_that_leaves_the_image_is_not_cut_at_its_border() -> None:
    defect, normal = texture(0, 48, 60, 5), texture(1, 48, 170, 5)
    mask = np.zeros((48, 48), dtype=bool)
    mask[14:34, :30] = True
    blended = improved_poisson_blend(defect, normal, mask)
    assert blended[20:28, 0].mean() < 90


def test_refined_mask_holds_what_changed_visibly() -> None:
    normal, mask = texture(1, 64, 150, 5), disc(64, 20)
    blended = normal.copy()
    strong = disc(64, 12)
    blended[mask] += 4
    blended[strong, 2] += 30
    np.testing.assert_array_equal(refine_mask(blended, normal, mask) ^ strong, False)
    assert not refine_mask(blended, normal, mask, tau=40).any()


def test_refined_mask_ignores_changes_far_from_the_mask() -> None:
    normal = np.full((40, 40, 3), 100, dtype=np.uint8)
    blended = normal + np.uint8(50)
    mask = disc(40, 8)
    refined = refine_mask(blended, normal, mask)
    assert refined[mask].all()
    assert refined.sum() < 1.4 * mask.sum()


def test_errors_name_what_was_given() -> None:
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool)
    with pytest.raises(ValueError, match="float64"):
        poisson_blend(image.astype(float), image, mask)
    with pytest.raises(ValueError, match=r"\(8, 9, 3\)"):
        alpha_blend(image, np.zeros((8, 9, 3), np.uint8), mask)
    with pytest.raises(ValueError, match="uint8"):
        alpha_blend(image, image, mask.astype(np.uint8))
    with pytest.raises(ValueError, match="boundary"):
        alpha_blend(image, image, mask, boundary=0)
    with pytest.raises(ValueError, match="edge_weight"):
        improved_poisson_blend(image, image, mask, edge_weight=1.5)


def test_a_small_defect_blends_the_same_in_a_small_and_a_large_image() -> None:
    defect, normal, mask = texture(0, 96, 60, 8), texture(1, 96, 170, 8), disc(96, 12)
    part = slice(30, 66), slice(30, 66)
    for blend in BLENDS:
        np.testing.assert_array_equal(
            blend(defect, normal, mask)[part], blend(defect[part], normal[part], mask[part])
        )
