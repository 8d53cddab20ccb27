"""Download the datasets that may be downloaded without a form, and say what a person must do for the others.

A download is resumed by HTTP Range, checked against size and SHA-256 where these are known, written under a temporary
name and renamed when complete; archives are extracted by `archives.extract` and only a whole dataset gets its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from defectbench.config import UserError
from defectbench.data.download.archives import CHUNK, Limits, extract
from defectbench.data.files.decoding import LFS_MAGIC
from defectbench.data.files.listing import is_junk

Progress = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None if the server does not say)."""


@dataclass(frozen=True)
class Part:
    """One archive.

    Attributes:
        url: where it lies.
        size: bytes; None where it is not known.
        sha256: hexadecimal; None where nobody published it.
        folder: folder below the dataset's own that it fills; "" = the dataset's own.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    folder: str = ""

    @property
    def file(self) -> str:
        """Name of the archive."""
        return Path(urllib.parse.unquote(urllib.parse.urlparse(self.url).path)).name


@dataclass(frozen=True)
class Source:
    """Where a dataset may be downloaded without a form.

    Attributes:
        parts: its archives.
        note: what is known of the archive's integrity, and of the terms.
    """

    parts: tuple[Part, ...]
    note: str


SOURCES: dict[str, Source] = {
    "mtd": Source(
        # the repository's name ends with a dot
        (
            Part(
                "https://github.com/abin24/Magnetic-tile-defect-datasets./archive/refs/heads/master.zip"
            ),
        ),
        "no release, hence no published hash; no licence stated: cite the paper, do not redistribute",
    ),
    "sdi": Source(
        (
            Part(
                "https://media.githubusercontent.com/media/boschresearch/The-Surface-Defect-Inspection-Dataset/"
                "c6e0afe66e9dbd9d99326c986ea884ddf2aad9f8/SDI_DATASET_v1.zip",
                size=1_647_097_112,
                sha256="d33ea340151cdf909f3807a37e00d335c66eb8960b0c2eb568fd9fc75d96fa7c",
            ),
        ),
        "hash as a third party measured it; CC BY-SA 4.0",
    ),
    "visa": Source(
        (
            Part(
                "https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
                sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
            ),
        ),
        "hash as anomalib has it; CC BY 4.0",
    ),
    "dagm2007": Source(
        tuple(
            Part(
                f"https://zenodo.org/records/8086136/files/Class{k}.zip?download=1",
                folder=f"Class{k}",
            )
            for k in range(1, 11)
        ),
        "a mirror, not the organisers' own site; no hash is known; no licence text",
    ),
}


def fetch(
    name: str,
    out: Path,
    *,
    url: str | None = None,
    sha256: str | None = None,
    limits: Limits | None = None,
    keep_archives: bool = False,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Download and extract a dataset to `out/<name>`.

    Call it again after an interruption: what has arrived is kept in `out/.downloads` and continued.

    Args:
        name: public name of the dataset, e.g. `"mtd"`.
        out: the data root.
        url: another place for the archive, e.g. a mirror of your own; for a dataset of several archives the folder that
            holds them.
        sha256: hash to check instead of the known one; for datasets of one archive.
        limits: what to refuse when extracting.
        keep_archives: keep `out/.downloads` afterwards.
        timeout: seconds to wait for the server.
        progress: called as bytes arrive, per archive.

    Returns:
        `out/<name>`: what `scan` takes.

    Raises:
        UserError: the dataset is not to be had without a form (the message lists the steps); it is there already; the
            server fails; size or hash are wrong; the archive is malicious, damaged or no archive.
    """
    source = SOURCES.get(name)
    if source is None:
        raise UserError(_steps(name))
    if sha256 is not None and len(source.parts) > 1:
        raise UserError(f"{name}: is {len(source.parts)} archives; one SHA-256 cannot fit them all")
    target = out / name
    if target.exists():
        raise UserError(
            f"{target}: exists already; check it with `defectbench data check {name}`, or move it away first"
        )
    downloads, staged = out / ".downloads" / name, out / f".{name}.extracting"
    if staged.exists():
        shutil.rmtree(staged)  # ours, of an interrupted call
    staged.mkdir(parents=True)
    try:
        for part in source.parts:
            place = _elsewhere(part, url, several=len(source.parts) > 1)
            archive = downloads / part.file
            download(
                place,
                archive,
                size=part.size if sha256 is None else None,
                sha256=sha256 or part.sha256,
                timeout=timeout,
                progress=progress,
            )
            unpacked = staged / "unpacked"
            extract(archive, unpacked, limits=limits)
            _place(unpacked, staged / "dataset" / part.folder)
        (staged / "dataset").replace(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if not keep_archives:
        shutil.rmtree(downloads)
        if not any(downloads.parent.iterdir()):
            downloads.parent.rmdir()
    return target


def download(
    url: str,
    file: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Download one file, continuing what an earlier call left in `file` + `.part`.

    Args:
        url: http or https.
        file: where to; nothing is done if it is there and has the right size and hash.
        size: expected bytes, if known.
        sha256: expected hash, hexadecimal, if known.
        timeout: seconds to wait for the server.
        progress: called as bytes arrive.

    Raises:
        UserError: another kind of URL, a server's refusal, a transfer that broke off (call again), or a wrong size or
            hash (what arrived is deleted).
    """
    if urllib.parse.urlparse(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: wants an http or https address")
    part, tag = file.with_name(file.name + ".part"), file.with_name(file.name + ".etag")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_file():
        _verify(url, file, size, sha256)
        return file
    if size is None or not part.is_file() or part.stat().st_size != size:
        _transfer(url, part, tag, size, timeout, progress)
    _verify(url, part, size, sha256)
    tag.unlink(missing_ok=True)
    part.replace(file)
    return file


def _transfer(
    url: str, part: Path, tag: Path, size: int | None, timeout: float, progress: Progress | None
) -> None:
    """Append to `part` what is missing; begin anew where the server cannot continue or has another file now."""
    have = part.stat().st_size if part.is_file() else 0
    known = tag.read_text() if tag.is_file() else ""
    headers = {"User-Agent": "defectbench", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known:
            headers["If-Range"] = known
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            if answer.status != 206 or _start(answer.headers) == have:
                _receive(answer, part, tag, size, progress)
                return
        part.unlink()  # the server continued elsewhere than asked: begin anew
        _transfer(url, part, tag, size, timeout, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            if _length_beyond(error.headers) == have:
                return  # all of it is here already
            part.unlink()
            _transfer(url, part, tag, size, timeout, progress)
            return
        raise UserError(
            f"{url}: the server says {error.code} {error.reason}; try later, or give another address with url="
        ) from None
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the disk's fault, not the server's
        got = part.stat().st_size if part.is_file() else 0
        raise UserError(
            f"{url}: the transfer broke off after {got:,} bytes ({error}); call again to continue"
        ) from None


def _receive(
    answer: HTTPResponse, part: Path, tag: Path, size: int | None, progress: Progress | None
) -> None:
    """Write an answer's body: behind what is there if it is a continuation (206), from the start otherwise."""
    continues = answer.status == 206
    done = part.stat().st_size if continues else 0
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length is not None else None
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - done > free:
        raise UserError(
            f"{part.parent}: wants {total - done:,} bytes more, {free:,} are free; make room or give another folder"
        )
    etag = answer.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        tag.write_text(etag)
    else:
        tag.unlink(missing_ok=True)
    with part.open("ab" if continues else "wb") as file:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            if size is not None and done > size:
                break  # longer than the file we want; told below
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise HTTPException(f"{done:,} of {total:,} bytes arrived")


def _start(headers: Message) -> int | None:
    """Read the first byte's place from `Content-Range: bytes START-END/LENGTH`."""
    start = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else None


def _length_beyond(headers: Message) -> int | None:
    """Read the file's length from `Content-Range: bytes */LENGTH` of an answer 416."""
    length = (headers.get("Content-Range") or "").rpartition("/")[2]
    return int(length) if length.isdigit() else None


def _verify(url: str, file: Path, size: int | None, sha256: str | None) -> None:
    with file.open("rb") as stream:
        if stream.read(len(LFS_MAGIC)) == LFS_MAGIC:
            file.unlink()
            raise UserError(
                f"{url}: the server sent a Git LFS pointer, not the file; take the address of the LFS media host"
            )
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    have = file.stat().st_size
    if size is not None and have != size:
        file.unlink()
        raise UserError(f"{url}: has {have:,} bytes, expected {size:,}; deleted, call again")
    if sha256 is not None and digest != sha256.lower():
        file.unlink()
        raise UserError(
            f"{url}: SHA-256 is {digest}, expected {sha256.lower()}; deleted. Either the transfer went wrong or the "
            "publisher changed the file"
        )


def _elsewhere(part: Part, url: str | None, *, several: bool) -> str:
    if url is None:
        return part.url
    return f"{url.rstrip('/')}/{urllib.parse.quote(part.file)}" if several else url


def _place(unpacked: Path, target: Path) -> None:
    """Move the extracted tree to `target`, leaving out one wrapping folder."""
    inner = [path for path in unpacked.iterdir() if not is_junk(path.name)]
    only = inner[0] if len(inner) == 1 and inner[0].is_dir() else unpacked
    target.parent.mkdir(parents=True, exist_ok=True)
    only.replace(target)
    shutil.rmtree(unpacked, ignore_errors=True)


def _steps(name: str) -> str:
    """Say what a person must do, as the adapter has it."""
    from defectbench.names import find

    dataset = find("datasets", name).load()
    return (
        f"{name}: {dataset.title} is not downloaded for you. Licence: {dataset.licence.name}. {dataset.obtain}\n"
        f"Then: defectbench data check {name} --data ROOT, where ROOT/{dataset.folder} holds what you extracted. "
        f"Downloaded without a form: {', '.join(sorted(SOURCES))}."
    )
