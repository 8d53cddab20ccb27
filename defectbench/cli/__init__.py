"""The command line. `--help` and `plan` import no torch; whatever a user can mend is one line and exit code 2."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from defectbench.cli.app import app, console, errors  # noqa: F401  (console: for tests)
from defectbench.config import UserError


class Stopped(BaseException):
    """The user pressed Ctrl-C. Typer and Lightning end the process on a KeyboardInterrupt in ways of their own."""


def _stop(*_: object) -> NoReturn:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the way out is short; a second Ctrl-C shall not cut it
    raise Stopped


def main() -> None:
    """Run the command line; errors of the user's are told without a traceback."""
    # Sums of NumPy's linear algebra depend on its threads, and so would the bytes of a table.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from defectbench.cli import (  # noqa: F401  (they add their commands)
        data,
        generators,
        look,
        score,
        tables,
    )

    before = signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except UserError as error:
        errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Stopped:
        errors.print(
            "stopped: what is finished is kept, and a fit that was running goes on from its last checkpoint; "
            "run the same command again",
            soft_wrap=True,
        )
        sys.exit(130)
    except OSError as error:
        errors.print(
            f"error: {error.filename or ''}: {error.strerror or error}", style="red", markup=False
        )
        sys.exit(2)
    finally:
        signal.signal(signal.SIGINT, before)
