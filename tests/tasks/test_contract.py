"""The contract of every task, at its tiny arguments; a new file in tasks/ is tested by being there."""

from __future__ import annotations

import pytest
import torch

from defectbench import names
from defectbench.config import UserError
from defectbench.tasks.base import Task
from tests.tasks.shapes import DEFECTS, shapes
from tests.tasks.training import train

TASKS = sorted(names.entries("tasks"))
BY_STEPS = [name for name in TASKS if names.find("tasks", name).load().by_steps]


def build(name: str) -> Task:
    cls = names.find("tasks", name).load()
    torch.manual_seed(0)
    task: Task = cls(size=32, defects=DEFECTS, products=("p",), steps=3, **cls.tiny)
    return task


@pytest.mark.parametrize("name", BY_STEPS)
def test_training_is_a_function_of_the_seeds(name: str) -> None:
    data = shapes(16, 32, seed=0)
    first, second = build(name), build(name)
    assert train(first, data) == train(second, data)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", BY_STEPS)
def test_the_loss_is_float32_under_autocast(name: str) -> None:
    data = shapes(4, 32, seed=0)
    data["synthetic"] = torch.arange(4) % 2 == 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = build(name).loss(data)
    assert value.dtype == torch.float32
    value.backward()


@pytest.mark.parametrize("name", TASKS)
def test_a_single_image_is_measured_scored_once_and_forgotten(name: str) -> None:
    task = build(name)
    if not task.by_steps:
        task.learn(iter([shapes(4, 32, seed=1, share=0.0)]), 0)
    with pytest.raises(UserError, match="no image was measured"):
        task.scores()
    task.measure(shapes(1, 32, seed=0, share=1.0))
    assert task.scores().keys() == task.better.keys()
    with pytest.raises(UserError, match="no image was measured"):
        task.scores()
