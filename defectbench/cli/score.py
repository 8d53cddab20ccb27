"""The command `score`: anyone's images against anyone's images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from defectbench.cli.app import app, console
from defectbench.cli.tables import AsJson, OutFolder, say
from defectbench.config import UserError

if TYPE_CHECKING:
    from defectbench.metrics.parts.scoring import ScoreRow
    from defectbench.single.score_folders import Scored

WIDTH = 120  # columns of the table where no terminal says how many there are


@app.command()
def score(
    real: Annotated[Path, typer.Option(help="Folder of real images.")],
    fake: Annotated[Path, typer.Option(help="Folder of synthetic images.")],
    train: Annotated[
        Path | None,
        typer.Option(help="Folder of the real images that the generator was trained on."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of defect masks with the stems of the synthetic images."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the normal images that the synthetic ones were made from, same stems."
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Names of metrics (`defectbench list metrics`); default: those whose weights are on this machine.",
        ),
    ] = None,
    out: OutFolder = Path("results"),
    name: Annotated[
        str, typer.Option(help="Name of the synthetic set; default: its folder's name.")
    ] = "",
    size: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Side to which all images are resized, pixels."),
    ] = None,
    replicates: Annotated[
        int, typer.Option(min=0, help="Bootstrap resamples per interval; 0: no intervals.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Score synthetic images against real ones, without training or a table.

    Writes a record for `collect` and the leaderboard, and a picture of the nearest neighbours.

    Examples:

    `defectbench score --real real/crack --fake samples/images --name mine`

    `defectbench score --real real --fake fake --metrics fd_lite0_imagenet,kd_lite0_imagenet --size 64`

    `defectbench score --real test --fake fake --train train --masks masks --sources normals`
    """
    chosen = tuple(part.strip() for part in (metrics or "").split(",") if part.strip())
    if metrics is not None and not chosen:
        raise UserError(
            f"--metrics {metrics!r}: no name of a metric; see `defectbench list metrics`"
        )

    from defectbench.single.score_folders import Wish, score_folders, shown_name

    wish = Wish(real, fake, train, masks, sources, chosen, out, name, size, replicates)
    found = score_folders(wish, say)
    if as_json:
        told = {
            "name": found.name,
            "job": found.job,
            "rows": [{"name": shown_name(row), **asdict(row)} for row in found.rows],
            "files": [str(file) for file in found.files],
        }
        typer.echo(json.dumps(told))
        return
    _print(found)


def _print(found: Scored) -> None:
    """Print the scores as a table and the reasons of those that are missing below it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from defectbench.single.score_folders import shown_name

    beside = {(str(row.kind), shown_name(row)): row for row in found.rows}
    kinds = {row.kind for row in found.rows}
    scores = [row for row in found.rows if row.kind == "score"]
    sheet = Table(title=found.name, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    sheet.add_column("score", overflow="fold")
    heads = {"floor": "real vs real", **({"ceiling": "copies"} if "ceiling" in kinds else {})}
    for head in ("value", "95 % interval", *heads.values(), "n real", "n fake"):
        sheet.add_column(head, justify="right", no_wrap=True)
    sheet.add_column("better", no_wrap=True)
    for row in scores:
        shown = shown_name(row)
        sheet.add_row(
            shown,
            _number(row),
            "" if row.ci_low is None else f"{row.ci_low:.4g} … {row.ci_high:.4g}",
            *(_number(beside.get((kind, shown))) for kind in heads),
            str(row.n_real) if row.n_real else "–",
            str(row.n_fake) if row.n_fake else "–",
            row.better,
        )
    # A pipe has no width of its own; names are not folded there.
    board = console if console.is_terminal else Console(highlight=False, emoji=False, width=WIDTH)
    board.print(sheet)
    for row in scores:
        if row.value is None:
            console.print(f"{shown_name(row)}: {row}", markup=False, soft_wrap=True)
    for file in found.files:
        console.print(f"  {file}", markup=False, soft_wrap=True)
    console.print("`defectbench collect` adds the record to the leaderboard", markup=False)


def _number(row: ScoreRow | None) -> str:
    """A value in four digits, "n/a", or "–" where there is none of its kind."""
    if row is None:
        return "–"
    return "n/a" if row.value is None else f"{row.value:.4g}"
