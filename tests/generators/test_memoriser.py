from __future__ import annotations

import torch

from defectbench.batch import Batch, Request
from defectbench.generators.memoriser import Memoriser


def observed() -> tuple[Memoriser, Batch]:
    rng = torch.Generator().manual_seed(3)
    batch = Batch(
        image=torch.randint(256, (8, 3, 16, 16), generator=rng) / 127.5 - 1,
        mask=(torch.rand(8, 1, 16, 16, generator=rng) > 0.7).float(),
        defects=torch.eye(2)[torch.arange(8) % 2],
        product=torch.arange(8) // 4,
        synthetic=torch.zeros(8, dtype=torch.bool),
    )
    memoriser = Memoriser(size=16, defects=["a", "b"], products=["p", "q"])
    memoriser.observe(batch, batch)
    return memoriser, batch


def test_every_sample_is_a_training_image_of_the_asked_label_with_its_own_mask() -> None:
    memoriser, batch = observed()
    asked = Request(defects=torch.eye(2)[torch.arange(32) % 2], product=torch.arange(32) // 2 % 2)
    sample = memoriser.synthesise(asked, torch.Generator().manual_seed(0))
    used = set()
    for image, mask, label, product in zip(
        sample["image"], sample["mask"], asked["defects"], asked["product"], strict=True
    ):
        same = (batch["image"] - image).abs().flatten(1).amax(1) < 1e-6
        (row,) = same.nonzero().flatten().tolist()
        used.add(row)
        assert torch.equal(batch["mask"][row], mask)
        assert torch.equal(batch["defects"][row], label)
        assert batch["product"][row] == product
    assert len(used) > 5  # replays all of its training set, not one favourite
    assert memoriser.stages(1000) == ()
