from __future__ import annotations

import pytest

from defectbench.generators.stylegan3 import StyleGAN3
from tests.generators.short_training import build, check_trains


@pytest.mark.slow
def test_every_weight_learns() -> None:
    check_trains(build(StyleGAN3), steps=2, precision="bf16-mixed")


def test_gamma_goes_with_the_square_of_the_size() -> None:
    assert build(StyleGAN3, size=128, layers=3).gamma == pytest.approx(0.5)
    assert build(StyleGAN3, size=64, layers=3).gamma == pytest.approx(0.125)
