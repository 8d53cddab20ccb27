"""Do jobs in persistent worker processes of this machine: each on GPUs of its own, or N on the CPU.

Other processes, here or on machines that share the output folder, may do jobs of the same plan: the store says which are
running, and a job that somebody else holds is passed over and looked at again later.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.executors.base import Board
from defectbench.executors.order import Frontier
from defectbench.machine import cores
from defectbench.plan.job import Job
from defectbench.stages import lifeline
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.store.sweeps import check_goes_on

TRIES = 2
SHORTEST_POLL, LONGEST_POLL = 0.5, 10.0
"""Seconds between two looks at the store while jobs of others are running; the wait grows while nothing happens."""
HALT_SECONDS = 20.0
"""How long workers may take for the checkpoint that they write when the run is stopped."""
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass
class Worker:
    """A process, the pipe to it, its place among the workers, and what it is at."""

    process: SpawnProcess
    pipe: Connection
    number: int = 0
    job: Job | None = None


def _serve(pipe: Connection, context: Context, device: str | None) -> None:
    """Do the jobs that come through the pipe until it closes."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is the parent's to hear; it ends its workers
    lifeline.listen()
    parent = multiprocessing.parent_process()
    if parent is not None:
        lifeline.end_with(parent.sentinel)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    with suppress(lifeline.Halted):
        _do_jobs(pipe, context)


def _do_jobs(pipe: Connection, context: Context) -> None:
    while True:
        try:
            content = pipe.recv()
        except EOFError:
            return
        job = Job.from_json(content)

        def progress(done: int, total: int, job_id: str = job.id) -> None:
            _tell(pipe, ("progress", job_id, done, total))

        try:
            mine = execute(job, replace(context, progress=progress), wait=False)
        except UserError as error:
            _tell(pipe, ("abort", job.id, str(error), 0))
            continue
        _tell(pipe, ("ended" if mine else "held", job.id, 0, 0))


def _tell(pipe: Connection, message: tuple[Any, ...]) -> None:
    """Send a message to the parent; one that is gone needs no worker."""
    try:
        pipe.send(message)
    except OSError:
        os._exit(1)


def cuda_devices() -> tuple[str, ...]:
    """Name the CUDA devices that this process may use, as `CUDA_VISIBLE_DEVICES` has them; imports no torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(str(n) for n in range(len(list(GPUS.glob("*")))))
    named = (name.strip() for name in visible.split(","))
    return tuple(takewhile(lambda name: name not in {"", "-1"}, named))  # as CUDA reads the list


class Local:
    """Several worker processes.

    Args:
        workers: how many; 0 for one per share of the GPUs, or without any per core that this process may use.
        gpus: names of CUDA devices to share out; none for the CPU.
        gpus_each: how many of them each worker gets.
        patience: seconds without a job that could be begun here after which `run` leaves the rest to others.
        code: what planned the sweep, see `check_goes_on`.
    """

    elsewhere = False

    def __init__(
        self,
        workers: int = 0,
        gpus: Sequence[str] = (),
        gpus_each: int = 1,
        *,
        patience: float = math.inf,
        code: str = "",
    ) -> None:
        """Share the devices out; processes start with the first job."""
        self.patience, self.code = patience, code
        whole = range(0, max(len(gpus) - gpus_each + 1, 1), gpus_each)
        self.shares = [",".join(gpus[i : i + gpus_each]) for i in whole] if gpus else []
        there, why = cores()
        if self.shares:
            there, why = len(self.shares), "one per share of the CUDA devices"
        self.workers = workers or there
        self.about = f"{self.workers} worker processes ({'--workers' if workers else why})"
        self._kept: list[Worker] = []
        self._spawn = multiprocessing.get_context("spawn")

    def devices_of(self, number: int) -> str | None:
        """Give what worker `number` sees as `CUDA_VISIBLE_DEVICES`; None leaves it as it is."""
        return self.shares[number % len(self.shares)] if self.shares else None

    def _start(self, number: int, context: Context) -> Worker:
        mine, theirs = self._spawn.Pipe()
        arguments = (theirs, context, self.devices_of(number))
        process = self._spawn.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return Worker(process, mine, number)

    def run(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        """Do the jobs as their parents finish, seed by seed, those first that most others wait for.

        Worker processes are kept for the next call until `close`. Ends when every job has ended, here or elsewhere, or
        when none could be begun for `patience` seconds while none was running here.

        Raises:
            UserError: no job can go on, e.g. the disk is full or the sweep was cancelled.
        """
        bare = replace(context, progress=None)
        frontier = Frontier(jobs, context, board)
        tries: dict[str, int] = {}
        workers = self._kept
        poll, quiet_since = SHORTEST_POLL, time.monotonic()
        try:
            while frontier.left:
                check_goes_on(context.sweep, self.code)
                if self._hand_out(frontier, workers, bare, board):
                    poll, quiet_since = SHORTEST_POLL, time.monotonic()
                busy = [w for w in workers if w.job]
                if busy:
                    quiet_since = time.monotonic()
                elif not frontier.left or time.monotonic() - quiet_since > self.patience:
                    break
                else:
                    time.sleep(poll)
                for ready in wait([w.pipe for w in busy], timeout=poll) if busy else []:
                    worker = next(w for w in busy if w.pipe is ready)
                    self._hear(worker, frontier, tries, context, board)
                    poll = SHORTEST_POLL
                poll = min(poll * 1.5, LONGEST_POLL)
                workers[:] = [w for w in workers if w.process.is_alive() or w.job]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the worker processes; a fit that one of them trains writes a checkpoint first."""
        workers, self._kept = self._kept, []
        for worker in workers:
            if worker.job:
                worker.process.terminate()  # its pipe stays open: it may still report progress
            else:
                worker.pipe.close()
        deadline = time.monotonic() + HALT_SECONDS
        for worker in workers:
            worker.process.join(timeout=max(deadline - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
            worker.pipe.close()

    def _hand_out(
        self, frontier: Frontier, workers: list[Worker], context: Context, board: Board
    ) -> bool:
        """Give jobs to workers that are free; tells whether any was given."""
        given = False
        for job in frontier.ready():
            worker = self._free(workers, context)
            if worker is None:
                break
            try:
                worker.pipe.send(job.to_json())
            except OSError:  # it died idle
                workers.remove(worker)
                continue
            worker.job = job
            frontier.take(job.id)
            board.started(job)
            given = True
        return given

    def _free(self, workers: list[Worker], context: Context) -> Worker | None:
        """Give a worker without a job; a new one takes the first place that is empty, and with it its devices."""
        workers[:] = [w for w in workers if w.job or w.process.is_alive()]
        worker = next((w for w in workers if w.job is None), None)
        if worker is None and len(workers) < self.workers:
            taken = {w.number for w in workers}
            number = next(n for n in range(self.workers) if n not in taken)
            worker = self._start(number, context)
            workers.append(worker)
        return worker

    def _hear(
        self,
        worker: Worker,
        frontier: Frontier,
        tries: dict[str, int],
        context: Context,
        board: Board,
    ) -> None:
        job = worker.job
        if job is None:
            return
        message: tuple[Any, ...]
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.job = None
            worker.process.join(timeout=10)
            tries[job.id] = tries.get(job.id, 0) + 1
            code = worker.process.exitcode
            if not code:  # asked to end, as this process will be in a moment
                frontier.put_back(job.id)
                return
            if tries[job.id] < TRIES:
                frontier.put_back(job.id)
                return
            reason = f"its worker process ended with exit code {code} (-9: killed, often for lack of memory)"
            context.store.fail(job, reason, repeats=False)
            frontier.settle(job.id)
            return
        kind, _, first, second = message
        if kind == "progress":
            board.progressed(job, int(first), int(second))
            return
        worker.job = None
        if kind == "abort":
            raise UserError(str(first))
        if kind == "held":
            board.released(job)
            frontier.put_back(job.id)
            return
        frontier.settle(job.id)
