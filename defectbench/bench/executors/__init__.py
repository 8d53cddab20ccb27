"""Ways to get jobs done: in this process, or by worker processes of this machine.

An executor does every job once its parents are done, and tells a board what happens. A job whose parent failed is
blocked; all others complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from defectbench.bench.job import Job
from defectbench.bench.stages import Context


class Board(Protocol):
    """Who is told what happens to jobs."""

    def started(self, job: Job) -> None:
        """A job began."""

    def progressed(self, job: Job, done: int, total: int) -> None:
        """A running job came this far."""

    def ended(self, job: Job, state: str, reason: str = "") -> None:
        """A job is done, failed, or blocked by a failed parent."""


class Executor(Protocol):
    """Does jobs."""

    def run(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        """Do all `jobs` (parents first in the mapping); those already done are passed over.

        Raises:
            UserError: no job can go on, e.g. the disk is full.
        """


def blocked_by(job: Job, context: Context) -> str:
    """Say which failed ancestor keeps a job from running; "" if none does."""
    for parent in job.parents.values():
        failure = context.store.failure(parent)
        if failure:
            reason = failure["reason"]
            return reason if failure.get("blocked") else f"{failure['label']}: {reason}"
    return ""


def block(job: Job, reason: str, context: Context) -> None:
    """Record that a job cannot run, so that its own children and the table know why."""
    from defectbench.bench.store import write_json

    folder = context.store.folder(job.id)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "job": job.id,
        "label": job.label,
        "reason": reason,
        "repeats": False,
        "blocked": True,
    }
    write_json(folder / "failed.json", content)
