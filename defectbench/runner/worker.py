"""A worker of a sweep: all it needs is the sweep's file, on this machine or any other that sees the output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from defectbench.config import UserError
from defectbench.executors.base import Board
from defectbench.executors.local import Local, cuda_devices
from defectbench.executors.order import refuse_impossible, waiting
from defectbench.files import write_text
from defectbench.runner.results import write_joint, write_results
from defectbench.runner.run import Options, plan_table
from defectbench.stages.context import Context
from defectbench.store.sweeps import Sweep, WorkerNote, check_code, read_sweep

Say = Callable[[str], None]


def work(path: Path, workers: int, idle_minutes: float, board: Board, say: Say) -> bool:
    """Do jobs of a sweep until nothing is left for this worker; whoever sees the last one end writes the tables.

    Args:
        path: the sweep's file.
        workers: worker processes; 0 for one per GPU, or without any per core.
        idle_minutes: how long to wait for a job that can be begun.
        board: is told what happens.
        say: called with each remark.

    Returns:
        whether every job of the sweep has ended.

    Raises:
        UserError: code or versions are not those that planned the sweep, the sweep was cancelled, or the disk is full.
    """
    sweep = read_sweep(path)
    note = WorkerNote(sweep)
    try:
        check_code(sweep)
    except UserError as error:
        note.say("refused", str(error))
        raise
    try:
        _work(sweep, workers, 60 * idle_minutes, board, say)
    except BaseException as error:
        note.say("stopped", str(error) or type(error).__name__)
        raise
    left = waiting(sweep.jobs, sweep.store)
    note.say("ended", f"{len(left)} jobs are left to others" if left else "")
    if not left:
        collect_sweep(sweep, say)
    return not left


def _work(sweep: Sweep, workers: int, patience: float, board: Board, say: Say) -> None:
    asked, store = sweep.asked, sweep.store
    gpus = () if asked.machine["accelerator"] == "cpu" else cuda_devices()
    local = Local(workers, gpus, asked.machine["devices"], patience=patience, code=sweep.code)
    say(f"sweep {sweep.id}: {local.about}")
    context = Context(
        store,
        Path(asked.data) if asked.data else None,
        asked.machine,
        asked.tensorboard,
        foreign=sweep.folders,
        sweep=sweep.path,
    )
    todo = waiting(sweep.jobs, store)
    board.begin(todo, len(sweep.jobs) - len(todo))
    first = {key: job for key, job in todo.items() if job.stage == "prepare"}
    try:
        local.run(first, context, board)
        if any(store.state(key) not in {"done", "failed"} for key in first):
            return  # others prepare images, and longer than this worker waits
        with FileLock(str(sweep.folder / ".check.lock")):
            if not (sweep.folder / "checked").exists():
                refuse_impossible(sweep.jobs, store, board)
                write_text(sweep.folder / "checked", "")
        local.run(waiting(sweep.jobs, store), context, board)
    finally:
        local.close()


def collect_sweep(sweep: Sweep, say: Say) -> list[Path]:
    """Write the tables of a sweep from its jobs.

    Returns:
        the files; none while another worker writes them.
    """
    asked = sweep.asked
    options = Options(
        preset=asked.preset,
        data=Path(asked.data) if asked.data else None,
        out=sweep.out,
        only=asked.only,
        foreign=asked.foreign,
        unlabelled=asked.unlabelled,
    )
    files = []
    try:
        with FileLock(str(sweep.folder / ".results.lock"), timeout=0):
            for table in asked.tables:
                plan = plan_table(table, options, say)
                needed = plan.needed([c for c in plan.cells if c.matches(options.only)])
                if not needed.keys() <= sweep.jobs.keys():
                    say(f"{table}: has changed since it was planned; run it again to write it")
                    continue
                files += write_results(plan, sweep.store, sweep.out)
            files += write_joint(sweep.out)
    except Timeout:
        return []
    return files
