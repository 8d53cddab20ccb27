"""What the files of a manifest hold, as one hash; a changed source file changes it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from defectbench.config import UserErrors
from defectbench.data.files.decoding import BadFile
from defectbench.data.files.mask_parts import mask_files
from defectbench.data.manifest import Manifest
from defectbench.files import write_text

SETTLED: Final = 2_000_000_000
"""Nanoseconds: a file changed more recently than this could change again without a new time stamp."""

Memo = dict[str, tuple[int, int, str]]


def file_digest(path: Path) -> str:
    """Hash the bytes of a file: SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_digest(manifest: Manifest, memo: Path | None = None) -> str:
    """Hash the contents of every image and mask, in the order of the rows: SHA-256, hexadecimal.

    Args:
        manifest: whose files.
        memo: a JSON file that remembers hashes by path, size and time of change, so that the next call
            only looks at those; written if need be, ignored if it cannot be read.

    Raises:
        UserErrors: every file that is missing or may not be read.
    """
    known = _load(memo)
    fresh: Memo = {}
    digests = content_digests(manifest, known, fresh)
    if memo is not None and fresh:
        _save(memo, {**known, **fresh})
    lines = (f"{digests[image]} {digests.get(mask, '')}" for image, mask in _pairs(manifest))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def data_digest(manifest: Manifest, memo: Path | None = None) -> str:
    """Hash what jobs learn from a dataset: what each row says and what its files hold, not where they lie.

    Args:
        manifest: as scanned.
        memo: see `source_digest`.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        UserErrors: every file that is missing or may not be read.
    """
    said = manifest.table[["id", "product", "defects", "split", "group", "mask_source"]]
    lines = [[list(v) if isinstance(v, tuple) else str(v) for v in row] for row in said.to_numpy()]
    content = [source_digest(manifest, memo), manifest.mask_threshold, lines]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def content_digests(
    manifest: Manifest,
    known: Mapping[str, tuple[int, int, str]] | None = None,
    fresh: Memo | None = None,
) -> dict[str, str]:
    """Hash each file of a manifest once; a mask in several files by their names and hashes.

    Args:
        manifest: whose files.
        known: hashes of earlier, by absolute path: (bytes, nanoseconds, hash).
        fresh: takes what was hashed anew and may be remembered.

    Returns:
        Hash by path as the manifest has it.

    Raises:
        UserErrors: every file that is missing or may not be read.
    """
    known, fresh = known or {}, {} if fresh is None else fresh
    root, now = manifest.root.resolve(), time.time_ns()
    found: dict[str, str] = {}
    problems: list[str] = []

    def digest_of(path: str) -> str:
        status = os.stat(path)  # noqa: PTH116
        if stat.S_ISDIR(status.st_mode):
            parts = [f"{p.name} {digest_of(str(p))}" for p in mask_files(Path(path))]
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        size, changed, digest = known.get(path, (-1, -1, ""))
        if (size, changed) != (status.st_size, status.st_mtime_ns):
            digest = file_digest(Path(path))
            if now - status.st_mtime_ns > SETTLED:
                fresh[path] = (status.st_size, status.st_mtime_ns, digest)
        return digest

    for name in (n for pair in _pairs(manifest) for n in pair if n):
        if name in found:
            continue
        path = os.path.join(root, name)  # noqa: PTH118  # a hot loop: 100,000 files in a second
        try:
            found[name] = digest_of(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; scan the dataset again")
        except BadFile as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise UserErrors(f"{manifest.root}: {len(problems)} files cannot be read", problems)
    return found


def _pairs(manifest: Manifest) -> list[tuple[str, str]]:
    table = manifest.table
    return list(zip(table["image"].astype(str), table["mask"].astype(str), strict=True))


def _load(memo: Path | None) -> Memo:
    """Read the memo; one that is missing or broken is no loss."""
    try:
        content = json.loads(memo.read_text()) if memo is not None else {}
        return {str(k): (int(a), int(b), str(c)) for k, (a, b, c) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _save(memo: Path, content: Memo) -> None:
    """Write the memo under a temporary name and rename it; a folder that cannot be written is no loss."""
    with suppress(OSError):
        write_text(memo, json.dumps(content, indent=0, sort_keys=True))
