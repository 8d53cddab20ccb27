"""Masks that suit an object."""

import torch

from defectbench.generators.parts.mask_maker import MaskMaker, fit_masks, straight_through
from tests.generators.short_training import draw_batch


def test_the_hard_mask_passes_the_gradient_of_the_soft_one():
    logits = torch.tensor([-0.2, -0.01, 0.05, 0.3], requires_grad=True)
    mask = straight_through(logits)
    assert mask.tolist() == [0, 0, 1, 1]
    mask.sum().backward()
    soft = torch.sigmoid(10 * logits.detach())
    assert torch.allclose(logits.grad, 10 * soft * (1 - soft))


def test_masks_are_drawn_again_until_they_are_fit():
    def maker(image: torch.Tensor, z: torch.Tensor, label: object) -> torch.Tensor:
        """A square whose side is z in pixels."""
        place = torch.arange(8.0)
        inside = (place < z[:, :1])[:, None, :, None] & (place < z[:, :1])[:, None, None]
        return inside.float() - 0.5

    draws = [torch.tensor([[0.0], [3.0], [8.0]]), torch.tensor([[2.0], [5.0], [7.0]])]
    mask, fit = fit_masks(maker, torch.zeros(3, 3, 8, 8), draws, None, 8)
    assert mask.sum((1, 2, 3)).tolist() == [4, 9, 49]
    assert fit.tolist() == [True, True, False]


def test_the_mask_maker_looks_at_the_object():
    torch.manual_seed(0)
    maker = MaskMaker(size=32, latents=8, labels=0, base=256, most=16)
    z, objects = torch.randn(1, 8).expand(2, -1), draw_batch(2, defective=False)["image"]
    one, other = maker(objects, z)
    assert one.shape == (1, 32, 32)
    assert not torch.allclose(one, other)
