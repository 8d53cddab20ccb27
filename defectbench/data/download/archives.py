"""Safe extraction of zip and tar archives: nothing leaves the target, no links, bounded count and size."""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from defectbench.config import UserError

CHUNK = 1 << 20
TRAILER = 64 << 20
"""Bytes that may follow the last member of a tar archive; tar itself pads with 10 KiB."""
_FAULTS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,  # a kind of compression that zipfile lacks
)
"""How the libraries say that an archive is damaged."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        files: number of regular files.
        bytes: size of all files together when extracted.
        ratio: extracted size over archive size, for archives that extract to more than 64 MiB; images hardly compress.
    """

    files: int = 200_000
    bytes: int = 64 << 30
    ratio: float = 200.0


@dataclass(frozen=True)
class _Member:
    """One regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def extract(archive: Path, out: Path, *, limits: Limits | None = None) -> int:
    """Extract a zip or tar archive (tar also gzip, bzip2 or xz) into `out`.

    Every name is checked, and every size as declared, before the first byte is written; sizes are checked again while
    writing. Permissions, owners and times of the archive are not taken over.

    Args:
        archive: the file.
        out: the folder to fill; made if absent, empty otherwise.
        limits: what to refuse as too much; `Limits()` by default.

    Returns:
        number of files written.

    Raises:
        UserError: not an archive, damaged, or it holds a link, a device, a name that leaves `out`, a name twice or more
            than `limits` allow. What was written until then is in `out`.
    """
    limits = limits or Limits()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise UserError(f"{out}: not empty; archives are extracted into an empty folder")
    try:
        with _open(archive) as members:
            checked = _check(archive, members, limits)
            for path, member in checked.items():
                _write(archive, member, out / path)
            return len(checked)
    except _FAULTS as error:
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise  # the disk's fault, not the archive's, whose offsets may lie before its beginning
        raise UserError(
            f"{archive}: damaged archive ({error}); delete it and download it again"
        ) from None


@contextmanager
def _open(archive: Path) -> Iterator[Iterator[_Member]]:
    """List the regular files of an archive, refusing links and devices; folders are left out."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield (
                _zip_member(archive, file, info) for info in file.infolist() if not info.is_dir()
            )
        return
    if not tarfile.is_tarfile(archive):
        raise UserError(
            f"{archive}: neither a zip nor a tar archive; delete it and download it again"
        )
    with tarfile.open(archive, "r:*") as tar:
        yield (_tar_member(archive, tar, info) for info in tar if not info.isdir())
        _read_to_end(archive, tar)


def _read_to_end(archive: Path, tar: tarfile.TarFile) -> None:
    """Read what follows the last member, for the checksum of a compressed archive stands at its end."""
    left = TRAILER
    while tar.fileobj is not None and (chunk := tar.fileobj.read(CHUNK)):
        left -= len(chunk)
        if left < 0:
            raise UserError(f"{archive}: goes on after its end; do not trust this archive")


def _zip_member(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise UserError(
            f"{archive}: {info.filename!r} is a link or a special file; wants files only"
        )
    if info.flag_bits & 0x1:
        raise UserError(f"{archive}: {info.filename!r} is encrypted; wants an open archive")
    return _Member(info.filename, info.file_size, lambda: file.open(info))


def _tar_member(archive: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if not info.isfile():
        raise UserError(f"{archive}: {info.name!r} is a link or a special file; wants files only")

    def opened() -> IO[bytes]:
        stream = tar.extractfile(info)
        if stream is None:
            raise tarfile.ReadError(f"{info.name!r} cannot be read")
        return stream

    return _Member(info.name, info.size, opened)


def _safe(archive: Path, name: str) -> PurePosixPath:
    """Check that a member's name stays below the target, on any system.

    Raises:
        UserError: absolute, with a drive, with `..`, with a backslash or a control character.
    """
    path = PurePosixPath(name)
    bad = (
        path.is_absolute()
        or not path.parts
        or ".." in path.parts
        or "\\" in name
        or ":" in path.parts[0]
        or any(ord(letter) < 32 for letter in name)
    )
    if bad:
        raise UserError(
            f"{archive}: member {name!r} would be written outside of the target; do not trust this archive"
        )
    return path


def _check(
    archive: Path, members: Iterator[_Member], limits: Limits
) -> dict[PurePosixPath, _Member]:
    """Check names and declared sizes one by one, so that a bomb is refused before it is unpacked to be listed."""
    packed = archive.stat().st_size
    checked: dict[PurePosixPath, _Member] = {}
    folders: set[PurePosixPath] = set()
    total = 0
    for member in members:
        path = _safe(archive, member.name)
        if path in checked or path in folders or any(parent in checked for parent in path.parents):
            raise UserError(f"{archive}: member {member.name!r} comes twice; wants each file once")
        checked[path] = member
        folders.update(path.parents)
        total += member.size
        if len(checked) > limits.files:
            raise UserError(f"{archive}: holds over {limits.files} files; no more are allowed")
        if total > limits.bytes:
            raise UserError(
                f"{archive}: extracts to over {limits.bytes:,} bytes; no more are allowed"
            )
        if total > 64 << 20 and total > limits.ratio * packed:
            raise UserError(
                f"{archive}: {packed:,} bytes extract to {total:,} and more; that is a bomb, not images"
            )
    return checked


def _write(archive: Path, member: _Member, path: Path) -> None:
    """Copy one member to a new file, refusing more bytes than it declared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, path.open("xb") as target:
        while chunk := source.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise UserError(
                    f"{archive}: member {member.name!r} is longer than it says ({member.size:,} bytes)"
                )
            target.write(chunk)
    if left:
        raise UserError(
            f"{archive}: member {member.name!r} ends {left:,} bytes early; download the archive again"
        )
