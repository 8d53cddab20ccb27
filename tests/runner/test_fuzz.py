"""Files that people and crashes change: an error of ours, or a right result; never another exception."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from defectbench.config import UserError
from defectbench.data.download.archives import extract
from defectbench.data.manifest import Manifest
from defectbench.files import read_rows
from defectbench.names import find_table, tables
from defectbench.report.collect import published, read_csv
from defectbench.runner.results import write_table
from defectbench.spec.loading import load_table
from defectbench.spec.table import TableSpec
from defectbench.stages.checkpoints import read_checkpoint
from defectbench.store.records import read_records
from tests.running import TABLE

pytestmark = pytest.mark.slow
RUNS = int(os.environ.get("DEFECTBENCH_FUZZ", "60"))
"""Examples per test; `DEFECTBENCH_FUZZ=5000 pytest tests/runner/test_fuzz.py` for more, drawn at random."""
fuzzed = settings(
    max_examples=RUNS,
    deadline=None,
    derandomize="DEFECTBENCH_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
)
ROOT = Path(__file__).parents[2]
SCALARS: list[Any] = [None, True, 0, -1, 1e308, float("nan"), "", "ä", [], {}, [[]], {"a": None}]
scalars = st.sampled_from(SCALARS)


def ours(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives, or None if it refuses in a sentence."""
    try:
        return call(*arguments)
    except UserError as error:
        return None if len(str(error)) > 10 else pytest.fail("an error without words")


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut out, repeat, replace or swap some bytes."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(0, 40))
        new = draw(st.one_of(st.just(b""), st.binary(max_size=8), st.sampled_from(MARKS)))
        content = content[:at] + new + content[at + length :]
    return content


MARKS = [
    b"\n",
    b",",
    b'"',
    b":",
    b"- ",
    b"{",
    b"}",
    b"\0",
    b"\xff",
    b"1e999",
    b"null",
    b"&a *a",
    b"!!x ",
]


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested lists and dictionaries."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [here, *(path for key, each in inner for path in paths(each, (*here, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The same with another value, or none, at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


@fuzzed
@given(mutated(TABLE.encode()))
def test_tables(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_bytes(content)
        assert isinstance(ours(load_table, path), TableSpec | None)


PUBLISHED = (find_table(next(iter(tables()))).parents[1] / "published.csv").read_bytes()[:3000]
PUBLISHED = PUBLISHED[: PUBLISHED.rindex(b"\n") + 1]


@fuzzed
@given(mutated(PUBLISHED))
def test_csvs(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(content)
        for read in (read_rows, published, read_csv):
            assert isinstance(ours(read, path), list | dict | None)


MANIFEST = b"""id,image,mask,product,defects,split,group,source,mask_source
a,images/a.png,masks/a.png,wood,hole;liquid,train,a,real,annotation
b,images/b.png,,wood,,test,b,real,none
"""
HEADER = {
    "dataset": "x", "defects": ["hole", "liquid"], "products": ["wood"], "mask_threshold": 128, "stand_in": False
}  # fmt: skip


@fuzzed
@given(mutated(MANIFEST), st.sampled_from(paths(HEADER)), scalars)
def test_manifests(content, where, new):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.csv").write_bytes(content)
        (Path(folder) / "manifest.json").write_text(json.dumps(changed(HEADER, where, new)))
        assert isinstance(ours(Manifest.load, Path(folder)), Manifest | None)


RECORDS = (ROOT / "results/records/house.oracle.smoke.jsonl").read_bytes()
LINES = [json.loads(line) for line in RECORDS.splitlines()]
SOME = [LINES[0], *[next(x for x in LINES if x.get("stage") == s) for s in ("task", "sample")]]


@settings(fuzzed, max_examples=max(RUNS // 4, 1))  # each writes all files of a table
@given(mutated(RECORDS))
def test_torn_records(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "house.oracle.smoke.jsonl"
        path.write_bytes(content)
        kept = read_records(path)
        assert [line for line in kept if line in LINES] != []
        assert read_records(path) == kept
        ours(write_table, path, Path(folder))


@fuzzed
@given(st.integers(0, len(SOME) - 1), st.data())
def test_records_of_another_shape(which, data):
    where = data.draw(st.sampled_from(paths(SOME[which])))
    lines = [changed(x, where, data.draw(scalars)) if n == which else x for n, x in enumerate(SOME)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records" / "x.jsonl"
        path.parent.mkdir()
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert isinstance(ours(write_table, path, Path(folder)), list | None)


def archives() -> dict[str, bytes]:
    """One of each kind, with two files."""
    found = {}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a/b.txt", "c.txt"):
            file.writestr(name, name * 20)
    found["zip"] = packed.getvalue()
    for kind in ("", "gz"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=f"w:{kind}") as tar:
            for name in ("a/b.txt", "c.txt"):
                info = tarfile.TarInfo(name)
                info.size = len(name) * 20
                tar.addfile(info, io.BytesIO(name.encode() * 20))
        found[f"tar{kind}"] = packed.getvalue()
    return found


@pytest.mark.parametrize("kind", archives())
@fuzzed
@given(data=st.data())
def test_archives(kind, data):
    content = data.draw(mutated(archives()[kind]))
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "archive.bin", Path(folder) / "out"
        path.write_bytes(content)
        assert ours(extract, path, out) in {None, 0, 1, 2}
        written = [p for p in Path(folder).rglob("*") if p.is_file() and p != path]
        assert all(p.is_relative_to(out) and not p.is_symlink() for p in written)


def checkpoint() -> bytes:
    packed = io.BytesIO()
    torch.save(
        {"generator": "star_gan", "arguments": {}, "state_dict": {"a": torch.ones(3)}}, packed
    )
    return packed.getvalue()


class Harm:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("harm",))


@fuzzed
@given(st.one_of(mutated(checkpoint()), st.binary(max_size=200)))
@example(pickle.dumps(Harm()))
@example(pickle.dumps({"generator": "x"}))
def test_checkpoints(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.ckpt"
        path.write_bytes(content)
        content = ours(read_checkpoint, path)
        assert content is None or "state_dict" in content
    assert not Path("harm").exists()
