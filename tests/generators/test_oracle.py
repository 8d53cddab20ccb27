from __future__ import annotations

import numpy as np
import pytest
import torch

from defectbench.batch import Request, to_uint8
from defectbench.config import UserError
from defectbench.generators.oracle import Oracle
from defectbench.standin import drawing


def test_it_draws_by_the_process_of_the_stand_in() -> None:
    oracle = Oracle(size=64, defects=["hole", "scratch"], products=["wood"])
    asked = Request(defects=torch.tensor([[1.0, 0.0]]), product=torch.tensor([0]))
    sample = oracle.synthesise(asked, torch.Generator().manual_seed(5))
    seed = int(torch.randint(2**62, (1,), generator=torch.Generator().manual_seed(5)))
    rng = np.random.default_rng(seed)
    image, mask = drawing.add("wood", "hole", drawing.draw("wood", 64, rng), rng)
    assert np.array_equal(to_uint8(sample["image"])[0].permute(1, 2, 0).numpy(), image)
    assert np.array_equal(sample["mask"][0, 0].numpy() > 0, mask)


def test_several_defects_share_one_image_and_none_leaves_it_normal() -> None:
    oracle = Oracle(size=64, defects=["hole", "scratch"], products=["wood"])
    both = Request(defects=torch.tensor([[1.0, 1.0]]), product=torch.tensor([0]))
    one = Request(defects=torch.tensor([[1.0, 0.0]]), product=torch.tensor([0]))
    none = Request(defects=torch.zeros(1, 2), product=torch.tensor([0]))
    masks = [
        oracle.synthesise(asked, torch.Generator().manual_seed(1))["mask"].bool()
        for asked in (both, one, none)
    ]
    assert (masks[0] & masks[1]).sum() == masks[1].sum()
    assert masks[0].sum() > masks[1].sum()
    assert not masks[2].any()


def test_a_product_may_go_by_another_name() -> None:
    for oracle in (
        Oracle(size=32, defects=["Crack"], products=["MTD"]),
        Oracle(size=32, defects=["Crack"], products=["x"], drawn_as={"x": "magnetic_tile"}),
    ):
        assert oracle.drawings == ("magnetic_tile",)


def test_a_product_without_a_drawing_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'spoon' has no drawing"):
        Oracle(size=32, defects=["a"], products=["spoon"])
