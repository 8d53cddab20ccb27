"""The Typer application that commands are added to, and where they print."""

from __future__ import annotations

import typer
from rich.console import Console

app = typer.Typer(
    name="defectbench",
    help="Benchmark generators of synthetic defects, and the downstream models that train on them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
