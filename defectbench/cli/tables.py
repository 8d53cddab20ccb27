"""Commands on tables: plan, run, collect, compare."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defectbench.cli.app import app, console, errors
from defectbench.config import UserError

if TYPE_CHECKING:
    from defectbench.api import TableRun
    from defectbench.executors.slurm import Submitted

TableName = Annotated[
    str, typer.Argument(help="Name of a table (`defectbench list tables`) or a YAML file.")
]
PresetName = Annotated[str, typer.Option(help="Preset: smoke, small or paper.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="DEFECTBENCH_DATA",
        help="Folder that holds the real datasets as published: mvtec_ad/, mtd/, …",
    ),
]
Unlabelled = Annotated[
    str,
    typer.Option(
        metavar="good|ignore",
        help="Own images of which nothing says whether they are good: count them as good, or leave them out. "
        "Without it they are refused.",
    ),
]
OutFolder = Annotated[
    Path, typer.Option(help="Folder for results; jobs are in its subfolder jobs/.")
]
Foreign = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FOLDER",
        help="Additional column: a folder of images/DEFECT and masks/DEFECT from another program; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def say(text: str) -> None:
    """Print a remark on standard error, so that JSON on standard output stays valid."""
    errors.print(text, markup=False, soft_wrap=True)


@app.command()
def plan(
    table: TableName,
    preset: PresetName = "smoke",
    data: DataRoot = None,
    out: OutFolder = Path("results"),
    foreign: Foreign = None,
    unlabelled: Unlabelled = "",
    cost: Annotated[
        bool,
        typer.Option("--cost", help="Say what the jobs to do will cost, from earlier records."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which jobs a table needs and which are done, without running any.

    Example: `defectbench plan dcdgan_c/table5 --preset paper --data /datasets`
    """
    from rich.table import Table

    from defectbench.runner.foreign import parse_foreign
    from defectbench.runner.run import Options, describe, plan_table
    from defectbench.runner.sources import check_data_used
    from defectbench.store.jobs import Store

    check_data_used([table], preset, data)
    options = Options(
        preset=preset,
        data=data,
        out=out,
        foreign=parse_foreign(foreign or []),
        unlabelled=unlabelled,
    )
    planned = plan_table(table, options, say)
    told = describe(planned, Store(out / "jobs"))
    if cost:
        from defectbench.runner.cost import costs, told_costs

        told["cost"] = costs(planned.jobs, out)
    if as_json:
        typer.echo(json.dumps(told))
        return
    console.print(f"[bold]{told['table']}[/] {told['preset']}: {told['title']}")
    console.print(told["about"], markup=False)
    sheet = Table("stage", "jobs", "done", "failed", "running", "waiting")
    for stage, states in told["stages"].items():
        counts = [states.get(s, 0) for s in ("done", "failed", "running", "waiting")]
        sheet.add_row(stage, *map(str, [sum(counts), *counts]))
    console.print(sheet)
    fits = sum(told["stages"].get("fit", {}).values())
    console.print(f"{told['cells']} cells; {fits} fits are shared by all of them")
    if cost:
        for line in told_costs(told["cost"]):
            console.print(line, markup=False, soft_wrap=True)


@app.command()
def run(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE...", help="Names of tables or YAML files.")
    ],
    preset: PresetName = "smoke",
    data: DataRoot = None,
    on: Annotated[
        str,
        typer.Option(
            help="Executor: inline (this process), local (worker processes) or slurm (allocations of a cluster)."
        ),
    ] = "inline",
    workers: Annotated[
        int,
        typer.Option(
            min=0, help="Number of worker processes; 0: one per GPU, or per core of this process."
        ),
    ] = 0,
    out: OutFolder = Path("results"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Run only these cells; keys: subset, method, arm, model, label. Values of one key are alternatives.",
        ),
    ] = None,
    retry: Annotated[
        bool, typer.Option(help="Retry failed jobs too, even if they would fail in the same way.")
    ] = False,
    accelerator: Annotated[str, typer.Option(help="Accelerator: auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Number of devices per fit (DDP).")] = 1,
    precision: Annotated[
        str, typer.Option(help="Precision; auto: bf16-mixed on CUDA, 32-true on the CPU.")
    ] = "auto",
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard files of fits.")] = False,
    foreign: Foreign = None,
    unlabelled: Unlabelled = "",
    cluster: Annotated[
        str,
        typer.Option(help="Profile of --on slurm: cpu, gpu, clusters/NAME.yaml, or a YAML file."),
    ] = "",
    max_allocations: Annotated[
        int, typer.Option(min=0, help="Allocations of --on slurm; 0: as the profile says.")
    ] = 0,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --on slurm: show the jobs until all have ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run tables: do every job that is not done yet, then write CSV, Markdown, pictures and leaderboard.

    Examples:

    `defectbench run dcdgan_c/table5`

    `defectbench run house/mtd --data /datasets --preset small --on local`

    `defectbench run dcdgan_c/table5 --only method=StarGAN --only subset=wood`

    `defectbench run house/oracle --foreign MyTool=out/my_images`

    `defectbench run dcdgan_c/table5 --preset paper --data /datasets --out /shared/results --on slurm --cluster gpu`
    """
    from defectbench import api
    from defectbench.cli.board import LiveBoard
    from defectbench.machine import check_accelerator
    from defectbench.plan.plan import parse_only
    from defectbench.runner.foreign import parse_foreign

    check_accelerator(accelerator)
    machine = {"accelerator": accelerator, "devices": devices, "precision": precision}
    if wait and on != "slurm":
        raise UserError(f"--wait: expected --on slurm; --on {on} always waits; leave it out")
    if on == "slurm" and not wait:
        submitted = api.submit(
            *tables,
            cluster=cluster,
            preset=preset,
            data=data,
            out=out,
            only=parse_only(only or []),
            retry=retry,
            machine=machine,
            tensorboard=tensorboard,
            foreign=parse_foreign(foreign or []),
            unlabelled=unlabelled,
            max_allocations=max_allocations,
            say=say,
        )
        _tell_submitted(submitted, out, as_json=as_json)
        return
    if wait:
        say(f"Ctrl-C ends only this display; to end the sweep: defectbench cancel --out {out}")
    done = api.run(
        *tables,
        preset=preset,
        data=data,
        out=out,
        on=on,
        workers=workers,
        only=parse_only(only or []),
        retry=retry,
        machine=machine,
        tensorboard=tensorboard,
        foreign=parse_foreign(foreign or []),
        unlabelled=unlabelled,
        cluster=cluster,
        max_allocations=max_allocations,
        board=lambda: LiveBoard(console, quiet=as_json),
        say=say,
    )
    _tell_done(done, preset, as_json=as_json)


def _tell_done(runs: Iterable[TableRun], preset: str, *, as_json: bool) -> None:
    """Say what was done, table by table, and what failed; exit code 1 if something did."""
    unexpected: dict[str, str] = {}
    lost: dict[str, str] = {}
    told: list[dict[str, Any]] = []
    asked: list[str] = []
    for done in runs:
        outcome = done.outcome
        unexpected |= outcome.failed
        lost |= outcome.lost
        fits = [job.id for job in outcome.plan.jobs.values() if job.stage == "fit"]
        asked += fits
        told.append(
            {
                "table": outcome.plan.spec.name,
                "preset": preset,
                "done": outcome.done,
                "reused": outcome.reused,
                "failed": {**outcome.failed, **outcome.lost},
                "cells": len(outcome.plan.cells),
                "fits": len(fits),
                "files": [str(f) for f in outcome.files],
            }
        )
        if not as_json:
            if not outcome.done:
                how = "done or have failed" if outcome.lost else "done"
                console.print(
                    f"{outcome.plan.spec.name} {preset}: nothing to do, {outcome.reused} jobs are {how}"
                )
            console.print(f"{len(outcome.plan.cells)} cells from {len(fits)} fits", markup=False)
            for file in outcome.files:
                if file.suffix in {".csv", ".md", ".png"}:
                    console.print(f"  {file}", markup=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(told))
    elif len(told) > 1:
        cells = sum(table["cells"] for table in told)
        console.print(
            f"{len(told)} tables, {cells} cells. {len(asked)} fits requested, {len(set(asked))} distinct; "
            "each is trained once"
        )
    for label, reason in lost.items():
        errors.print(f"failed: {label}: {reason}", markup=False, soft_wrap=True)
    for label, reason in unexpected.items():
        errors.print(f"failed, run again to retry: {label}: {reason}", markup=False, soft_wrap=True)
    if unexpected or lost:
        raise typer.Exit(1)


def _tell_submitted(told: Submitted, out: Path, *, as_json: bool) -> None:
    """Say what was submitted, and what to do next."""
    ended = len(told.sweep.jobs) - told.jobs
    if as_json:
        content = {
            "sweep": told.sweep.id,
            "file": str(told.sweep.path),
            "jobs": told.jobs,
            "ended": ended,
            "slurm_job": told.slurm_job,
            "added": told.added,
            "alive": told.alive,
        }
        typer.echo(json.dumps(content))
        return
    array = f"submitted job {told.slurm_job}: {told.added} allocation(s)"
    shown = shlex.quote(str(out))
    for text in (
        f"sweep {told.sweep.id}: {told.jobs} jobs to do, {ended} ended before",
        f"{array if told.added else 'nothing submitted'}; {told.alive} allocation(s) were there already",
        f"  defectbench status --out {shown}",
        f"  defectbench cancel --out {shown}",
        "the last worker writes the tables; the same command again adds only what is missing",
    ):
        console.print(text, markup=False, soft_wrap=True)


@app.command()
def collect(out: OutFolder = Path("results")) -> None:
    """Write every table and the leaderboard again from `records/` alone, without data or jobs.

    Example: `defectbench collect --out results`
    """
    from defectbench.runner.results import recollect

    for file in recollect(out):
        console.print(str(file), markup=False, soft_wrap=True)


@app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(help="CSV of defectbench: a table, a leaderboard or gains.")
    ],
    second: Annotated[Path, typer.Argument(help="Second CSV of the same sort.")],
    as_json: AsJson = False,
) -> None:
    """Compare two CSVs: differences with 95 % intervals, changes of rank and budget, rows without a partner.

    Both are tables, leaderboards or gains.

    Example: `defectbench compare old/leaderboard.csv results/leaderboard.csv`
    """
    from dataclasses import asdict

    from rich.table import Table

    from defectbench.report.collect import read_csv
    from defectbench.report.compare import compare as compare_rows

    found = compare_rows(read_csv(first), read_csv(second))
    if as_json:
        content = asdict(found)
        for row in content["rows"]:
            row |= {k: None for k in ("low", "high") if math.isnan(row[k])}
        typer.echo(json.dumps(content))
        return
    sheet = Table("row", "first", "second", "difference", "95 % interval", "rank")
    for row in found.rows:
        interval = "" if math.isnan(row.low) else f"[{row.low:+.4f}, {row.high:+.4f}]"
        rank = str(row.second_rank)
        if row.first_rank != row.second_rank:
            rank = f"{row.first_rank} → {row.second_rank}"
        sheet.add_row(
            " · ".join(v for k, v in row.key.items() if k != "preset"),
            f"{row.first:.4f}",
            f"{row.second:.4f}",
            f"{row.second - row.first:+.4f}",
            interval.replace("[", "\\["),
            rank,
        )
    console.print(sheet)
    for line in found.budgets:
        console.print(line, markup=False, soft_wrap=True)
    for title, rows in (
        (f"only in {first}", found.only_first),
        (f"only in {second}", found.only_second),
        ("without a number in one of them", found.without_number),
    ):
        for key in rows:
            console.print(f"{title}: {' · '.join(key.values())}", markup=False, soft_wrap=True)
