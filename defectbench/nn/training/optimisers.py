"""Optimisers and learning-rate schedules of the downstream tasks; a schedule is a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

OptimiserName = Literal["adamw", "adam", "sgd"]
ScheduleName = Literal["cosine", "step", "constant", "one_cycle"]
ONE_CYCLE_RISE = 0.3  # share of the steps that rise, and the first factor: torch's OneCycleLR
ONE_CYCLE_START = 1 / 25


def make_optimiser(
    name: OptimiserName,
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    slow: Iterable[nn.Parameter] = (),
    slow_rate: float = 1.0,
) -> Optimizer:
    """Build an optimiser by name.

    Args:
        name: "adamw", "adam" or "sgd".
        parameters: what it trains.
        lr: peak learning rate.
        momentum: of SGD; the others keep their betas (0.9, 0.999).
        weight_decay: decoupled for AdamW, an L2 penalty for the others.
        slow: those of `parameters` that learn at `slow_rate` times the learning rate, e.g. a pretrained encoder.
        slow_rate: their factor.

    Raises:
        ValueError: there is no optimiser of that name.
    """
    apart = {id(parameter) for parameter in slow}
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    trained: list[Any] = [parameter for parameter in wanted if id(parameter) not in apart]
    if len(trained) < len(wanted):
        slowly = [parameter for parameter in wanted if id(parameter) in apart]
        trained = [{"params": trained}, {"params": slowly, "lr": slow_rate * lr}]
    if name == "adamw":
        return torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay)
    if name == "adam":
        return torch.optim.Adam(trained, lr=lr, weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)
    raise ValueError(f"no optimiser {name!r}; known: adamw, adam, sgd")


def factor_of(name: ScheduleName, steps: int, warmup: float = 0.0) -> Callable[[int], float]:
    """Give the factor on the learning rate as a function of the finished steps, in (0, 1].

    Args:
        name: "cosine" falls to zero at the end of training, "step" multiplies by 0.2 at 80 % and again at 90 %
            (AnomalyDiffusion's localisation), "constant" stays at 1, "one_cycle" rises along a cosine over the first 30 %
            and falls along one to zero (Smith & Topin 2018, as torch's OneCycleLR; `warmup` is not used).
        steps: steps of the whole training, at least 1.
        warmup: fraction of the steps over which the factor first rises linearly.

    Raises:
        ValueError: there is no schedule of that name, `steps` is below 1 or `warmup` not in [0, 1).
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; want the optimiser steps of the training, 1 or more")
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is {warmup}; want a fraction in [0, 1)")
    rise = round(warmup * steps)
    falls: dict[str, Callable[[float], float]] = {
        "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * min(done, 1.0))),
        "step": lambda done: 0.2 ** ((done >= 0.8) + (done >= 0.9)),
        "constant": lambda done: 1.0,  # noqa: ARG005
    }
    if name == "one_cycle":
        return lambda step: _one_cycle(min(step / steps, 1.0))
    if name not in falls:
        raise ValueError(f"no schedule {name!r}; known: {', '.join((*falls, 'one_cycle'))}")
    fall = falls[name]

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return fall((step - rise) / max(steps - rise, 1))

    return factor


def _one_cycle(done: float) -> float:
    if done < ONE_CYCLE_RISE:
        risen = 0.5 * (1 - math.cos(math.pi * done / ONE_CYCLE_RISE))
        return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * risen
    return 0.5 * (1 + math.cos(math.pi * (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)))


def lightning_optimisers(
    optimiser: Optimizer, schedule: ScheduleName, steps: int, warmup: float = 0.0
) -> dict[str, Any]:
    """Pair an optimiser with its per-step schedule, in the form that `configure_optimizers` returns.

    Raises:
        ValueError: as `factor_of`.
    """
    scheduler = LambdaLR(optimiser, factor_of(schedule, steps, warmup))
    return {
        "optimizer": optimiser,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1},
    }
