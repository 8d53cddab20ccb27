from __future__ import annotations

import pytest
import torch

from defectbench.batch import Request
from defectbench.generators.stylegan3 import StyleGAN3
from tests.generators.short_training import build, check_trains, sample


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_weight_learns(precision: str) -> None:
    check_trains(build(StyleGAN3), steps=2, precision=precision)


def test_gamma_goes_with_the_square_of_the_size() -> None:
    assert build(StyleGAN3, size=128, layers=3).gamma == pytest.approx(0.5)
    assert build(StyleGAN3, size=64, layers=3).gamma == pytest.approx(0.125)


def test_label_and_product_change_the_image() -> None:
    model = build(StyleGAN3)
    one = Request(defects=torch.eye(3)[:1], product=torch.tensor([0]))
    for other in (
        Request(defects=torch.eye(3)[1:2], product=torch.tensor([0])),
        Request(defects=torch.eye(3)[:1], product=torch.tensor([1])),
    ):
        assert not torch.equal(sample(model, one)["image"], sample(model, other)["image"])
