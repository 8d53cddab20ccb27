"""A bare training loop for the task tests: the optimiser and schedule of the task, batches by step-seeded draws."""

from __future__ import annotations

import torch
from torch import Tensor

from defectbench.batch import Batch, index_batch
from defectbench.tasks.base import Task


def train(task: Task, data: Batch, *, batch: int = 8, seed: int = 0) -> list[float]:
    """Train for `task.steps` steps as the benchmark's loop does; give the losses."""
    given = task.configure_optimizers()
    optimiser, scheduler = given["optimizer"], given["lr_scheduler"]["scheduler"]
    losses = []
    task.train()
    for step in range(task.steps):
        torch.manual_seed(1000 * seed + step)
        rows = torch.randint(len(data["image"]), (batch,))
        loss: Tensor = task.training_step(index_batch(data, rows), step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        scheduler.step()
        task.clock.tick(batch)
        losses.append(float(loss.detach()))
    task.eval()
    return losses
