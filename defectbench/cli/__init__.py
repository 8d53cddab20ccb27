"""The command line. `--help` and `plan` import no torch. A mistake that a user can fix is one line and exit code 2."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

from defectbench.cli.app import Stopped, app, console, errors  # noqa: F401  (console: for tests)
from defectbench.config import UserError

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
"""What users, terminals and schedulers (Slurm, LSF) send to end a command."""


def _stop(number: int, _: object) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the way out is short; a second one shall not cut it
    raise Stopped(number)


def main() -> None:
    """Run the command line; report mistakes of the user without a traceback."""
    # Sums of NumPy's linear algebra depend on its threads, and so would the bytes of a table.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a terminal of another encoding, a strange file name
    from defectbench.cli import (  # noqa: F401  (they add their commands)
        cluster,
        data,
        generators,
        look,
        score,
        sweep,
        tables,
    )

    # What was ignored stays so (`nohup`), but for Ctrl-C.
    heard = [n for n in SIGNALS if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, _stop) for number in heard}
    try:
        app()
    except UserError as error:
        errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Stopped as stop:
        by = "" if stop.signal == signal.SIGINT else f" by {stop.signal.name}"
        errors.print(
            f"stopped{by}: finished jobs are kept. Run the same command again; an interrupted fit resumes from its "
            "last checkpoint.",
            soft_wrap=True,
        )
        sys.exit(128 + stop.signal)
    except OSError as error:
        errors.print(
            f"error: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
