"""The Typer application that commands are added to, and where they print."""

from __future__ import annotations

import signal

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
console = Console(highlight=False, emoji=False)  # `:x:` in a path or label is none
errors = Console(stderr=True, highlight=False, emoji=False)


class Stopped(BaseException):
    """A signal asked the command to end, e.g. Ctrl-C.

    Typer and Lightning end the process on a KeyboardInterrupt in ways of their own, and Lightning on SIGTERM with exit
    code 0.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)
