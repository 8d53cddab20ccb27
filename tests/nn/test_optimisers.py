"""Optimisers and schedules of the tasks: rates by group and by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from defectbench.nn.training.optimisers import factor_of, make_optimiser


def test_one_cycle_is_torch_s() -> None:
    """Against OneCycleLR with its defaults, whose peak lies a step earlier."""
    steps, peak = 40, 0.1
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([weight], lr=peak)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=peak, total_steps=steps + 1)
    factor = factor_of("one_cycle", steps)
    for step in range(steps):
        ours = peak * factor(step)
        if not step:
            assert ours == pytest.approx(optimiser.param_groups[0]["lr"])
        assert ours == pytest.approx(optimiser.param_groups[0]["lr"], abs=0.13 * peak)
        optimiser.step()
        theirs.step()
    assert factor(steps) == pytest.approx(0, abs=1e-12)
    assert max(map(factor, range(steps))) == pytest.approx(1)


def test_slow_parameters_have_a_group_of_their_own() -> None:
    fast, slow, frozen = (nn.Parameter(torch.zeros(n)) for n in (1, 2, 3))
    frozen.requires_grad_(False)
    made = make_optimiser("sgd", [fast, slow, frozen], lr=0.5, slow=[slow, frozen], slow_rate=0.1)
    groups = [(group["lr"], [p.numel() for p in group["params"]]) for group in made.param_groups]
    assert groups == [(0.5, [1]), (0.05, [2])]
    together = make_optimiser("sgd", [fast, slow], lr=0.5)
    assert len(together.param_groups) == 1


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="one_cycle"):
        factor_of("linear", 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="known: adamw, adam, sgd"):
        make_optimiser("lion", [], lr=1)  # type: ignore[arg-type]
