"""Commands on sweeps: worker, status, logs, cancel, retry; all of them read the output folder alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from defectbench.cli.app import Stopped, app, console
from defectbench.cli.tables import AsJson, OutFolder, say
from defectbench.store.jobs import Store
from defectbench.store.sweeps import Sweep, find_sweep

Which = Annotated[
    str, typer.Option("--sweep", help="Id of a sweep, or its beginning; the newest by default.")
]


def chosen(out: Path, which: str) -> Sweep:
    """Find the sweep that a command is about."""
    return find_sweep(Store(out / "jobs"), which)


@app.command()
def worker(
    sweep: Annotated[Path, typer.Argument(help="File of a sweep, OUT/jobs/sweeps/ID.json.")],
    workers: Annotated[
        int, typer.Option(min=0, help="Worker processes; 0: one per GPU, or per core.")
    ] = 0,
    idle_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes to wait for a job that can be started.")
    ] = 10.0,
) -> None:
    """Do jobs of a sweep until none is left; any machine that sees the output folder may start workers.

    Example: `defectbench worker results/jobs/sweeps/0123456789ab.json --workers 4`
    """
    from defectbench.cli.board import LiveBoard
    from defectbench.runner.worker import work

    try:
        with LiveBoard(console) as board:
            whole = work(sweep, workers, idle_minutes, board, say)
    except Stopped as stop:
        if not os.environ.get("SLURM_JOB_ID"):
            raise
        from defectbench.executors.slurm import requeue

        why = requeue()
        say(
            f"stopped by {stop.signal.name}: running fits wrote a checkpoint; "
            + (f"not requeued ({why})" if why else "this allocation is requeued")
        )
        raise typer.Exit(128 + stop.signal if why else 0) from None
    say("every job has ended" if whole else "nothing is left for this worker")


@app.command()
def status(out: OutFolder = Path("results"), sweep: Which = "", as_json: AsJson = False) -> None:
    """Show a sweep: jobs by state, running jobs with their machines, estimated time left, failed jobs with reasons.

    Example: `defectbench status --out results`
    """
    from rich.table import Table

    from defectbench.runner.status import status as find_status

    told = find_status(chosen(out, sweep))
    if as_json:
        typer.echo(json.dumps(told))
        return
    console.print(
        f"sweep {told['sweep']}: {', '.join(told['tables'])}, {told['preset']}, planned {told['date']}"
        + (f" at {told['commit']}" if told["commit"] else "")
        + (", cancelled" if told["cancelled"] else ""),
        markup=False,
        soft_wrap=True,
    )
    known = ("done", "failed", "undefined", "blocked", "skipped", "running", "waiting")
    seen = {state for counts in told["stages"].values() for state in counts}
    states = tuple(s for s in known if s in seen | {"done", "failed", "running", "waiting"})
    sheet = Table("stage", "jobs", *states)
    for stage, counts in told["stages"].items():
        numbers = [counts.get(state, 0) for state in states]
        sheet.add_row(stage, *map(str, [sum(numbers), *numbers]))
    console.print(sheet)
    for job in told["running"]:
        where = job["host"] + (f", allocation {job['slurm']}" if job["slurm"] else "")
        share = f", {100 * job['done'] / job['of']:.0f} %" if job["of"] else ""
        line(f"running: {job['id']} {job['label']}: {where}, for {spell(job['seconds'])}{share}")
    for allocation in told["allocations"]:
        line(f"allocation {allocation['id']}: {allocation['state']} {allocation['reason']}")
    for note in told["workers"]:
        if note["state"] == "refused":
            line(f"worker on {note['host']} refused: {note['reason']}")
    for job in told["failed"]:
        line(f"failed: {job['id']} {job['label']}: {job['reason']}")
    if told["seconds_left"]:
        line(f"about {spell(told['seconds_left'])} left with {len(told['running'])} worker(s)")
    if told["others"]:
        line(f"other sweeps: {', '.join(told['others'])}")


@app.command()
def logs(
    job: Annotated[str, typer.Argument(help="Id of a job, its beginning, or its label.")],
    out: OutFolder = Path("results"),
    sweep: Which = "",
    as_json: AsJson = False,
) -> None:
    """Show what is known of one job: state, worker, error, and the last lines of its logs.

    Example: `defectbench logs "fit DCDGANc wood seed 0" --out results`
    """
    from defectbench.runner.status import find_job
    from defectbench.runner.status import logs as find_logs

    found = chosen(out, sweep)
    told = find_logs(found, find_job(found, job))
    if as_json:
        typer.echo(json.dumps(told))
        return
    line(f"{told['id']} {told['label']}: {told['state']}")
    if told["reason"]:
        line(f"reason: {told['reason']}")
    note = told["worker"]
    if note:
        line(f"worker: {note['host']}, process {note['pid']}, {note.get('slurm', 'not in Slurm')}")
    line(f"folder: {told['folder']}")
    for name, lines in told["files"].items():
        line(f"--- {name}")
        for each in lines:
            line(each)


@app.command()
def cancel(out: OutFolder = Path("results"), sweep: Which = "", as_json: AsJson = False) -> None:
    """End a sweep on every machine; finished jobs are kept, running ones resume from their last checkpoint.

    Example: `defectbench cancel --out results`
    """
    from defectbench.executors.slurm import cancel_allocations
    from defectbench.store.sweeps import end

    found = chosen(out, sweep)
    end(found)
    count = cancel_allocations(found)
    if as_json:
        typer.echo(json.dumps({"sweep": found.id, "allocations": count}))
        return
    line(
        f"sweep {found.id} is cancelled: {count} allocation(s) of Slurm ended; other workers stop within seconds, "
        "an inline run after its job; run the same command again to go on"
    )


@app.command()
def retry(
    jobs: Annotated[
        list[str] | None, typer.Argument(help="Ids or labels; by default every failed job.")
    ] = None,
    out: OutFolder = Path("results"),
    sweep: Which = "",
    as_json: AsJson = False,
) -> None:
    """Forget why jobs failed; the next run of the same tables tries them again.

    Example: `defectbench retry "fit DCDGANc wood seed 0" --out results`
    """
    from defectbench.runner.status import retry as forgive

    found = chosen(out, sweep)
    labels = forgive(found, jobs or [])
    if as_json:
        typer.echo(json.dumps({"sweep": found.id, "jobs": labels}))
        return
    for label in labels:
        line(f"will be tried again: {label}")
    line(f"{len(labels)} job(s); give the same `defectbench run` again to try them")


def line(text: str) -> None:
    """Print one line as it is."""
    console.print(text, markup=False, soft_wrap=True)


def spell(seconds: float) -> str:
    """Write a duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
