"""Do jobs in allocations of Slurm: an array of workers that pull from the store until nothing is left for them.

An allocation has no jobs of its own, so a lost one costs what its running jobs had done since their last checkpoints, and
the others do its share. `sbatch`, `squeue` and `scancel` are called as they are: no accounting is needed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.executors.base import Board
from defectbench.executors.order import Frontier, waiting
from defectbench.executors.profiles import Profile
from defectbench.files import write_text
from defectbench.plan.job import Job
from defectbench.stages.context import Context
from defectbench.stages.ranks.nodes import NODES
from defectbench.store.sweeps import Sweep, check_goes_on, read_sweep

SCRIPT = "allocation.sh"
POLL_SECONDS = 2.0
ASK_SECONDS = 20.0
"""Seconds between two looks at the store, and between two questions to Slurm, while a user waits."""


@dataclass(frozen=True)
class Allocation:
    """An allocation of a sweep that is pending or running.

    Attributes:
        id: e.g. `17_2`.
        state: as Slurm has it, e.g. PENDING.
        reason: why it is pending, or its nodes.
    """

    id: str
    state: str
    reason: str


@dataclass(frozen=True)
class Submitted:
    """What was submitted.

    Attributes:
        sweep: the sweep.
        jobs: how many of its jobs have not ended.
        slurm_job: id of the array; "" if nothing was submitted.
        added: allocations that were submitted now.
        alive: allocations of this sweep that were pending or running already.
    """

    sweep: Sweep
    jobs: int
    slurm_job: str
    added: int
    alive: int


def job_name(sweep: Sweep) -> str:
    """Name the allocations of a sweep, by which Slurm is asked for them."""
    return f"defectbench-{sweep.id}"


def call(command: Sequence[str]) -> str:
    """Call a program of Slurm's.

    Returns:
        what it printed.

    Raises:
        UserError: it is not on this machine, does not answer, or refuses.
    """
    if shutil.which(command[0]) is None:
        raise UserError(
            f"--on slurm: no {command[0]} on this machine; expected a login or submit node of a Slurm cluster; without "
            "Slurm give the same command with --on local on every machine"
        )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{command[0]}: no answer within two minutes; see whether slurmctld runs (scontrol ping)"
        ) from None
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).split())
        raise UserError(
            f"{shlex.join(command[:1])}: {why}; mend the profile or ask the cluster's staff"
        )
    return done.stdout


def allocations(sweep: Sweep) -> list[Allocation]:
    """Ask Slurm for the allocations of a sweep that are pending or running.

    Raises:
        UserError: it does not answer.
    """
    told = call(
        ["squeue", "--noheader", "--array", f"--name={job_name(sweep)}", "--format=%i|%T|%R"]
    )
    rows = [line.strip().split("|", 2) for line in told.splitlines() if line.strip()]
    return [Allocation(*row) for row in rows if row[1] not in {"COMPLETING", "COMPLETED"}]


def submitted_before(sweep: Sweep) -> bool:
    """Say whether a sweep was ever submitted to Slurm."""
    return (sweep.folder / SCRIPT).exists()


def cancel_allocations(sweep: Sweep) -> int:
    """End the allocations of a sweep.

    Returns:
        how many there were.
    """
    if not submitted_before(sweep):
        return 0
    there = allocations(sweep)
    if there:
        call(["scancel", f"--name={job_name(sweep)}"])
    return len(there)


def requeue() -> str:
    """Put the allocation that this process runs in back into the queue, unless it is being ended for good.

    Slurm sends the same signals at a pre-emption, at a time limit and at `scancel`; only in the last case does it count the
    allocation as cancelled already.

    Returns:
        why it was not requeued; "" if it was.
    """
    number = os.environ.get("SLURM_JOB_ID", "")
    try:
        state = call(["squeue", "--noheader", f"--jobs={number}", "--format=%T"]).strip()
        if state != "RUNNING":
            return f"its state is {state or 'ended'}"
        call(["scontrol", "requeue", number])
    except UserError as error:
        return str(error)
    return ""


def script(sweep: Sweep, profile: Profile) -> str:
    """Write the batch script of the allocations."""
    worker = [
        *shlex.split(profile.container),
        profile.python or sys.executable,
        *("-m", "defectbench", "worker", str(sweep.path)),
        f"--workers={profile.workers}",
        f"--idle-minutes={profile.idle_minutes:g}",
    ]
    log = shlex.quote(str(sweep.folder / "logs"))
    lines = [
        "#!/bin/bash",
        "# Written by `defectbench run --on slurm`; the next submission of this sweep writes it anew.",
        'export DEFECTBENCH_ALLOCATION="${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}_${SLURM_ARRAY_TASK_ID:-0}"',
        f'export DEFECTBENCH_WORKER_LOG={log}/"$DEFECTBENCH_ALLOCATION.log"',
        *profile.setup,
        f"export {NODES}={profile.nodes}",
        f"exec srun --nodes=1 --relative=0 --ntasks=1 --ntasks-per-node=1 --cpus-per-task={profile.cpus} {shlex.join(worker)}",
    ]
    return "\n".join(lines) + "\n"


def widest(jobs: Mapping[str, Job]) -> int:
    """Say how many workers could be at work at once: the jobs of the stage that has most."""
    counts: dict[str, int] = {}
    for job in jobs.values():
        counts[job.stage] = counts.get(job.stage, 0) + 1
    return max(counts.values(), default=0)


class Slurm:
    """Allocations that pull jobs.

    Args:
        profile: what is asked for.
        max_allocations: at most so many; 0 for the profile's number.
    """

    elsewhere = True

    def __init__(self, profile: Profile, max_allocations: int = 0) -> None:
        """Keep the profile; nothing is submitted yet."""
        self.profile = profile
        self.most = max_allocations or profile.max_allocations
        self.about = f"Slurm: allocations of {profile.told()}, at most {self.most}"

    def submit(self, sweep: Sweep, todo: Mapping[str, Job]) -> Submitted:
        """Submit as many allocations as the sweep lacks.

        Args:
            sweep: its file is written.
            todo: jobs that have not ended.

        Raises:
            UserError: Slurm refuses or does not answer.
        """
        from filelock import FileLock

        devices, nodes = int(sweep.asked.machine["devices"]), self.profile.nodes
        if devices % nodes:
            raise UserError(
                f"--devices {devices}: the profile's allocations have {nodes} nodes; expected a multiple of {nodes}"
            )
        (sweep.folder / "logs").mkdir(parents=True, exist_ok=True)
        with FileLock(str(sweep.folder / ".submit.lock")):
            alive = len(allocations(sweep))
            each = self.profile.workers or max(self.profile.gpus or self.profile.cpus, 1)
            lacking = max(min(-(-widest(todo) // each), self.most) - alive, 0)
            if not lacking:
                return Submitted(sweep, len(todo), "", 0, alive)
            path = sweep.folder / SCRIPT
            write_text(path, script(sweep, self.profile))
            log = str(sweep.folder / "logs" / "%A_%a.log").replace("\\", "\\\\")
            command = [
                *("sbatch", "--parsable", f"--job-name={job_name(sweep)}"),
                f"--array=0-{lacking - 1}",
                *("--requeue", "--open-mode=append"),
                f"--signal=USR2@{self.profile.warning_seconds}",
                f"--output={log}",
                *self.profile.options(),
                str(path),
            ]
            told = call(command)
        return Submitted(sweep, len(todo), told.strip().partition(";")[0], lacking, alive)

    def run(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        """Submit, and wait until every job has ended; a user who stops waiting leaves the sweep running.

        Raises:
            UserError: nothing works on the sweep any more, and jobs are left.
        """
        if not jobs or context.sweep is None:
            return
        sweep = read_sweep(context.sweep)
        self.submit(sweep, jobs)
        watch(sweep, jobs, context, board)

    def close(self) -> None:
        """Do nothing: allocations end by themselves."""


def watch(sweep: Sweep, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
    """Tell a board what becomes of jobs that workers elsewhere do, until every one has ended.

    Raises:
        UserError: the sweep was cancelled, or no allocation is left and jobs are.
    """
    frontier = Frontier(jobs, context, board)
    shown: set[str] = set()
    asked = time.monotonic()
    while frontier.left:
        check_goes_on(sweep.path)
        frontier.look_around()
        for key in frontier.running():
            if key not in shown:
                shown.add(key)
                board.started(jobs[key])
            lease = context.store.lease(key) or {}
            if "of" in lease:
                board.progressed(jobs[key], int(lease["done"]), int(lease["of"]))
        if not frontier.left:
            return
        if time.monotonic() - asked > ASK_SECONDS:
            asked = time.monotonic()
            for _ in frontier.ready():  # looks at every job that may have begun
                pass
            alive = _goes_on(sweep)  # asked first: the last one may end in between
            left = waiting(sweep.jobs, context.store)
            if not left:
                return  # fits of which every sample has failed stay undone
            if not alive:
                raise UserError(
                    f"sweep {sweep.id}: no allocation is left and {len(left)} jobs have not ended; see "
                    f"{sweep.folder / 'logs'}; run the same command again to go on"
                )
        time.sleep(POLL_SECONDS)


def _goes_on(sweep: Sweep) -> bool:
    try:
        return bool(allocations(sweep))
    except UserError:
        return True  # slurmctld is away; allocations run without it


def told_allocations(sweep: Sweep) -> list[dict[str, Any]]:
    """Give the allocations as plain values; none for a sweep that was not submitted, or where Slurm is not there."""
    if not submitted_before(sweep) or shutil.which("squeue") is None:
        return []
    try:
        return [{"id": a.id, "state": a.state, "reason": a.reason} for a in allocations(sweep)]
    except UserError as error:
        return [{"id": "", "state": "UNKNOWN", "reason": str(error)}]


def log_of(allocation: str, sweep: Sweep) -> Path:
    """Give the log of an allocation."""
    return sweep.folder / "logs" / f"{allocation}.log"
