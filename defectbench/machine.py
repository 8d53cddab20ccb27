"""Where work runs: devices, precision, and the cores that worker processes may use.

None of it is in a job's id; the record says what it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defectbench.config import UserError

ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
SLURM_SHARE = "SLURM_CPUS_PER_TASK"


@dataclass(frozen=True)
class Machine:
    """Where a training runs. It is in no job's id; the record says what it was.

    Attributes:
        accelerator: "cpu"; "gpu" (a CUDA device, also "cuda"); or "auto": CUDA where there is such a device.
        devices: how many, on all nodes together; more than one means DDP, one process each.
        nodes: over how many machines they are spread, the same number on each.
        rank: which of these processes this one is; None before they are started (`stages/ranks/distributed.py`).
        precision: Lightning's name; "auto" is bf16-mixed on CUDA and 32-true elsewhere.
        loader_workers: processes that make batches ahead.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    rank: int | None = None
    precision: str = "auto"
    loader_workers: int = 0

    def __post_init__(self) -> None:
        """Refuse an accelerator that nobody knows."""
        check_accelerator(self.accelerator)

    @property
    def on_cuda(self) -> bool:
        """Whether trainings run on a CUDA device.

        Raises:
            UserError: one was asked for and there is none.
        """
        return uses_cuda(self.accelerator)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files."""
        return not self.rank

    def resolved_precision(self) -> str:
        """Give the precision that "auto" stands for."""
        import torch

        if self.precision != "auto":
            return self.precision
        return "bf16-mixed" if self.on_cuda and torch.cuda.is_bf16_supported() else "32-true"


def check_accelerator(name: str) -> None:
    """Refuse a kind of device that trainings cannot use; imports no torch.

    Raises:
        UserError: the name is none of `ACCELERATORS`.
    """
    if name not in ACCELERATORS:
        raise UserError(
            f"--accelerator {name}: unknown; expected auto, cpu or gpu (a CUDA device, also called cuda)"
        )


def uses_cuda(accelerator: str) -> bool:
    """Say whether trainings run on a CUDA device.

    Args:
        accelerator: "cpu"; "gpu" or "cuda"; or "auto": CUDA if there is such a device, else the CPU.

    Raises:
        UserError: a CUDA device was asked for, and torch finds none; with torch's own reason.
    """
    check_accelerator(accelerator)
    if accelerator == "cpu":
        return False
    import torch

    if torch.cuda.is_available():
        return True
    if accelerator == "auto":
        return False
    raise UserError(
        f"--accelerator {accelerator}: no CUDA device can be used ({_why_no_cuda()}); "
        "expected a machine with one; take --accelerator cpu, or auto"
    )


def _why_no_cuda() -> str:
    """Say in torch's words why there is no CUDA device."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"torch {torch.__version__}: {' '.join(str(error).split())}"
    return f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices"


def told_device(machine: Mapping[str, Any]) -> str:
    """Say in one line where trainings run.

    Args:
        machine: keyword arguments of `Machine`.

    Raises:
        UserError: see `uses_cuda`.
    """
    accelerator = str(machine.get("accelerator", "auto"))
    if uses_cuda(accelerator):
        import torch

        count = torch.cuda.device_count()
        return f"training on CUDA: torch sees {count} device{'s' if count != 1 else ''}"
    if accelerator == "auto":
        return "training on the CPU: torch sees no CUDA device"
    return "training on the CPU"


def cores() -> tuple[int, str]:
    """Count the cores that this process may use: the least of its affinity, its cgroups' quotas and Slurm's share.

    Returns:
        the number, at least 1, and what it follows from, in words.
    """
    found = [(_affinity(), "the process's CPU affinity")]
    quota = _quota()
    if quota is not None:
        found.append((quota, "the CPU quota of the container"))
    share = os.environ.get(SLURM_SHARE, "")
    if share.isdigit() and int(share):
        found.append((int(share), SLURM_SHARE))
    return min(found, key=lambda pair: pair[0])


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _quota() -> int | None:
    """Read the least CPU quota of this process's control groups and those above them, in whole cores; None: no quota."""
    quotas: list[float] = []
    with suppress(OSError, ValueError):
        for line in OWN_CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = CGROUPS / controllers if controllers else CGROUPS
            if controllers and not root.is_dir():
                root = CGROUPS / "cpu"
            place = root / path.lstrip("/")
            for folder in (place, *place.parents):
                quotas += _quota_in(folder)
                if folder == root:
                    break
    return max(1, int(min(quotas))) if quotas else None


def _quota_in(folder: Path) -> list[float]:
    """Read the quota of one control group, version 2 or 1."""
    with suppress(OSError, ValueError):
        limit, period = (folder / "cpu.max").read_text().split()
        return [] if limit == "max" else [int(limit) / int(period)]
    with suppress(OSError, ValueError):
        micro = int((folder / "cpu.cfs_quota_us").read_text())
        return [micro / int((folder / "cpu.cfs_period_us").read_text())] if micro > 0 else []
    return []
