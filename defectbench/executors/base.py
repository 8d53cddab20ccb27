"""Ways to get jobs done: in this process, or by worker processes of this machine.

An executor does every job once its parents are done, and tells a board what happens. A job whose parent failed is
blocked; all others complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from defectbench.plan.job import Job
from defectbench.stages.context import Context


class Board(Protocol):
    """Who is told what happens to jobs."""

    def begin(self, todo: Mapping[str, Job], reused: int) -> None:
        """Jobs are about to run; `reused` others were done before."""

    def started(self, job: Job) -> None:
        """A job began."""

    def progressed(self, job: Job, done: int, total: int) -> None:
        """A running job came this far."""

    def released(self, job: Job) -> None:
        """A job that was given out here is done by another process."""

    def ended(self, job: Job, state: str, reason: str = "") -> None:
        """A job is done, failed, undefined (see `ending`), or blocked by a failed parent."""


class Executor(Protocol):
    """Does jobs.

    Attributes:
        about: what a user should know of it before it begins, in one line; "" if nothing.
        elsewhere: whether workers of another machine do the jobs, which prepare images and check requests themselves.
    """

    about: str
    elsewhere: bool

    def run(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        """Do all `jobs` (parents first in the mapping); those already done are passed over.

        Raises:
            UserError: no job can go on, e.g. the disk is full.
        """

    def close(self) -> None:
        """End what `run` keeps for its next call."""


def block_if_hopeless(job: Job, context: Context) -> str:
    """Record that a job cannot run if a parent failed, so that its own children and the table know why.

    Returns:
        the reason, which names the ancestor that failed; "" if nothing is in the way.
    """
    failures = (context.store.failure(parent) for parent in job.parents.values())
    failure = next((f for f in failures if f), None)
    return context.store.block(job, failure) if failure else ""
