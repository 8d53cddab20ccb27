"""Files that are written whole or not at all, and the one rule for a file that is damaged all the same.

A disk that loses its power may keep the new name of a file whose bytes it has not written yet. So every file that takes
the place of another is flushed to the disk before it is renamed. A file that cannot be read nevertheless (cut short by a
copy, a quota, a broken disk) is named, set aside as `NAME.damaged`, and made again from the last good state.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DAMAGED = ".damaged"
"""Suffix of a file that was set aside."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a temporary file beside `path`, which takes its place when the block ends without an error.

    Its bytes are on the disk before it is renamed: a kill or a loss of power leaves the old file or the new one.

    Args:
        path: the file to write; its folder is made.

    Yields:
        where to write; its name says nothing, so nothing may depend on it (`torch.save` puts names into archives).

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk."""
    folder = path.is_dir()
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not folder:  # some file systems have no way to flush a folder
            raise
    finally:
        os.close(number)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8 and with the line ends that `text` has."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def clear_unfinished(folder: Path) -> None:
    """Delete the temporary files that killed processes have left in a folder in which nobody else writes."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def set_aside(path: Path, why: object, folder: Path | None = None) -> Path:
    """Rename a damaged file to `NAME.damaged` and name it on standard error.

    Args:
        path: the file.
        why: what is wrong with it.
        folder: a folder above it that takes it, under a name that tells where it was; its own one by default. A
            dataset's folder must hold nothing that a scan would not expect.

    Returns:
        where it lies now.
    """
    name = path.name if folder is None else "-".join(path.relative_to(folder).parts)
    target = (folder or path.parent) / f"{name}{DAMAGED}"
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{name}{DAMAGED}.{number}")
    with suppress(FileNotFoundError):  # another process was faster
        os.replace(path, target)
    tell_damage(path, why, f"set aside as {target.name}; it is made again")
    return target


def tell_damage(path: Path, why: object, what: str) -> None:
    """Name a damaged file on standard error, with what becomes of it."""
    text = " ".join(str(why).split())[:200]
    print(f"damaged: {path} ({text}): {what}", file=sys.stderr, flush=True)
