"""Each step's draws follow from its seed, and seeding leaves nothing behind."""

from __future__ import annotations

import torch

from defectbench.rng import derive
from defectbench.stages.training import seed_step


def test_a_step_draws_what_its_seed_says():
    torch.rand(3)
    seed_step(3, 1, 7, 0)
    drawn = torch.randn(5)
    torch.manual_seed(derive(3, "step", 1, 7, 0))
    assert torch.equal(drawn, torch.randn(5))
    seed_step(3, 1, 8, 0)
    assert not torch.equal(drawn, torch.randn(5))


def test_steps_queue_nothing_for_devices_that_are_not_there():
    before = len(torch.cuda._queued_calls)
    for step in range(10):
        seed_step(0, 0, step, 0)
    assert len(torch.cuda._queued_calls) == before
