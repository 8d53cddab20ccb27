"""Do jobs one after another in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from defectbench.executors.base import Board, block_if_hopeless
from defectbench.plan.job import Job
from defectbench.stages.context import Context, ending
from defectbench.stages.execute import execute
from defectbench.store.sweeps import check_goes_on


class Inline:
    """One job at a time, here."""

    about = ""
    elsewhere = False

    def run(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        """Do the jobs in their order.

        Raises:
            UserError: no job can go on, e.g. the disk is full or the sweep was cancelled.
        """
        for job in jobs.values():
            if context.store.state(job.id) in {"done", "failed"}:
                continue
            reason = block_if_hopeless(job, context)
            if reason:
                board.ended(job, "blocked", reason)
                continue
            check_goes_on(context.sweep)
            board.started(job)

            def progress(done: int, total: int, current: Job = job) -> None:
                board.progressed(current, done, total)

            execute(job, replace(context, progress=progress))
            failure = context.store.failure(job.id)
            board.ended(job, *ending(failure))

    def close(self) -> None:
        """Do nothing: no process is kept."""
