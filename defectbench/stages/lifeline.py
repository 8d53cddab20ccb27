"""How processes end: with the one that started them, also when that one was killed, or because they are asked to.

Schedulers warn before they kill: SIGTERM at a pre-emption or `scancel`, SIGUSR2 before the time limit. A fit then writes a
checkpoint after its step; everything else stops at once. `Halted` passes through the job, so that its claim is released
and another worker takes the job up without waiting for the lease to age.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def end_with(parent: int | Connection) -> None:
    """Let this process end at once when its parent does, whatever it is at.

    Args:
        parent: becomes readable when the parent ends and not before: the sentinel of `multiprocessing.parent_process`,
            or a pipe on which the parent sends nothing any more.
    """

    def watch() -> None:
        wait([parent])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


class Halted(BaseException):
    """This process was asked to end; no job is at fault."""


class _State:
    asked = False
    waits = False


def listen() -> None:
    """Let the signals that ask a process to end raise `Halted`, now or after the running step of a fit."""
    for number in SIGNALS:
        signal.signal(number, _hear)


def _hear(*_: object) -> None:
    if _State.asked and not _State.waits:
        return  # on its way out already
    _State.asked = True
    if not _State.waits:
        raise Halted


def asked() -> bool:
    """Say whether this process was asked to end."""
    return _State.asked


@contextmanager
def at_a_step(keeps: bool) -> Iterator[None]:
    """Let the block end itself where it can keep its state, by looking at `asked`.

    Args:
        keeps: whether it does so; otherwise the signal ends it at once.
    """
    _State.waits = keeps
    try:
        yield
    finally:
        _State.waits = False
    if _State.asked:
        raise Halted
