"""Files that are written whole or not at all, and the one rule for a file that is damaged all the same.

A disk that loses its power may keep the new name of a file whose bytes it has not written yet. So every file that takes
the place of another is flushed to the disk before it is renamed. A file that cannot be read nevertheless (cut short by a
copy, a quota, a broken disk) is named, set aside as `NAME.damaged`, and made again from the last good state. CSVs that
people have had in a spreadsheet program are read here too.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from defectbench.config import UserError

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
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a write into an open file names none
        raise
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


def keep_out(out: Path, root: Path, option: str = "--out") -> None:
    """Refuse to write into a user's images: what is written would become images too.

    Raises:
        UserError: `out` lies in `root`.
    """
    folder = root if root.is_dir() else root.parent
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{option} {out}: lies in {folder}, where nothing is ever written; name another place"
        )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV with a head, also one that went through a spreadsheet program.

    Such programs put a mark before the text or write UTF-16, separate cells with `;` or tabs, and decimals with `,`. All
    of these are read; what cannot be told is refused with the reason.

    Args:
        path: the file.

    Returns:
        one dictionary per row, by the head's names; empty lines are left out.

    Raises:
        UserError: as `read_table`.
    """
    return read_table(path)[1]


def read_table(
    path: Path, check: Callable[[list[str]], None] = lambda _: None
) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV as `read_rows`, and its head.

    Args:
        path: the file.
        check: called with the names of the columns before the rows are read; may refuse them.

    Returns:
        names of the columns, and the rows.

    Raises:
        UserError: it is no CSV of text, it is empty, a name stands in the head twice, or a row has more or fewer cells than the head.
    """
    text = _decoded(path)
    separator = ","
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own hint
        separator, text = first[4], rest
        first = rest.partition("\n")[0]
    elif "," not in first:
        separator = next((mark for mark in (";", "\t") if mark in first), ",")
    try:
        head, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator)) or [[]]
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error}); save it as CSV in UTF-8") from None
    if not head:
        raise UserError(
            f"{path}: cannot be read as a table (it is empty); expected a head and rows"
        )
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice:
        raise UserError(f"{path}: the head has {twice[0]!r} twice; remove one of the columns")
    check(head)
    found = []
    for number, row in enumerate(rows, start=2):
        cells = row
        if not any(cells):
            continue
        if len(cells) != len(head):
            raise UserError(
                f"{path}: row {number} has more or fewer cells than the head ({len(cells)}, not {len(head)}); "
                "quote cells that hold a separator"
            )
        if separator != ",":
            cells = [DECIMAL.sub(r"\1.\2", cell) for cell in cells]
        found.append(dict(zip(head, cells, strict=True)))
    return head, found


DECIMAL = re.compile(r"^([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)$")
"""A number with a decimal comma, alone in its cell."""


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a CSV in UTF-8 (byte {error.start}); a spreadsheet program may have saved it in an encoding "
            "of its own: save it as CSV in UTF-8"
        ) from None
    if "\0" in text:
        raise UserError(f"{path}: holds zero bytes, so it is no CSV; save it as CSV in UTF-8")
    return text
