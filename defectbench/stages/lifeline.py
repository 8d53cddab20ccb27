"""Processes that end with the one that started them, also when that one was killed."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Connection, wait


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
