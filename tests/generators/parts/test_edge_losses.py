from __future__ import annotations

import pytest
import torch

from defectbench.generators.parts.edge_losses import (
    edge_alignment,
    edge_variation,
    edges,
    region_consistency,
)


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
