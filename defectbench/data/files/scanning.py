"""What every adapter needs to read a published folder: listing, pairing, checking, gathering every problem.

Only known folders are listed, never walked blindly, so that a stray preview is no sample. Names compare without regard
to case and to how accents are encoded; what is returned is the name on disk. Nothing is ever written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from defectbench.config import UserError, UserErrors, nearest
from defectbench.data.files.decoding import (
    BadFile,
    Header,
    mask_is_empty,
    read_header,
    transparent_share,
)
from defectbench.data.files.listing import (
    IMAGE_SUFFIXES,
    UNREAD,
    entries,
    is_folder,
    key,
    natural,
    told_unread,
)
from defectbench.data.files.pairing import told_size, told_transparent, told_turned
from defectbench.data.manifest import COLUMNS, LIST_SEPARATOR, Manifest

STANDIN_MARKER: Final = "STAND_IN.json"
"""A file of this name in a dataset's folder says that the images were drawn, not photographed."""
GOOD: Final = "good"
"""What a normal image is called in ids, counts and messages."""


def subfolders(folder: Path) -> list[Path]:
    """List the folders in a folder; a link that leads nowhere or to itself is not one."""
    return [p for p in entries(folder) if is_folder(p)]


def child(folder: Path, name: str) -> Path | None:
    """Find an entry of a folder by name, the exact one first, then without regard to case."""
    exact = folder / name
    try:
        if exact.exists():
            return exact
    except OSError:
        return None
    if not is_folder(folder):
        return None
    return next((p for p in entries(folder) if key(p.name) == key(name)), None)


def find_root(root: Path, is_root: Callable[[Path], bool], expected: str) -> Path:
    """Find a dataset's own folder: `root`, or the one folder below it for archives with an extra level.

    Args:
        root: what the user pointed at.
        is_root: says whether a folder has the published layout.
        expected: what that layout holds, for the message, e.g. `"the category folders bottle, ..., zipper"`.

    Raises:
        UserError: neither fits, or several fit.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder; give the folder that holds {expected}")
    if not root.is_dir():
        raise UserError(f"{root}: is a file; give the unpacked folder that holds {expected}")
    if is_root(root):
        return root
    inner = [p for p in subfolders(root) if is_root(p)]
    if len(inner) == 1:
        return inner[0]
    if inner:
        raise UserError(f"{root}: holds {', '.join(p.name for p in inner)}; point at one of them")
    found = ", ".join(p.name for p in entries(root)[:8]) or "nothing"
    raise UserError(f"{root}: expected {expected}; found {found}")


def wanted(known: Iterable[str], asked: Sequence[str] | None, title: str) -> list[str]:
    """Choose products: those asked for, or all that are known.

    Raises:
        UserError: an unknown product was asked for.
    """
    names = list(known)
    for name in asked or ():
        if name not in names:
            raise UserError(f"{title}: no product {name!r}; {nearest(name, names)}")
    return [n for n in names if asked is None or n in asked]


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted, following links once: a loop of links ends where it closes."""
    seen: set[tuple[int, int]] = set()

    def below(at: Path) -> Iterator[Path]:
        status = at.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        for path in entries(at):
            if is_folder(path):
                yield from below(path)
            else:
                yield path

    yield from below(folder)


@dataclass
class Row:
    """One image of a scan; see `manifest` for the columns.

    Attributes:
        image: path relative to the root.
        mask: likewise; `""` if there is none.
        extra: further columns, e.g. `mask_empty`.
    """

    id: str
    image: str
    mask: str
    product: str
    defects: tuple[str, ...]
    split: str
    group: str
    mask_source: str
    source: str = "real"
    extra: dict[str, object] = field(default_factory=dict)


class Scan:
    """Gathers rows and problems of one scan, checks every file's head, and makes the manifest or raises them all."""

    def __init__(self, title: str, root: Path) -> None:
        """Begin.

        Args:
            title: printed name of the dataset.
            root: the dataset's own folder, which paths in the manifest are relative to.
        """
        self.title, self.root = title, root
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.rows: list[Row] = []
        self._heads: dict[Path, Header | None] = {}
        self._agreed: dict[tuple[Path, Path], bool] = {}

    def problem(self, path: Path, text: str) -> None:
        """Note a problem of a file or folder; `text` says what was expected and the cure."""
        self.problems.append(f"{path}: {text}")

    def files(
        self,
        folder: Path,
        suffixes: Iterable[str] = IMAGE_SUFFIXES,
        *,
        ending: str = "",
        stems: str = ".*",
        empty: str | None = None,
    ) -> dict[str, Path]:
        """List the images of one folder (not below) by stem, as `key` makes it, sorted naturally.

        Args:
            folder: where to look; a missing one is a problem, noted.
            suffixes: which suffixes count, lower case with the dot.
            ending: an ending that the stem must have and that is cut off, e.g. `"_mask"`; compared without case.
            stems: regular expression that the rest of the stem must match, as `key` makes it.
            empty: the cure if the folder holds none, which then is a problem; no problem by default.

        Returns:
            Path by stem. Two files of one stem (`a.png`, `A.PNG`, `a.jpg`) are a problem; the first is kept.
        """
        allowed, found = {s.lower() for s in suffixes}, dict[str, Path]()
        try:
            listed = entries(folder)
        except UserError as error:
            self.problems.append(str(error))
            return {}
        for path in sorted(listed, key=lambda p: natural(p.name)):
            if (
                path.suffix.lower() in UNREAD
                and f"{path}: {told_unread(path)}" not in self.problems
            ):
                self.problem(path, told_unread(path))
            if path.suffix.lower() not in allowed:
                continue
            stem = key(path.stem)
            if not stem.endswith(ending.casefold()):
                continue
            stem = stem[: len(stem) - len(ending)] if ending else stem
            if not re.fullmatch(stems, stem, re.DOTALL):
                continue
            if not _encodes(path.name):
                self.problem(folder / ascii(path.name), "name is not valid UTF-8; rename it")
            elif stem in found:
                self.problem(
                    path,
                    f"has the same name as {found[stem].name} but for case or suffix; rename or remove one",
                )
            else:
                found[stem] = path
        if empty is not None and not found:
            self.problem(folder, f"holds no image; {empty}")
        return found

    def pairs(
        self,
        images: Mapping[str, Path],
        masks: Mapping[str, Path],
        expected: Callable[[Path], str],
        orphan: str,
    ) -> list[tuple[Path, Path]]:
        """Pair images with masks by stem, in the order of the images; either without the other is a problem.

        Args:
            images: path by stem, as `files` gives it.
            masks: likewise.
            expected: says for an image where its mask should be.
            orphan: the cure for a mask without image, e.g. `"has no image of its stem in test; get the category again"`.
        """
        for stem, image in images.items():
            if stem not in masks:
                self.problem(image, f"has no mask; expected {expected(image)}")
        for stem, mask in masks.items():
            if stem not in images:
                self.problem(mask, orphan)
        return [(images[stem], masks[stem]) for stem in images if stem in masks]

    def head(self, path: Path) -> Header | None:
        """Read the head of a file once; None if it is bad, which is noted."""
        if path not in self._heads:
            try:
                self._heads[path] = read_header(path)
            except BadFile as error:
                self.problem(path, str(error))
                self._heads[path] = None
        return self._heads[path]

    def agree(self, image: Path, mask: Path) -> bool:
        """Check that image and mask can be read and have one size; what is wrong is noted, once."""
        if (image, mask) not in self._agreed:
            self._agreed[image, mask] = self._agree(image, mask)
        return self._agreed[image, mask]

    def _agree(self, image: Path, mask: Path) -> bool:
        a, b = self.head(image), self.head(mask)
        if a is None or b is None:
            return False
        if wrong := told_size(a, b, image.name):
            self.problem(mask, wrong)
            return False
        return True

    def is_empty(self, mask: Path, threshold: int) -> bool:
        """Say whether a mask marks no pixel; a bad file is noted and counts as empty."""
        try:
            return mask_is_empty(mask, threshold)
        except BadFile as error:
            self.problem(mask, str(error))
            return True

    def add(
        self,
        *,
        id: str,
        image: Path,
        product: str,
        mask: Path | None = None,
        defects: Iterable[str] = (),
        split: str = "",
        group: str = "",
        mask_source: str = "",
        **extra: object,
    ) -> None:
        """Add one image, checking its head and its mask's.

        Args:
            id: unique and sortable.
            image: file below `root`.
            product: name of the product.
            mask: file below `root`, None if there is none.
            defects: names of its defects; none = normal.
            split: the publisher's split, `""` if there is none.
            group: images of one part share it; the id by default.
            mask_source: `"annotation"` with a mask and `"none"` without one by default.
            extra: further columns, e.g. `mask_empty`.
        """
        names = tuple(sorted(set(defects)))
        for name in names:
            if LIST_SEPARATOR in name:
                self.problem(image, f"defect {name!r} holds {LIST_SEPARATOR!r}; rename it")
        if mask is None:
            self.head(image)
        else:
            self.agree(image, mask)
        self.rows.append(
            Row(
                id=id,
                image=self._relative(image),
                mask=self._relative(mask) if mask else "",
                product=product,
                defects=names,
                split=split,
                group=group or id,
                mask_source=mask_source or ("annotation" if mask else "none"),
                extra=extra,
            )
        )

    def said(self) -> tuple[str, ...]:
        """What a reader of results must know of these files, one line each: transparency and EXIF orientation, counted."""
        heads = [(row, self._heads.get(self.root / row.image)) for row in self.rows]
        shares = [
            transparent_share(self.root / row.image)
            for row, head in heads
            if head is not None and head.see_through
        ]
        masks = {row.mask: self._heads.get(self.root / row.mask) for row, _ in heads if row.mask}
        said = told_transparent(shares, len(heads))
        said += told_turned([(row.id, head, masks.get(row.mask)) for row, head in heads if head])
        return (*self.remarks, *said)

    def _relative(self, path: Path) -> str:
        """Give a path relative to the root, or as it is if it lies elsewhere."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path.absolute()).as_posix()

    def finish(
        self, dataset: str, defects: Sequence[str], products: Sequence[str], mask_threshold: int
    ) -> Manifest:
        """Make the manifest, rows sorted by id.

        Raises:
            UserErrors: all problems, if there is any, or no image was found.
        """
        if not self.rows and not self.problems:
            self.problem(self.root, "no image found; give the folder as published")
        remarks: tuple[str, ...] = ()
        if not self.problems:
            try:
                remarks = self.said()
            except BadFile as error:
                self.problem(self.root, str(error))
        if self.problems:
            count = len(self.problems)
            raise UserErrors(
                f"{self.title} at {self.root}: {count} problem{'s' if count > 1 else ''}",
                self.problems,
            )
        table = pd.DataFrame([{**vars(row), **row.extra} for row in self.rows])
        table = table.drop(columns="extra")
        extra = [c for c in table.columns if c not in COLUMNS]
        table = table[[*COLUMNS, *extra]].sort_values("id", kind="stable", ignore_index=True)
        return Manifest(
            table=table,
            root=self.root,
            dataset=dataset,
            defects=tuple(defects),
            products=tuple(products),
            mask_threshold=mask_threshold,
            stand_in=is_standin(self.root),
            remarks=remarks,
        )


def is_standin(root: Path) -> bool:
    """Say whether a dataset's folder, or the one around it, is marked as drawn."""
    return (root / STANDIN_MARKER).is_file() or (root.parent / STANDIN_MARKER).is_file()


def mark_standin(root: Path, **said: object) -> None:
    """Mark a folder as drawn, with what it was drawn from (size, seed, counts)."""
    root.mkdir(parents=True, exist_ok=True)
    note = {"note": "Drawn by defectbench in place of the real dataset; not its images.", **said}
    (root / STANDIN_MARKER).write_text(json.dumps(note, indent=1, sort_keys=True) + "\n")


def _encodes(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
