"""The command `sweep`: tables x seeds x changed keys as one plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from defectbench.cli.app import app, console
from defectbench.cli.tables import AsJson, DataRoot, OutFolder, Unlabelled, run, say


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="A sweep file.")],
    data: DataRoot = None,
    on: Annotated[str, typer.Option(help="Executor: inline, local or slurm.")] = "inline",
    workers: Annotated[int, typer.Option(min=0, help="Worker processes of --on local.")] = 0,
    out: OutFolder = Path("results"),
    retry: Annotated[bool, typer.Option(help="Retry failed jobs too.")] = False,
    accelerator: Annotated[str, typer.Option(help="Accelerator: auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Number of devices per fit (DDP).")] = 1,
    precision: Annotated[str, typer.Option(help="Precision, see `run`.")] = "auto",
    unlabelled: Unlabelled = "",
    cluster: Annotated[str, typer.Option(help="Profile of --on slurm.")] = "",
    max_allocations: Annotated[int, typer.Option(min=0, help="Allocations of --on slurm.")] = 0,
    wait: Annotated[bool, typer.Option("--wait", help="With --on slurm: stay.")] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Only say how many jobs, hours and bytes it takes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run every case of a sweep file as one plan; jobs that cases share are done once.

    Examples:

    `defectbench sweep budgets.yaml --cost`

    `defectbench sweep budgets.yaml --out /shared/results --on slurm --cluster gpu`
    """
    from defectbench.runner.cases import write_tables

    tables, preset = write_tables(file, out)
    if cost:
        from defectbench.runner.cost import costs, told_costs
        from defectbench.runner.run import Options, plan_table

        options = Options(preset=preset, data=data, out=out, unlabelled=unlabelled)
        plans = [plan_table(str(table), options, say) for table in tables]
        found = costs({key: job for plan in plans for key, job in plan.jobs.items()}, out)
        if as_json:
            typer.echo(json.dumps({"cases": len(tables), **found}))
            return
        for line in (f"{len(tables)} cases", *told_costs(found)):
            console.print(line, markup=False, soft_wrap=True)
        return
    run(
        tables=[str(table) for table in tables],
        preset=preset,
        data=data,
        on=on,
        workers=workers,
        out=out,
        retry=retry,
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        unlabelled=unlabelled,
        cluster=cluster,
        max_allocations=max_allocations,
        wait=wait,
        as_json=as_json,
    )
