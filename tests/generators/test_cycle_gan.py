from __future__ import annotations

import io
import math

import pytest
import torch

from defectbench.generators.cycle_gan import CycleGAN, FakePool
from tests.generators.short_training import build, check_trains, millions, train


@pytest.mark.parametrize(("blocks", "expected"), [(6, 7.84), (9, 11.38)])
def test_the_networks_have_the_parameters_of_the_official_code(
    blocks: int, expected: float
) -> None:
    with torch.device("meta"):
        model = CycleGAN(size=128, defects=["a"], products=["p"], blocks=blocks)
    # Biases before instance normalisation, which it undoes, are left out: 0.004 M of a translator.
    assert millions(model.spoil) == pytest.approx(expected, abs=0.011)
    assert millions(model.doubt_defect) == pytest.approx(2.76, abs=0.006)


@pytest.mark.parametrize("adv", ["least_squares", "d2gan"])
def test_every_weight_learns(adv: str) -> None:
    check_trains(build(CycleGAN, adv=adv), steps=2, precision="bf16-mixed")


def test_least_squares_by_hand() -> None:
    model = build(CycleGAN)
    assert model.fool(torch.full((2, 1, 3, 3), 0.25)).item() == pytest.approx(0.75**2)
    told = model.tell(torch.nn.Identity(), torch.full((4,), 0.5), torch.full((4,), 0.2))
    assert told.item() == pytest.approx(0.5 * (0.5**2 + 0.2**2))


def test_two_critics_by_hand() -> None:
    model = build(CycleGAN, adv="d2gan", alpha=0.2, beta=0.1)
    real, fake = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])

    def positive(x: float) -> float:
        return math.log1p(math.exp(x))

    value = 0.2 * math.log(positive(1)) - positive(0.5) - positive(-2) + 0.1 * math.log(positive(3))
    assert model.tell(torch.nn.Identity(), real, fake).item() == pytest.approx(-value)
    assert model.fool(fake).item() == pytest.approx(-positive(0.5) + 0.1 * math.log(positive(3)))
    assert model.doubt_defect(torch.zeros(1, 3, 32, 32)).shape[1] == 2


def test_the_rate_is_constant_and_then_falls_to_zero() -> None:
    rates = []

    class Watched(CycleGAN):
        def training_step(self, batch, step):
            super().training_step(batch, step)
            rates.append(self.turn.optimizer("critics").param_groups[0]["lr"] / self.lr)

    train(build(Watched), 8)
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_the_pool_fills_and_then_gives_older_fakes_half_of_the_time() -> None:
    torch.manual_seed(0)
    pool = FakePool(8, 2)
    numbers = torch.arange(408.0).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    assert torch.equal(pool.swap(numbers[:8]), numbers[:8])
    given = torch.cat([pool.swap(numbers[i : i + 4]) for i in range(8, 408, 4)])[:, 0, 0, 0]
    older = given != torch.arange(8.0, 408.0)
    assert 0.4 < older.float().mean() < 0.6
    assert (given[older] < torch.arange(8.0, 408.0)[older]).all()
    assert len(given.unique()) == len(given)  # what is given out is replaced


def test_the_pool_survives_a_checkpoint() -> None:
    pool, file, fresh = FakePool(4, 2), io.BytesIO(), FakePool(4, 2)
    pool.swap(torch.ones(3, 3, 2, 2))
    torch.save(pool.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert fresh.filled == 3
    assert torch.equal(fresh.images, pool.images)


def test_without_a_pool_fakes_pass() -> None:
    fakes = torch.randn(2, 3, 2, 2)
    assert torch.equal(FakePool(0, 2).swap(fakes), fakes)
