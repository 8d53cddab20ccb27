"""A simulated cluster: 10,000 jobs of a real plan, 256 workers on one store folder, no training.

    python -m benchmarks.performance cluster

Planning, submission, the store and the rule which job is next are the real ones; `sbatch` and `squeue` are two scripts.
Clocks are simulated: a job lasts as long as was drawn for it, and a pull as long as it really took. Every worker keeps a
view of its own, as an allocation with one GPU does. Of the jobs a share fails, or is pre-empted and put back, or dies with
its machine, so that only its lease tells. Bars: plan and submission under 60 s, a pull under 50 ms at the median, workers
idle for less than 5 % of the time until the graph has no ready job left.
"""

from __future__ import annotations

import copy
import heapq
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from defectbench.executors import order
from defectbench.executors.local import LONGEST_POLL, SHORTEST_POLL
from defectbench.executors.order import Frontier, waiting
from defectbench.executors.profiles import Profile
from defectbench.executors.slurm import Slurm
from defectbench.plan.job import Job
from defectbench.rng import derive
from defectbench.runner.run import Options, undertake
from defectbench.stages.context import Context
from defectbench.store import jobs as store_jobs
from defectbench.store.jobs import Store, write_json

TABLE = Path(__file__).parents[1] / "dcdgan_c" / "table5.yaml"
SECONDS = {"prepare": 60.0, "fit": 900.0, "sample": 60.0, "task": 240.0}
"""Medians of the drawn durations; the spread is that of a lognormal with sigma 0.5."""
FAILS, PREEMPTED, DIES = 0.005, 0.02, 0.005
"""Shares of the begun jobs that meet such an end, somewhere in the middle."""

FRESH = 4e9
"""Time of a lease that was written just now, in place of one that a dead worker left."""


@dataclass
class Clock:
    """Stands in for the module `time` where the store and the frontier ask for the time."""

    base: float = field(default_factory=time.time)
    now: float = 0.0

    def time(self) -> float:
        return self.base + self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing may wait here, least of all {seconds} s")


@dataclass
class Counts:
    """What was touched on the disk."""

    looks: int = 0
    opened: int = 0

    @property
    def read(self) -> int:
        """Bytes that this process has read so far, from files or caches."""
        lines = Path("/proc/self/io").read_bytes().split(b"\n")
        return int(lines[0].split()[1]) if lines else 0


@contextmanager
def counting() -> Iterator[Counts]:
    """Count looks at files (`stat`) and files that are opened."""
    counts = Counts()

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            setattr(counts, name, getattr(counts, name) + 1)
            return real(*arguments, **named)

        return call

    with ExitStack() as stack:
        for module, call, name in (
            ("os", "stat", "looks"),
            ("io", "open", "opened"),
            ("os", "open", "opened"),
        ):
            real = getattr(__import__(module), call)
            stack.enter_context(mock.patch(f"{module}.{call}", counted(name, real)))
        yield counts


class Board:
    """A board that tells nobody."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def plan_and_submit(folder: Path, count: int, most: int) -> tuple[dict[str, Job], Store]:
    """Plan a table of so many seeds that it has `count` jobs, and submit it to a Slurm of two scripts."""
    text = TABLE.read_text()
    per_seed = 55
    seeds = list(range(max(count // per_seed, 1)))
    table = folder / "many.yaml"
    table.write_text(text.replace("seeds: [0]", f"seeds: {seeds}", 1))
    programs = folder / "bin"
    programs.mkdir()
    for name, told in (("sbatch", "17"), ("squeue", "")):
        (programs / name).write_text(f"#!/bin/sh\necho {told}\n")
        (programs / name).chmod(0o755)
    options = Options(
        out=folder / "out", machine={"accelerator": "cpu", "devices": 1, "precision": "32"}
    )
    with mock.patch.dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}"):
        start = time.perf_counter()
        work = undertake([str(table)], options, lambda _: None)
        planned = time.perf_counter()
        slurm = Slurm(Profile(max_allocations=most))
        slurm.submit(work.sweep(), waiting(work.jobs, work.store))
        end = time.perf_counter()
    print(
        f"{len(work.jobs)} jobs: planned in {planned - start:.1f} s, submitted in {end - planned:.1f} s; "
        f"bar 60 s: {'kept' if end - start < 60 else 'MISSED'}"
    )
    return dict(work.jobs), work.store


@dataclass
class Worker:
    """A simulated worker: its view of the plan, and what it is at."""

    frontier: Frontier
    poll: float = SHORTEST_POLL
    job: str = ""
    claim: ExitStack | None = None


def view(frontier: Frontier) -> Frontier:
    """Give another worker's view of the plan, as if it had looked in the same moment."""
    other = copy.copy(frontier)
    for name, value in vars(frontier).items():
        if name in {"_open", "_taken", "_runs", "_rests", "_looked", "_journal", "left"}:
            setattr(other, name, copy.copy(value))
    other._unmet = {key: set(parents) for key, parents in frontier._unmet.items()}
    return other


class Simulation:
    """Events in the order of a simulated clock.

    Args:
        jobs: the plan.
        store: where they lie; real.
        workers: how many.
    """

    def __init__(self, jobs: dict[str, Job], store: Store, workers: int) -> None:
        self.jobs, self.store, self.count = jobs, store, workers
        self.clock = Clock()
        self.random = np.random.default_rng(derive(0, "benchmarks", "cluster"))
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = 0
        self.pulls: list[float] = []
        self.looks: list[int] = []
        self.opened: list[int] = []
        self.bytes: list[int] = []
        self.begun = self.lost = self.preempted = self.failed = 0
        parents = {key: {p for p in job.parents.values() if p in jobs} for key, job in jobs.items()}
        self.unmet = parents
        self.children: dict[str, list[str]] = {}
        for key, above in parents.items():
            for parent in above:
                self.children.setdefault(parent, []).append(key)
        self.ready = {key for key, above in parents.items() if not above}
        self.working = 0
        self.idle = self.spent = 0.0
        self.sums = (0.0, 0.0, 0.0)
        self.seen = 0.0

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, what))

    def account(self) -> None:
        """Add up how many workers were idle while the graph had jobs for them."""
        passed, self.seen = self.clock.now - self.seen, self.clock.now
        self.idle += passed * min(self.count - self.working, len(self.ready))
        self.spent += passed * self.count
        if self.ready:
            self.sums = (self.idle, self.spent, self.clock.now)

    def run(self) -> None:
        with (
            mock.patch.object(store_jobs, "time", self.clock),
            mock.patch.object(order, "time", self.clock),
            mock.patch.object(Store, "_heartbeat", staticmethod(self.beat)),
            counting() as self.counts,
        ):
            context = Context(self.store)
            start = time.perf_counter()
            first = Frontier(self.jobs, context, Board())
            took = time.perf_counter() - start
            workers = [Worker(view(first)) for _ in range(self.count)]
            print(f"a worker's first look at the plan: {took:.2f} s")
            for number, worker in enumerate(workers):
                self.at(number * 0.5 + took, lambda w=worker: self.pull(w))  # type: ignore[misc]
            while self.events:
                when, _, what = heapq.heappop(self.events)
                self.clock.now = max(when, self.clock.now)
                self.account()
                what()

    @staticmethod
    def beat(lease: Path, worker: Any, told: Any, _: Any) -> None:
        """Write the lease once, with a time of its own; the right one is set below."""
        write_json(lease, {**worker, **told})
        os.utime(lease, (FRESH, FRESH))

    def pull(self, worker: Worker) -> None:
        """Look for a job; what is found is claimed as much later as the look took."""
        if not worker.frontier.left:
            return
        looks, opened, read = self.counts.looks, self.counts.opened, self.counts.read
        start = time.perf_counter()
        job = next(worker.frontier.ready(), None)
        took = time.perf_counter() - start
        self.looks.append(self.counts.looks - looks)
        self.opened.append(self.counts.opened - opened)
        self.bytes.append(self.counts.read - read)
        if job is None:
            self.at(self.clock.now + took + worker.poll, lambda: self.pull(worker))
            worker.poll = min(worker.poll * 1.5, LONGEST_POLL)
            return
        worker.poll = SHORTEST_POLL
        self.at(self.clock.now + took, lambda: self.claim(worker, job, took))

    def claim(self, worker: Worker, job: Job, looked: float) -> None:
        start = time.perf_counter()
        stack = ExitStack()
        mine = stack.enter_context(self.store.claim(job, wait=False))
        took = time.perf_counter() - start
        if not mine:
            stack.close()
            self.lost += 1
            worker.frontier.put_back(job.id)
            self.at(self.clock.now + took, lambda: self.pull(worker))
            return
        self.pulls.append(looked + took)
        self.begun += 1
        self.working += 1
        self.ready.discard(job.id)
        worker.frontier.take(job.id)
        worker.job, worker.claim = job.id, stack
        seconds = SECONDS[job.stage] * float(self.random.lognormal(0.0, 0.5))
        fate = float(self.random.random())
        cut = seconds * float(self.random.random())
        if fate < FAILS:
            what, seconds = "fails", cut
        elif fate < FAILS + PREEMPTED:
            what, seconds = "preempted", cut
        elif fate < FAILS + PREEMPTED + DIES:
            what, seconds = "dies", cut
        else:
            what = "ends"
        end = self.clock.now + took + seconds
        lease = self.store.folder(job.id) / "lease.json"
        while not lease.exists() or lease.stat().st_mtime != FRESH:  # a thread writes it
            time.sleep(0.001)
        os.utime(lease, (self.clock.base + end, self.clock.base + end))  # refreshed until then
        self.at(end, lambda: self.end(worker, job, what))

    def end(self, worker: Worker, job: Job, what: str) -> None:
        assert worker.claim is not None
        start = time.perf_counter()
        folder = self.store.folder(job.id)
        self.working -= 1
        if what == "ends":
            self.store.finish(job, job.to_json())
            for child in self.children.get(job.id, []):
                self.unmet[child].discard(job.id)
                if not self.unmet[child]:
                    self.ready.add(child)
        elif what == "fails":
            self.failed += 1
            self.store.fail(job, "drawn", repeats=True)
        else:
            self.preempted += 1
            self.ready.add(job.id)
        if what == "dies":
            lease = folder / "lease.json"
            shutil.copy2(lease, folder / "lease.kept")
            worker.claim.close()
            content = (folder / "lease.kept").read_text().replace('"host": "', '"host": "dead-')
            lease.write_text(content)
            os.utime(lease, (self.clock.time(), self.clock.time()))
            (folder / "lease.kept").unlink()
            worker.frontier.put_back(job.id)
        else:
            worker.claim.close()
            (worker.frontier.put_back if what == "preempted" else worker.frontier.settle)(job.id)
        worker.claim, worker.job = None, ""
        took = time.perf_counter() - start
        away = (
            120.0 if what in {"preempted", "dies"} else 0.0
        )  # until Slurm starts the allocation again
        self.at(self.clock.now + took + away, lambda: self.pull(worker))

    def tell(self) -> None:
        median = statistics.median(self.pulls)
        tail = sorted(self.pulls)[int(0.99 * len(self.pulls))]
        idle, spent, until = self.sums
        share = idle / spent if spent else 0.0
        print(
            f"{self.begun} jobs begun by {self.count} workers, {self.failed} failed, {self.preempted} interrupted, "
            f"{self.lost} claims lost to another worker, {self.clock.now / 3600:.1f} simulated hours"
        )
        print(
            f"a pull: median {1e3 * median:.1f} ms, 99 % under {1e3 * tail:.1f} ms; "
            f"bar 50 ms: {'kept' if median < 0.05 else 'MISSED'}"
        )
        print(
            f"a look for a job touches (median, most): {statistics.median(self.looks):.0f}, {max(self.looks)} files by stat; "
            f"{statistics.median(self.opened):.0f}, {max(self.opened)} opened; "
            f"{statistics.median(self.bytes):.0f}, {max(self.bytes)} bytes read; {len(self.looks)} looks"
        )
        print(
            f"idle while jobs were ready, until the last one began after {until / 3600:.1f} h: {100 * share:.2f} %; "
            f"bar 5 %: {'kept' if share < 0.05 else 'MISSED'}"
        )


def main(count: int = 10_000, workers: int = 256) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        jobs, store = plan_and_submit(folder, count, workers)
        simulation = Simulation(jobs, store, workers)
        start = time.perf_counter()
        simulation.run()
        simulation.tell()
        print(f"simulated in {time.perf_counter() - start:.0f} s")
        states = [store.state(key) for key in jobs]
        print({state: states.count(state) for state in sorted(set(states))})
