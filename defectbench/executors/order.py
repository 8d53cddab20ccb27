"""Which job is next: the one rule that every executor keeps, from the states in the store."""

from __future__ import annotations

import heapq
import time
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from defectbench.config import UserError
from defectbench.executors.base import Board, Executor, block_if_hopeless
from defectbench.plan.job import Job
from defectbench.stages.context import Context, ending
from defectbench.store.jobs import Store

REST_SECONDS = 1.0
FEW, MANY = 4, 8
"""Jobs that run elsewhere and are looked at in one go, while others can be begun and while none can: with hundreds of
workers, looking at all of them would be the work."""


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


class Frontier:
    """The jobs of a plan that may begin, in order; learns from the store what others have done.

    A look at it reads what the store's journal has new, and asks the store for the job that it offers and for a few that
    run elsewhere, in turns, since a dead worker writes no line: its cost grows neither with the plan nor with the workers.

    Args:
        jobs: parents first; parents that are not among them have ended before.
        context: where the states are.
        board: is told of jobs that end, also of those that other processes did.
    """

    def __init__(self, jobs: Mapping[str, Job], context: Context, board: Board) -> None:
        self._context, self._store, self._board = context, context.store, board
        self._jobs = seed_by_seed(jobs)
        self._place = {key: number for number, key in enumerate(self._jobs)}
        self._children: dict[str, list[str]] = {}
        self._unmet: dict[str, set[str]] = {}
        self._open: list[int] = []
        self._keys = list(self._jobs)
        self._taken: set[str] = set()
        self._runs: set[str] = set()
        self._rests: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        self._journal = self._store.journal.reader()
        self.left = set(jobs)
        """Ids of the jobs that have not ended, as far as this object has looked."""
        outside = {p for job in jobs.values() for p in job.parents.values() if p not in jobs}
        undone = {parent for parent in outside if self._store.state(parent) != "done"}
        for key, job in self._jobs.items():
            parents = job.parents.values()
            self._unmet[key] = {p for p in parents if p in jobs or p in undone}
            for parent in self._unmet[key]:
                self._children.setdefault(parent, []).append(key)
            if not self._unmet[key]:
                insort(self._open, self._place[key])
        for key in jobs:  # parents first
            if key in self.left:
                self._look(key, announce=False)
        for parent in undone:
            self._block_children(parent)

    def ready(self) -> Iterator[Job]:
        """Go through the jobs that may begin now and that nobody is at work on, the first one first."""
        self.look_around(FEW)
        offered = False
        for job in self._waiting():
            offered = True
            yield job
        if not offered:
            self.look_around(MANY)
            yield from self._waiting()

    def look_around(self, count: int = MANY) -> None:
        """Learn from the journal, and look at jobs that run elsewhere: at those that were not looked at for longest."""
        self._hear()
        elsewhere = self._runs - self._taken
        for key in heapq.nsmallest(count, elsewhere, key=lambda key: self._looked.get(key, 0.0)):
            self._look(key)

    def _waiting(self) -> Iterator[Job]:
        number = 0
        while number < len(self._open):
            place = self._open[number]
            key = self._keys[place]
            rests = time.monotonic() < self._rests.get(key, 0.0)
            if rests or key in self._taken or key in self._runs:
                number += 1
                continue
            if self._look(key) == "waiting":
                yield self._jobs[key]
            if number < len(self._open) and self._open[number] == place:
                number += 1

    def running(self) -> list[str]:
        """Give the ids of the jobs that were running when `ready` last looked, here or elsewhere."""
        return [key for key in map(self._keys.__getitem__, self._open) if key in self._runs]

    def take(self, key: str) -> None:
        """Leave a job out of `ready`: a worker of this process has it."""
        self._taken.add(key)

    def put_back(self, key: str) -> None:
        """Offer a job again, in a moment: its worker died, or another process holds it."""
        self._taken.discard(key)
        self._rests[key] = time.monotonic() + REST_SECONDS

    def settle(self, key: str) -> None:
        """Look at a job that has ended: open or block what waits for it."""
        self._taken.discard(key)
        self._look(key)

    def _hear(self) -> None:
        """Take over what the journal has new of jobs that others have."""
        for key, event in self._journal.news():
            if key not in self.left or key in self._taken:
                continue
            if event == "begun":
                self._runs.add(key)
                self._looked[key] = time.monotonic()
            elif event == "done":
                self._ended(key, "done")
            else:
                self._look(key)

    def _look(self, key: str, *, announce: bool = True) -> str:
        state = self._store.state(key)
        self._looked[key] = time.monotonic()
        if state in {"done", "failed"} and key in self.left:
            self._ended(key, state, announce=announce)
        else:
            (self._runs.add if state == "running" else self._runs.discard)(key)
        return state

    def _ended(self, key: str, state: str, *, announce: bool = True) -> None:
        """Take a job off the list, and open or block what waits for it."""
        self._runs.discard(key)
        self.left.discard(key)
        place = bisect_left(self._open, self._place[key])
        if place < len(self._open) and self._keys[self._open[place]] == key:
            del self._open[place]
        if announce:
            failure = self._store.failure(key) if state == "failed" else None
            self._board.ended(self._jobs[key], *ending(failure))
        if state != "done":
            self._block_children(key)
            return
        for child in self._children.get(key, []):
            self._unmet[child].discard(key)
            if not self._unmet[child] and child in self.left:
                insort(self._open, self._place[child])

    def _block_children(self, key: str) -> None:
        for child in self._children.get(key, []):
            if child not in self.left:
                continue
            if self._store.state(child) not in {"done", "failed"}:
                reason = block_if_hopeless(self._jobs[child], self._context)
                if not reason:
                    continue
                self._board.ended(self._jobs[child], "blocked", reason)
            self._look(child, announce=False)


def waiting(needed: Mapping[str, Job], store: Store) -> dict[str, Job]:
    """Give the jobs that are neither done nor failed, without fits whose samples have all failed."""
    states = {key: store.state(key) for key in needed}
    hoped_for: set[str] = set()
    for key, job in reversed(list(needed.items())):  # children before their parents
        if states[key] != "failed" and (job.stage != "fit" or key in hoped_for):
            hoped_for |= set(job.parents.values())
    return {
        key: job
        for key, job in needed.items()
        if states[key] not in {"done", "failed"} and (job.stage != "fit" or key in hoped_for)
    }


def refuse_impossible(jobs: Mapping[str, Job], store: Store, board: Board) -> None:
    """Fail the sample jobs that the prepared images show to be impossible, before their generators are trained.

    Args:
        jobs: every job of the plan.
        store: where they lie.
        board: is told of jobs that fail.
    """
    from defectbench.stages.sample import check_sample

    for job in jobs.values():
        parents = {role: jobs[parent] for role, parent in job.parents.items()}
        data = [parent.id for parent in parents.values() if parent.stage == "prepare"]
        if job.stage != "sample" or store.state(job.id) in {"done", "failed"}:
            continue
        if any(store.state(key) != "done" for key in data):
            continue
        try:
            check_sample(job, {r: p for r, p in parents.items() if p.stage == "fit"}, store)
        except UserError as error:
            store.fail(job, str(error), repeats=True)
            board.ended(job, "failed", str(error))


def in_two_passes(
    needed: Mapping[str, Job], executor: Executor, context: Context, board: Board
) -> None:
    """Prepare all images first, then refuse what they show to be impossible, then do the rest.

    Args:
        needed: every job of the plan, parents first.
        executor: does jobs.
        context: see `Context`.
        board: is told what happens.
    """
    todo = waiting(needed, context.store)
    try:
        executor.run(
            {key: job for key, job in todo.items() if job.stage == "prepare"}, context, board
        )
        refuse_impossible(needed, context.store, board)
        executor.run(waiting(needed, context.store), context, board)
    finally:
        executor.close()
