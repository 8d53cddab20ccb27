"""Where work runs: devices and precision. It is in no job's id; the record says what it was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Where a training runs.

    Attributes:
        accelerator: "cpu", "gpu" or "auto".
        devices: how many; more than one means DDP, one process each.
        rank: which of these processes this one is; None before they are started (`stages/distributed.py`).
        precision: Lightning's name; "auto" is bf16-mixed on CUDA and 32-true elsewhere.
        loader_workers: processes that make batches ahead.
    """

    accelerator: str = "auto"
    devices: int = 1
    rank: int | None = None
    precision: str = "auto"
    loader_workers: int = 0

    @property
    def on_cuda(self) -> bool:
        """Whether trainings run on a CUDA device."""
        import torch

        return self.accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available()

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files."""
        return not self.rank

    def resolved_precision(self) -> str:
        """Give the precision that "auto" stands for."""
        if self.precision != "auto":
            return self.precision
        import torch

        return "bf16-mixed" if self.on_cuda and torch.cuda.is_bf16_supported() else "32-true"
