"""Where jobs run: in this process, or in worker processes of this machine.

May use: `stages`, `store`, `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.config import UserError


def make_executor(on: str, workers: int, machine: Mapping[str, Any]) -> Any:
    """Build the executor that `--on` names.

    Args:
        on: `inline` or `local`.
        workers: worker processes of `local`; 0 for one per GPU or core.
        machine: `accelerator` and `devices` of the jobs.

    Raises:
        UserError: there is no such executor.
    """
    if on == "inline":
        from defectbench.executors.inline import Inline

        return Inline()
    if on == "local":
        from defectbench.executors.local import Local, cuda_devices

        gpus = () if machine["accelerator"] == "cpu" else cuda_devices()
        return Local(workers, gpus, machine["devices"])
    raise UserError(f"--on {on}: expected inline or local")
