"""What every stage is given besides its job, and how it says that it cannot give a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defectbench.config import CannotWrite
from defectbench.store.jobs import Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Context:
    """What a job may use besides its spec; none of it changes a result.

    Attributes:
        store: where results lie.
        data_root: folder that holds the real datasets.
        machine: devices and precision, as keyword arguments of `training.Machine`.
        tensorboard: whether fits also write TensorBoard files.
        progress: called with (done, of).
        foreign: folders of images that another program made, by digest.
        sweep: file of the sweep that the job belongs to, see `store/sweeps.py`; None outside one.
    """

    store: Store
    data_root: Path | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    progress: Progress | None = None
    foreign: Mapping[str, Path] = field(default_factory=dict)
    sweep: Path | None = None


class JobFailed(Exception):
    """A job cannot give a result, for a reason that another try would meet again."""


def disk_error(error: OSError, folder: Path) -> CannotWrite:
    """Say what a failing disk means for the run."""
    return CannotWrite(
        f"{error.filename or folder}: {error.strerror or error}; free space or mend rights and run again: "
        "finished jobs are kept and the running one goes on from its last checkpoint"
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Fix the number of CPU threads: sums are added in an order that depends on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ending(failure: Mapping[str, Any] | None) -> tuple[str, str]:
    """Say how a job has ended, in the words that its cells in the CSV use, and why.

    Args:
        failure: what `Store.failure` gives.

    Returns:
        "done", "failed", or "undefined" where what was asked for does not exist; and the reason.
    """
    if failure is None:
        return "done", ""
    return "undefined" if failure.get("undefined") else "failed", str(failure["reason"])
