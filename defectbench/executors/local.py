"""Do jobs in persistent worker processes of this machine: each on GPUs of its own, or N on the CPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.executors.base import Board, block_if_hopeless
from defectbench.machine import cores
from defectbench.plan.job import Job
from defectbench.stages.context import Context, ending
from defectbench.stages.execute import execute
from defectbench.stages.lifeline import end_with

TRIES = 2
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
    parent = multiprocessing.parent_process()
    if parent is not None:
        end_with(parent.sentinel)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    while True:
        try:
            content = pipe.recv()
        except EOFError:
            return
        job = Job.from_json(content)

        def progress(done: int, total: int, job_id: str = job.id) -> None:
            _tell(pipe, ("progress", job_id, done, total))

        try:
            execute(job, replace(context, progress=progress))
        except UserError as error:
            _tell(pipe, ("abort", job.id, str(error), 0))
            continue
        _tell(pipe, ("ended", job.id, 0, 0))


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


def seed_by_seed(jobs: Mapping[str, Job]) -> dict[str, Job]:
    """Order jobs by seed, those of a seed by how many steps wait for them in a row, otherwise as given.

    So a run that is cut off has whole seeds to show. Of a seed, trainings of generators come first: the last to be done
    are short jobs that nothing waits for, while the next seed's trainings fill the workers that are free.
    """
    ahead = dict.fromkeys(jobs, 0)
    for key, job in reversed(list(jobs.items())):  # children before their parents
        for parent in job.parents.values():
            if parent in ahead:
                ahead[parent] = max(ahead[parent], ahead[key] + 1)
    return dict(
        sorted(jobs.items(), key=lambda item: (item[1].spec.get("seed", -1), -ahead[item[0]]))
    )


class Local:
    """Several worker processes.

    Args:
        workers: how many; 0 for one per share of the GPUs, or without any per core that this process may use.
        gpus: names of CUDA devices to share out; none for the CPU.
        gpus_each: how many of them each worker gets.
    """

    def __init__(self, workers: int = 0, gpus: Sequence[str] = (), gpus_each: int = 1) -> None:
        """Share the devices out; processes start with the first job."""
        whole = range(0, max(len(gpus) - gpus_each + 1, 1), gpus_each)
        self.shares = [",".join(gpus[i : i + gpus_each]) for i in whole] if gpus else []
        there, why = cores()
        if self.shares:
            there, why = len(self.shares), "one per share of the CUDA devices"
        self.workers = workers or there
        self.about = f"{self.workers} worker processes ({'--workers' if workers else why})"
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
        """Do the jobs as their parents finish, seed by seed, those first that most others wait for."""
        bare = replace(context, progress=None)
        waiting = {
            key: job
            for key, job in seed_by_seed(jobs).items()
            if context.store.state(key) not in {"done", "failed"}
        }
        tries: dict[str, int] = {}
        workers: list[Worker] = []
        try:
            while waiting or any(w.job for w in workers):
                self._hand_out(waiting, workers, bare, board)
                busy = [w for w in workers if w.job]
                if not busy:
                    continue
                for ready in wait([w.pipe for w in busy]):
                    worker = next(w for w in busy if w.pipe is ready)
                    self._hear(worker, waiting, tries, context, board)
                workers[:] = [w for w in workers if w.process.is_alive() or w.job]
        finally:
            for worker in workers:
                worker.pipe.close()
                if worker.job:
                    worker.process.terminate()
                worker.process.join(timeout=10)

    def _hand_out(
        self, waiting: dict[str, Job], workers: list[Worker], context: Context, board: Board
    ) -> None:
        for key in list(waiting):
            job = waiting[key]
            reason = block_if_hopeless(job, context)
            if reason:
                waiting.pop(key)
                board.ended(job, "blocked", reason)
                continue
            if any(context.store.state(parent) != "done" for parent in job.parents.values()):
                continue
            worker = self._free(workers, context)
            if worker is None:
                return
            try:
                worker.pipe.send(job.to_json())
            except OSError:  # it died idle
                workers.remove(worker)
                continue
            worker.job = waiting.pop(key)
            board.started(job)

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
        waiting: dict[str, Job],
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
            if tries[job.id] < TRIES:
                waiting[job.id] = job
                return
            code = worker.process.exitcode
            reason = f"its worker process ended with exit code {code} (-9: killed, often for lack of memory)"
            context.store.fail(job, reason, repeats=False)
            board.ended(job, "failed", reason)
            return
        kind, _, first, second = message
        if kind == "progress":
            board.progressed(job, int(first), int(second))
            return
        worker.job = None
        if kind == "abort":
            raise UserError(str(first))
        failure = context.store.failure(job.id)
        board.ended(job, *ending(failure))
