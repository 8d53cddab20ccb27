"""What a task has measured: columns of NumPy arrays, gathered batch by batch until the scores are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from defectbench.config import UserError


class Measured:
    """Rows gathered by `Task.measure`.

    What was used to choose a threshold never mixes with what is scored by it: rows that have been `used` are dropped as
    soon as further rows come in.
    """

    def __init__(self) -> None:
        self._parts: list[dict[str, npt.NDArray[Any]]] = []
        self._used = False

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, **columns: npt.NDArray[Any]) -> None:
        """Add the rows of one batch; every batch brings the same columns."""
        if self._used:
            self.forget()
        self._parts.append(columns)

    def used(self) -> None:
        """Mark all rows as used for calibration: the next `add` starts afresh."""
        self._used = True

    def gather(self, purpose: str) -> dict[str, npt.NDArray[Any]]:
        """Give every column over all batches.

        Args:
            purpose: what the rows are for, named in the error, e.g. `"choose a threshold"`.

        Raises:
            UserError: nothing was measured.
        """
        if not self._parts:
            raise UserError(f"no image was measured, so one cannot {purpose}; check the split")
        return {
            name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]
        }

    def forget(self) -> None:
        """Drop all rows."""
        self._parts, self._used = [], False


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; the former mode afterwards."""
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(was_training)


def finite(output: Tensor, task: str) -> Tensor:
    """Give `output` in float32 on the CPU.

    Raises:
        UserError: it holds NaN or infinities.
    """
    values = output.detach().float().cpu()
    if not bool(values.isfinite().all()):
        raise UserError(f"the {task} network gives NaN: the training diverged; lower lr")
    return values
