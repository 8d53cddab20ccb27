from __future__ import annotations

import pytest
import torch

from defectbench.nn.edge_losses import edge_alignment, edge_variation, edges, region_consistency
from defectbench.nn.object_masks import object_masks


def step(at: int = 4) -> torch.Tensor:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., at:] = 1
    return mask


def test_a_step_of_height_one_has_edges_of_one() -> None:
    found = edges(step())
    expected = torch.zeros(8)
    expected[3:5] = 1
    assert torch.allclose(found[0, 0], expected.expand(8, 8), atol=1e-5)
    assert torch.allclose(edges(step().mT), found.mT, atol=1e-5)


def test_a_change_with_the_masks_edges_costs_nothing_however_faint() -> None:
    normal, near = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    for height in (0.1, -0.7):
        loss = edge_alignment(normal + height * step(), normal, step(), near)
        assert loss.item() == pytest.approx(0, abs=1e-4)
    # Edges two pixels off: four of eight columns differ by one.
    assert edge_alignment(normal + step(6), normal, step(4), near).item() == pytest.approx(
        0.5, abs=1e-3
    )
    nowhere = edge_alignment(normal + step(6), normal, step(4), near * 0)
    assert nowhere == 0


def test_variation_is_rewarded_up_to_a_bound() -> None:
    assert edge_variation(step(), step()) == 0
    assert edge_variation(step(2), step(6)).item() == pytest.approx(-0.1)
    assert edge_variation(step(2) * 0.1, step(6) * 0.1).item() == pytest.approx(-0.05, abs=1e-4)


def test_only_what_lies_outside_the_region_counts() -> None:
    mask, allowed = torch.tensor([[0.2, 0.9], [0.6, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert region_consistency(mask, allowed).item() == pytest.approx((0.2 + 0.6) / 4)


def test_an_object_on_a_flat_background_is_found_and_its_hole_filled() -> None:
    image = torch.full((2, 3, 32, 32), 0.9)
    image[0, :, 8:24, 6:20] = -0.5
    image[0, :, 14:17, 12:15] = 0.9  # a hole
    image[0, :, 28, 28] = -0.5  # a crumb
    mask = object_masks(image)
    expected = torch.zeros(32, 32)
    expected[8:24, 6:20] = 1
    assert torch.equal(mask[0, 0], expected)
    assert mask[1].all()  # nothing stands out: all of it is the object
