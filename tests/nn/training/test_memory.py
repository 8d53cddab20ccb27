from __future__ import annotations

import io

import pytest
import torch

from defectbench.batch import Batch
from defectbench.nn.training.memory import ImageMemory


def batch(n: int = 6) -> Batch:
    rng = torch.Generator().manual_seed(1)
    levels = torch.randint(256, (n, 3, 8, 8), generator=rng).float() / 127.5 - 1
    return Batch(
        image=levels,
        mask=(torch.rand(n, 1, 8, 8, generator=rng) > 0.5).float(),
        defects=torch.eye(3)[torch.arange(n) % 3],
        product=torch.arange(n) // 3,
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


def test_what_is_remembered_is_given_back_exactly() -> None:
    memory, given = ImageMemory(size=8, defects=3), batch()
    memory.keep(given)
    found = memory.rows(torch.tensor([4, 0]))
    for key in ("image", "mask", "defects", "product"):
        assert torch.allclose(found[key], given[key][[4, 0]], atol=1e-6), key


def test_a_fresh_memory_grows_when_it_loads_a_checkpoint_safely() -> None:
    memory, file = ImageMemory(size=8, defects=3), io.BytesIO()
    memory.keep(batch())
    torch.save(memory.state_dict(), file)
    file.seek(0)
    fresh = ImageMemory(size=8, defects=3)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert len(fresh) == 6
    assert torch.equal(fresh.image, memory.image)
    assert torch.equal(fresh.mask, memory.mask)


def test_the_label_comes_first_and_then_the_product() -> None:
    memory = ImageMemory(size=8, defects=3)
    memory.keep(batch())
    labels = torch.eye(3)[[0, 1, 2, 2]]
    product = torch.tensor([1, 0, 1, 7])  # no image shows product 7
    drawn = torch.stack(
        [memory.choose(labels, product, torch.Generator().manual_seed(s)) for s in range(20)]
    )
    assert (drawn[:, :3] == torch.tensor([3, 1, 5])).all()
    assert set(drawn[:, 3].tolist()) == {2, 5}


def test_interpolated_labels_take_the_nearest() -> None:
    memory = ImageMemory(size=8, defects=3)
    memory.keep(batch())
    rows = memory.choose(
        torch.tensor([[0.2, 0.8, 0.0]]), torch.tensor([0]), torch.Generator().manual_seed(0)
    )
    assert rows.tolist() == [1]


def test_an_empty_memory_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"observe\(\)"):
        ImageMemory(size=8, defects=3).choose(
            torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64), torch.Generator()
        )
