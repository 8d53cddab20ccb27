"""A journal of what happens to jobs: who looks for work reads what is new in one file instead of looking at every job.

Each line is an id and a letter. The journal only saves looks: what counts is the job's folder, and a line that was lost
(another version wrote the store, a file system that mixes up the ends of files) costs a later look and nothing else.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

Event = Literal["begun", "done", "failed", "open"]
LETTERS: dict[str, Event] = {"b": "begun", "d": "done", "f": "failed", "o": "open"}
LINE = re.compile(rb"[0-9a-f]{16} [bdfo]")


class Journal:
    """The file `states.log` of a store.

    Args:
        root: the store's folder.
    """

    def __init__(self, root: Path) -> None:
        """Keep the place."""
        self.path = root / "states.log"

    def add(self, job: str, event: Event) -> None:
        """Append a line. A disk that takes none is no reason to stop: the job itself will meet it."""
        letter = next(key for key, value in LETTERS.items() if value == event)
        with suppress(OSError):
            number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(
                    number, fcntl.LOCK_EX
                )  # over NFS this also makes the end of the file known
                os.write(number, f"{job} {letter}\n".encode())
            finally:
                os.close(number)

    def reader(self) -> Reader:
        """Give a reader that begins at the present end."""
        return Reader(self.path)


class Reader:
    """Reads what was added since it last looked.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        """Begin at the end."""
        self._path = path
        self._place = 0
        with suppress(OSError):
            self._place = path.stat().st_size

    def news(self) -> list[tuple[str, Event]]:
        """Give what happened since the last call, in order; a job may be there more than once."""
        try:
            number = os.open(self._path, os.O_RDONLY)
        except OSError:
            return []
        try:
            size = os.fstat(number).st_size
            if size < self._place:  # deleted and begun anew
                self._place = 0
            text = os.pread(number, size - self._place, self._place)
        except OSError:
            return []
        finally:
            os.close(number)
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return [
            (line[:16].decode(), LETTERS[chr(line[17])])
            for line in whole.split(b"\n")
            if LINE.fullmatch(line)
        ]
