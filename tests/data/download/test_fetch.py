"""Downloads against a server on loopback: whole, resumed, wrong, broken off, and archives that mean harm."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.data.download.archives import Limits, extract
from defectbench.data.download.fetch import download, fetch

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]


class Server:
    """Files on loopback, with switches for a server's ways to fail."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []  # the Range header of each request
        self.honour_range = True
        self.start_off = 0  # bytes by which a continuation is misplaced
        self.break_after: int | None = None  # bytes after which the connection breaks off
        self.etag = '"first"'
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.ranges.append(asked)
                body = server.files.get(self.path.split("?")[0])
                if body is None:
                    self.send_error(404)
                    return
                fresh = self.headers.get("If-Range", server.etag) == server.etag
                start = int(asked[6:-1]) if asked and server.honour_range and fresh else 0
                if start >= len(body) and start:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    start += server.start_off
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.send_header("Content-Length", str(len(body) - start))
                self.send_header("ETag", server.etag)
                self.end_headers()
                self.wfile.write(body[start:][: server.break_after])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return buffer.getvalue()


MTD = zipped(
    {
        "Magnetic-tile-defect-datasets.-master/MT_Free/Imgs/exp1_num_1.jpg": b"image",
        "Magnetic-tile-defect-datasets.-master/README.md": b"read",
        "__MACOSX/._junk": b"junk",
    }
)


def test_a_whole_dataset_arrives_without_its_wrapping_folder(
    server: Server, tmp_path: Path
) -> None:
    server.files["/master.zip"] = MTD
    seen: list[tuple[int, int | None]] = []
    place = fetch(
        "mtd",
        tmp_path,
        url=server.url("/master.zip"),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert place == tmp_path / "mtd"
    assert (place / "MT_Free/Imgs/exp1_num_1.jpg").read_bytes() == b"image"
    assert seen[-1] == (len(MTD), len(MTD))
    assert [path.name for path in tmp_path.iterdir()] == ["mtd"]  # nothing is left behind


def test_a_dataset_of_several_archives_fills_a_folder_each(server: Server, tmp_path: Path) -> None:
    for k in range(1, 11):
        top = f"Class{k}/" if k % 2 else ""  # with and without a folder of their own
        server.files[f"/pack/Class{k}.zip"] = zipped(
            {f"{top}Train/0001.PNG": bytes([k]), f"{top}Test/0002.PNG": b""}
        )
    place = fetch("dagm2007", tmp_path, url=server.url("/pack/"))
    assert [(place / f"Class{k}/Train/0001.PNG").read_bytes()[0] for k in range(1, 11)] == [
        *range(1, 11)
    ]


def test_what_is_there_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mtd").mkdir()
    with pytest.raises(UserError, match="exists already"):
        fetch("mtd", tmp_path)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("mvtec_ad", "Fill in the form"),
        ("mvtec_loco", "Fill in the form"),
        ("kolektor_sdd2", "Accept the licence"),
        ("kolektor_sdd", "Accept the licence"),
        ("codebrim", "7-Zip"),
    ],
)
def test_others_are_told_what_to_do(name: str, step: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        fetch(name, tmp_path)
    text = str(told.value)
    assert step in text
    assert "https://" in text
    assert f"ROOT/{name}" in text
    assert not list(tmp_path.iterdir())


def test_an_unknown_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'mvtec_ad'"):
        fetch("mvtec", tmp_path)


def test_a_broken_transfer_is_continued(server: Server, tmp_path: Path) -> None:
    body = bytes(range(256)) * 40
    server.files["/a.bin"] = body
    server.break_after = 1000
    file = tmp_path / "a.bin"
    with pytest.raises(UserError, match=r"broke off after 1,000 bytes.*call again"):
        download(server.url("/a.bin"), file, sha256=sha(body))
    assert not file.exists()
    server.break_after = None
    assert download(server.url("/a.bin"), file, sha256=sha(body)).read_bytes() == body
    assert server.ranges == [None, "bytes=1000-"]
    download(server.url("/a.bin"), file, sha256=sha(body))  # it is there: no request
    assert len(server.ranges) == 2


@pytest.mark.parametrize("way", ["no ranges", "misplaced", "changed"])
def test_a_server_that_cannot_continue_starts_over(
    server: Server, tmp_path: Path, way: str
) -> None:
    old, new = b"o" * 5000, b"n" * 6000
    server.files["/a.bin"] = old
    server.break_after = 1000
    with pytest.raises(UserError):
        download(server.url("/a.bin"), tmp_path / "a.bin")
    server.break_after = None
    server.files["/a.bin"] = new
    if way == "no ranges":
        server.honour_range = False
    elif way == "misplaced":
        server.start_off = 7
    else:
        server.etag = '"second"'
    assert download(server.url("/a.bin"), tmp_path / "a.bin").read_bytes() == new


def test_a_file_that_arrived_whole_before_the_crash_is_taken(
    server: Server, tmp_path: Path
) -> None:
    server.files["/a.bin"] = b"complete"
    (tmp_path / "a.bin.part").write_bytes(b"complete")
    assert download(server.url("/a.bin"), tmp_path / "a.bin").read_bytes() == b"complete"


def test_a_wrong_hash_or_size_is_told_and_deleted(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = b"something else"
    for wrong in ({"sha256": sha(b"what was asked")}, {"size": 3}, {"size": 300}):
        with pytest.raises(UserError, match="expected"):
            download(server.url("/a.bin"), tmp_path / "a.bin", **wrong)  # type: ignore[arg-type]
        assert [p.name for p in tmp_path.iterdir() if p.name != "a.bin.etag"] == []


def test_a_git_lfs_pointer_is_recognised(server: Server, tmp_path: Path) -> None:
    server.files["/SDI.zip"] = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:d33e\nsize 1\n"
    )
    with pytest.raises(UserError, match="Git LFS pointer"):
        fetch("sdi", tmp_path, url=server.url("/SDI.zip"))


def test_a_server_error_names_the_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/none\.zip: the server says 404"):
        fetch("mtd", tmp_path, url=server.url("/none.zip"))
    with pytest.raises(UserError, match="http or https"):
        fetch("mtd", tmp_path, url="file:///etc/passwd")


def test_a_hash_of_ones_own_needs_one_archive(server: Server, tmp_path: Path) -> None:
    server.files["/m.zip"] = MTD
    with pytest.raises(UserError, match="10 archives"):
        fetch("dagm2007", tmp_path, sha256="00")
    fetch("mtd", tmp_path, url=server.url("/m.zip"), sha256=sha(MTD).upper())


def test_a_failed_extraction_leaves_no_dataset(server: Server, tmp_path: Path) -> None:
    server.files["/m.zip"] = MTD[:-30]
    with pytest.raises(UserError, match="archive"):
        fetch("mtd", tmp_path, url=server.url("/m.zip"))
    assert not (tmp_path / "mtd").exists()
    assert not (tmp_path / ".mtd.extracting").exists()


# extraction


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for info, body in members:
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def linked_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


MALICIOUS = {
    "zip ..": zipped({"../evil": b"x"}),
    "zip inner ..": zipped({"a/../../evil": b"x"}),
    "zip absolute": zipped({"/evil": b"x"}),
    "zip backslash": zipped({"..\\evil": b"x"}),
    "zip drive": zipped({"C:evil": b"x"}),
    "zip link": linked_zip(),
    "tar ..": tarred((entry("../evil"), b"x")),
    "tar absolute": tarred((entry("/evil"), b"x")),
    "tar symlink": tarred((entry("link", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "tar hard link": tarred((entry("link", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "tar device": tarred((entry("device", tarfile.CHRTYPE), b"")),
    "tar twice": tarred((entry("a"), b"1"), (entry("a"), b"2")),
    "tar file as folder": tarred((entry("a"), b"1"), (entry("a/b"), b"2")),
    "tar folder as file": tarred((entry("a/b"), b"1"), (entry("a"), b"2")),
}


@pytest.mark.parametrize("case", MALICIOUS)
def test_a_malicious_archive_writes_nothing(case: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(MALICIOUS[case])
    out = tmp_path / "deep" / "out"
    with pytest.raises(UserError, match=r"outside|link|twice"):
        extract(archive, out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["archive", "deep", "out"]


@pytest.mark.parametrize("compression", ["gz", "xz", "zip"])
def test_a_bomb_is_refused(compression: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    zeros = bytes(65 << 20)
    if compression == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("zeros", zeros)
    else:
        archive.write_bytes(tarred((entry("zeros"), zeros), mode=f"w:{compression}"))
    with pytest.raises(UserError, match="bomb"):
        extract(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_limits_of_count_and_size(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped({f"{n}.png": b"12345" for n in range(4)}))
    with pytest.raises(UserError, match="over 3 files"):
        extract(archive, tmp_path / "a", limits=Limits(files=3))
    with pytest.raises(UserError, match="over 19 bytes"):
        extract(archive, tmp_path / "b", limits=Limits(bytes=19))
    assert extract(archive, tmp_path / "c", limits=Limits(files=4, bytes=20)) == 4


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tar_archives_are_extracted(mode: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(
        tarred((entry("d", tarfile.DIRTYPE), b""), (entry("./d/é.png"), b"body"), mode=mode)
    )
    assert extract(archive, tmp_path / "out") == 1
    assert (tmp_path / "out/d/é.png").read_bytes() == b"body"


@pytest.mark.parametrize(
    "body", [b"", b"<html>not found</html>", MTD[:40]], ids=["nothing", "page", "torn zip"]
)
def test_what_is_no_archive_is_said_to_be_none(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_a_damaged_member_is_told(tmp_path: Path) -> None:
    body = zipped({"a.png": b"0123456789" * 10})
    at = body.index(b"0123456789")
    (tmp_path / "a.zip").write_bytes(body[:at] + b"X" + body[at + 1 :])
    with pytest.raises(UserError, match="damaged"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    tar = tarred((entry("a.png"), bytes(range(256)) * 100))
    (tmp_path / "a.tgz").write_bytes(tar[: len(tar) // 2])
    with pytest.raises(UserError, match=r"damaged|early"):
        extract(tmp_path / "a.tgz", tmp_path / "out2")


@pytest.mark.parametrize("kind", ["zip", "gz", "xz", "bz2"])
def test_whatever_is_damaged_ends_in_a_message(kind: str, tmp_path: Path) -> None:
    """No byte that is changed may end in anything but an extraction or a `UserError`."""
    body = bytes(np.random.default_rng(0).integers(0, 20, 3000, dtype=np.uint8))
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a/b.png", body)
        whole = buffer.getvalue()
    else:
        whole = tarred((entry("a/b.png"), body), mode=f"w:{kind}")
    refused = 0
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        archive = tmp_path / f"{at}.bin"
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            extract(archive, tmp_path / f"out{at}")
        except UserError:
            refused += 1
    assert refused > 30


def test_only_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(MTD)
    with pytest.raises(UserError, match="not empty"):
        extract(tmp_path / "a.zip", tmp_path)
