"""Where jobs run: in this process, in worker processes of this machine, or in allocations of Slurm.

May use: `stages`, `store`, `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.config import UserError


def make_executor(
    on: str,
    workers: int,
    machine: Mapping[str, Any],
    cluster: str = "",
    max_allocations: int = 0,
) -> Any:
    """Build the executor that `--on` names.

    Args:
        on: `inline`, `local` or `slurm`.
        workers: worker processes of `local`; 0 for one per GPU or core.
        machine: `accelerator` and `devices` of the jobs.
        cluster: profile of `slurm`, by name or file.
        max_allocations: of `slurm`; 0 for the profile's number.

    Raises:
        UserError: there is no such executor, or no such profile.
    """
    if on != "slurm" and (cluster or max_allocations):
        raise UserError(
            f"--cluster and --max-allocations: used by --on slurm only, not by --on {on}"
        )
    if on == "inline":
        from defectbench.executors.inline import Inline

        return Inline()
    if on == "local":
        from defectbench.executors.local import Local, cuda_devices

        gpus = () if machine["accelerator"] == "cpu" else cuda_devices()
        return Local(workers, gpus, machine["devices"])
    if on == "slurm":
        from defectbench.executors.profiles import load_profile
        from defectbench.executors.slurm import Slurm

        if not cluster:
            raise UserError(
                "--on slurm: --cluster is missing; expected a profile: cpu, gpu, or a YAML file of your own"
            )
        return Slurm(load_profile(cluster), max_allocations)
    raise UserError(f"--on {on}: expected inline, local or slurm")
