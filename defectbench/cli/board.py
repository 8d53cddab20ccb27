"""The display of a run: jobs done, running and waiting, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from defectbench.plan.job import Job


class LiveBoard:
    """Shows jobs live on a terminal, and a line per finished job elsewhere."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        """Use `console`; `quiet` shows nothing, e.g. under `--json`."""
        self.console, self.quiet = console, quiet
        self.total = self.reused = self.done = self.failed = 0
        self.running: dict[str, tuple[Job, float, int, int]] = {}
        self.left: dict[str, int] = {}
        self.spent: dict[str, list[float]] = {}
        self.started_at = time.monotonic()
        self.live: Live | None = None

    def __enter__(self) -> LiveBoard:
        """Begin to show."""
        if not self.quiet and self.console.is_terminal:
            self.live = Live(
                console=self.console,
                refresh_per_second=4,
                get_renderable=self._table,
                transient=True,
            )
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing."""
        if self.live:
            self.live.stop()

    def begin(self, todo: Mapping[str, Job], reused: int) -> None:
        """Take the jobs of the run."""
        self.total, self.reused = len(todo), reused
        for job in todo.values():
            self.left[job.stage] = self.left.get(job.stage, 0) + 1
        if not self.quiet and not self.live:
            self.console.print(f"{self.total} jobs to do, {reused} done before")

    def started(self, job: Job) -> None:
        """A job began."""
        self.running[job.id] = (job, time.monotonic(), 0, 0)

    def progressed(self, job: Job, done: int, total: int) -> None:
        """A running job came this far."""
        if job.id in self.running:
            self.running[job.id] = (*self.running[job.id][:2], done, total)

    def released(self, job: Job) -> None:
        """A job that was given out here is done by another process."""
        self.running.pop(job.id, None)

    def ended(self, job: Job, state: str, reason: str = "") -> None:
        """A job is done, failed or blocked."""
        mine = job.id in self.running
        _, began, _, _ = self.running.pop(job.id, (job, time.monotonic(), 0, 0))
        seconds = time.monotonic() - began
        self.left[job.stage] -= 1
        if state == "done":
            self.done += 1
            if mine:
                self.spent.setdefault(job.stage, []).append(seconds)
        else:
            self.failed += 1
        if self.quiet:
            return
        place = f"[{self.done + self.failed}/{self.total}]"
        if state == "done" and not self.live:
            took = f"{seconds:.1f} s" if mine else "done by another process"
            print(f"{place} {job.label}: {took}", flush=True, file=sys.stdout)
        elif state != "done":
            self.console.print(f"{place} {job.label}: {state}: {reason}", markup=False)

    def time_left(self) -> float | None:
        """Estimate the seconds left from the mean of each stage; None while nothing is known."""
        if not self.spent:
            return None
        known = [s for spent in self.spent.values() for s in spent]
        overall = sum(known) / len(known)
        work = sum(
            count * (sum(self.spent[s]) / len(self.spent[s]) if s in self.spent else overall)
            for s, count in self.left.items()
        )
        return work / max(len(self.running), 1)

    def _table(self) -> Table:
        left = self.time_left()
        waiting = self.total - self.done - self.failed - len(self.running)
        elapsed = time.monotonic() - self.started_at
        table = Table.grid(padding=(0, 2))
        table.add_row(
            f"[bold]{self.done}[/] done",
            f"{len(self.running)} running",
            f"{waiting} waiting",
            f"[red]{self.failed} failed[/]" if self.failed else "",
            f"{self.reused} done before",
            f"{elapsed:.0f} s" + (f", about {left:.0f} s left" if left is not None else ""),
        )
        for job, began, done, of in self.running.values():
            share = f"{100 * done / of:3.0f} %" if of else ""
            table.add_row("", job.label, share, f"{time.monotonic() - began:.0f} s")
        return table
