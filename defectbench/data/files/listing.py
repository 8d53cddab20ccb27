"""Which files of a folder are pictures: one list of suffixes, one idea of litter and one order, whoever asks.

Datasets, `score`, `sample` and masks in several files all list folders here. A file that is plainly a picture of a kind
that is not read (`UNREAD`) is named and refused by all of them, never passed over.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from defectbench.config import UserError

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
JPEG_SUFFIXES: Final = frozenset({".jpg", ".jpeg"})
UNREAD: Final = frozenset(
    {".jfif", ".jpe", ".jif", ".jp2", ".j2k", ".jpx", ".jxl", ".avif", ".heic", ".heif", ".pgm", ".ppm", ".pbm"}
    | {".pnm", ".gif", ".tga", ".psd", ".exr", ".hdr", ".dng", ".cr2", ".nef", ".arw", ".dcm"}
)  # fmt: skip
"""Suffixes of pictures that are not read."""
JUNK_NAMES: Final = frozenset({"__macosx", ".ds_store", "thumbs.db", "desktop.ini"})


def is_junk(name: str) -> bool:
    """Say whether a file or folder is litter: resource forks, thumbnails, file manager copies, hidden files."""
    return (
        name.startswith(".")
        or name.casefold() in JUNK_NAMES
        or re.search(r" \(copy( \d+)?\)| - Copy( \(\d+\))?$", Path(name).stem) is not None
    )


def key(name: str) -> str:
    """Make a name comparable: one encoding of accents, no case."""
    return unicodedata.normalize("NFC", name).casefold()


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts 2 before 10; ties between equal numbers are broken by the text."""
    parts = re.split(r"(\d+)", text)
    return (*((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(parts)), (-1, text))


def entries(folder: Path) -> list[Path]:
    """List a folder without its litter, sorted by name.

    Raises:
        UserError: the folder is missing or may not be read.
    """
    try:
        return sorted((p for p in folder.iterdir() if not is_junk(p.name)), key=lambda p: p.name)
    except (NotADirectoryError, FileNotFoundError):
        raise UserError(f"{folder}: no such folder") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); mend it") from None


def is_folder(path: Path) -> bool:
    """Say whether a path is a folder; a link that leads nowhere or to itself is not one."""
    try:
        return path.is_dir()
    except OSError:
        return False


@dataclass(frozen=True)
class Found:
    """What one folder holds, without its litter and without what lies below it; each in natural order.

    Attributes:
        images: files that are read.
        unread: pictures of a kind that is not read.
        others: all other files.
        folders: folders.
    """

    images: tuple[Path, ...]
    unread: tuple[Path, ...]
    others: tuple[Path, ...]
    folders: tuple[Path, ...]


def look(folder: Path) -> Found:
    """Look into a folder.

    Raises:
        UserError: the folder is missing or may not be read.
    """
    found: dict[str, list[Path]] = {"images": [], "unread": [], "others": [], "folders": []}
    for path in sorted(entries(folder), key=lambda p: natural(p.name)):
        suffix = path.suffix.lower()
        if is_folder(path):
            kind = "folders"
        elif suffix in IMAGE_SUFFIXES:
            kind = "images"
        else:
            kind = "unread" if suffix in UNREAD else "others"
        found[kind].append(path)
    return Found(**{kind: tuple(paths) for kind, paths in found.items()})


def told_unread(path: Path) -> str:
    """Say what is wrong with a picture of a kind that is not read."""
    return (
        f"is a picture of a kind that is not read ({path.suffix}); convert it to PNG or take it away; read are "
        f"{', '.join(sorted(IMAGE_SUFFIXES))}"
    )
