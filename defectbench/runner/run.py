"""The runner: plan a table, do what is not done yet, write records, CSV, Markdown, pictures and the leaderboard."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defectbench import names
from defectbench.config import UserError, nearest
from defectbench.executors.base import Board, Executor
from defectbench.executors.order import in_two_passes, waiting
from defectbench.machine import told_device
from defectbench.plan.job import Job
from defectbench.plan.plan import Plan
from defectbench.plan.planner import make_plan
from defectbench.runner.foreign import with_foreign
from defectbench.runner.results import write_joint, write_results
from defectbench.runner.sources import find_sources
from defectbench.spec.loading import load_table
from defectbench.stages.context import Context
from defectbench.store.jobs import Store
from defectbench.store.records import read_records, told_leaks
from defectbench.store.sweeps import Asked, Sweep, write_sweep

if TYPE_CHECKING:
    from defectbench.executors.slurm import Slurm, Submitted

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a table is run.

    Attributes:
        preset: which preset.
        data: folder that holds the real datasets, if any.
        out: where results go; jobs lie in its `jobs/`.
        only: run only the cells with these values.
        retry: also try again what failed for a reason that would repeat.
        machine: devices and precision, see `training.Machine`.
        tensorboard: whether fits write TensorBoard files.
        foreign: folders of images that another program made, by the name of their column.
        unlabelled: what own images of which nothing says whether they are good are, of `datasets.base.UNLABELLED`.
    """

    preset: str = "smoke"
    data: Path | None = None
    out: Path = Path("results")
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry: bool = False
    machine: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    foreign: Mapping[str, str] = field(default_factory=dict)
    unlabelled: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        plan: the plan.
        reused: jobs that were done, or had failed, before.
        done: jobs done now.
        failed: reasons of failed jobs that another try might not meet, by label.
        lost: reasons of those that would fail again (divergence, bad input), by label.
        files: what was written.
    """

    plan: Plan
    reused: int
    done: int
    failed: Mapping[str, str]
    lost: Mapping[str, str]
    files: Sequence[Path]


def plan_table(name: str, options: Options, say: Say) -> Plan:
    """Load a table and plan it."""
    spec = with_foreign(load_table(names.find_table(name)), options.foreign)
    cache = options.out / "jobs"
    sources = find_sources(spec, options.preset, options.data, cache, say, options.unlabelled)
    return make_plan(spec, options.preset, sources)


@dataclass(frozen=True)
class Undertaking:
    """Tables that are planned as one.

    Attributes:
        tables: their names, or YAML files.
        options: how they are run.
        plans: one per table.
        needed: the jobs that the cells of each table need.
        jobs: all of them, each once, parents first.
        store: where they lie.
    """

    tables: Sequence[str]
    options: Options
    plans: Sequence[Plan]
    needed: Sequence[Mapping[str, Job]]
    jobs: Mapping[str, Job]
    store: Store

    @property
    def foreign(self) -> dict[str, Path]:
        """Folders of images that another program made, by digest."""
        return {digest: folder for plan in self.plans for digest, folder in plan.foreign.items()}

    def sweep(self) -> Sweep:
        """Write the sweep's file."""
        options = self.options
        asked = Asked(
            tables=[_absolute(table) for table in self.tables],
            preset=options.preset,
            data=os.path.abspath(options.data) if options.data is not None else "",  # noqa: PTH100
            only=dict(options.only),
            machine=dict(options.machine),
            tensorboard=options.tensorboard,
            foreign={name: os.path.abspath(f) for name, f in options.foreign.items()},  # noqa: PTH100
            unlabelled=options.unlabelled,
        )
        return write_sweep(self.store, asked, self.jobs, self.foreign)


def _absolute(table: str) -> str:
    return str(Path(table).resolve()) if table.endswith((".yaml", ".yml")) else table


def undertake(tables: Sequence[str], options: Options, say: Say) -> Undertaking:
    """Plan tables as one, set damaged jobs aside and forget failures that another try might not meet.

    Raises:
        UserError: a table cannot be planned, or has no cell with the values of `only`.
    """
    plans = [plan_table(table, options, say) for table in tables]
    store = Store(options.out / "jobs")
    store.open()
    needed = []
    for plan in plans:
        for key, values in options.only.items():
            known = {str(getattr(cell, key)): 0 for cell in plan.cells}
            for value in values:
                if value not in known:
                    raise UserError(
                        f"--only {key}={value}: no cell of {plan.spec.name} has it; {nearest(value, known)}"
                    )
        cells = [cell for cell in plan.cells if cell.matches(options.only)]
        if not cells:
            raise UserError(
                f"--only {dict(options.only)}: no cell of {plan.spec.name} has all of it"
            )
        needed.append(plan.needed(cells))
    jobs = {key: job for each in needed for key, job in each.items()}
    store.mend(jobs.values())
    for key in jobs:
        store.forgive(key, all_reasons=options.retry)
    return Undertaking(tables, options, plans, needed, jobs, store)


def run_table(name: str, options: Options, executor: Executor, board: Board, say: Say) -> Outcome:
    """Run one table, see `run_tables`."""
    return run_tables([name], options, executor, board, say)[0]


def run_tables(
    tables: Sequence[str], options: Options, executor: Executor, board: Board, say: Say
) -> list[Outcome]:
    """Run tables as one plan; what is finished is left as it is.

    Raises:
        UserError: something that the user can mend; what is finished is kept.
    """
    work = undertake(tables, options, say)
    store = work.store
    todo = waiting(work.jobs, store)
    try:
        if todo:
            _do(work, todo, executor, board, say)
    finally:
        files = [write_results(plan, store, options.out) for plan in work.plans]
        files[-1] += write_joint(options.out)
    for leak in dict.fromkeys(told for f in files for told in told_leaks(read_records(f[0]))):
        say(f"warning: {leak}")
    outcomes = []
    counted: set[str] = set()
    for plan, needed, written in zip(work.plans, work.needed, files, strict=True):
        mine = (todo.keys() & needed.keys()) - counted  # a job of two tables was done for the first
        counted |= mine
        for key, job in needed.items():
            for line in (store.result(key) or {}).get("remarks", []):
                if job.stage == "prepare" and "masks without a pixel" in line:
                    say(f"{job.spec['dataset']}/{job.spec.get('product', '')}: {line}")
        failed: dict[str, str] = {}
        lost: dict[str, str] = {}
        for key, job in needed.items():
            failure = store.failure(key)
            if failure and not failure.get("blocked") and not failure.get("undefined"):
                (lost if failure["repeats"] else failed)[job.label] = str(failure["reason"])
        outcomes.append(Outcome(plan, len(needed) - len(mine), len(mine), failed, lost, written))
    return outcomes


def _do(
    work: Undertaking, todo: Mapping[str, Job], executor: Executor, board: Board, say: Say
) -> None:
    options = work.options
    if not executor.elsewhere:
        say(told_device(options.machine))
    if executor.about:
        say(executor.about)
    context = Context(
        work.store,
        options.data,
        options.machine,
        options.tensorboard,
        foreign=work.foreign,
        sweep=work.sweep().path,
    )
    board.begin(todo, len(work.jobs) - len(todo))
    if executor.elsewhere:
        executor.run(todo, context, board)
    else:
        in_two_passes(work.jobs, executor, context, board)


def submit_tables(tables: Sequence[str], options: Options, slurm: Slurm, say: Say) -> Submitted:
    """Submit what tables lack to a cluster, and do not wait for it.

    Raises:
        UserError: a table cannot be planned, or the cluster refuses.
    """
    work = undertake(tables, options, say)
    return slurm.submit(work.sweep(), waiting(work.jobs, work.store))


def describe(plan: Plan, store: Store) -> dict[str, Any]:
    """Say what a plan holds: jobs by stage and state, fits against cells."""
    stages: dict[str, dict[str, int]] = {}
    for key, job in plan.jobs.items():
        states = stages.setdefault(job.stage, {})
        state = store.state(key)
        states[state] = states.get(state, 0) + 1
    return {
        "table": plan.spec.name,
        "title": plan.spec.title,
        "preset": plan.preset,
        "about": plan.spec.presets[plan.preset].about,
        "stand_in": any(source.stand_in or source.drawn for source in plan.sources.values()),
        "cells": len(plan.cells),
        "stages": stages,
        "jobs": [
            {
                "id": key,
                "stage": job.stage,
                "label": job.label,
                "state": store.state(key),
                "parents": dict(job.parents),
            }
            for key, job in plan.jobs.items()
        ],
    }
