"""`defectbench data fetch` against a server on loopback, and what it says of datasets behind a form."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.fixture
def archive() -> Iterator[str]:
    """Address of a small zip with a wrapping folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("master/MT_Free/Imgs/exp1_num_1.jpg", b"not looked at")
    body = buffer.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/master.zip"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.network
@pytest.mark.enable_socket
def test_a_mirror_is_fetched_once(run: Run, archive: str, tmp_path: Path) -> None:
    command = ("data", "fetch", "mtd", "--out", tmp_path, "--url", archive)
    told = run(*command, "--json")
    assert told.code == 0
    assert told.json == {"folder": str(tmp_path / "mtd")}
    assert "Licence: none stated" in told.err
    assert (tmp_path / "mtd/MT_Free/Imgs/exp1_num_1.jpg").read_bytes() == b"not looked at"
    told = run(*command)
    assert told.code == 2
    assert "exists already" in told.err
    told = run(*command[:3], "--out", tmp_path / "b", "--url", archive, "--sha256", "0" * 64)
    assert told.code == 2
    assert "SHA-256 is" in told.err
    assert not (tmp_path / "b" / "mtd").exists()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("mvtec_ad", "Fill in the form at https://www.mvtec.com/"),
        ("codebrim", "7zz x"),
        ("kolektor_sdd2", "Accept the licence at https://www.vicos.si/"),
        ("folder", "images/ and masks/"),
        ("mtdd", "no dataset 'mtdd'; did you mean 'mtd'?"),
    ],
)
def test_the_others_are_said_how_to_get(run: Run, name: str, step: str, tmp_path: Path) -> None:
    told = run("data", "fetch", name, "--out", tmp_path)
    assert told.code == 2
    assert step in told.err
    assert not any(tmp_path.iterdir())
