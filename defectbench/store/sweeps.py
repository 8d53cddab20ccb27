"""Sweeps: what was asked for, in one file per sweep, from which any machine can start a worker.

`<jobs>/sweeps/<id>.json` holds the tables, the options and every job in its order. The folder `<id>/` beside it holds the
logs of workers, a note per worker, and the mark that ends the sweep. States of jobs are in the jobs' own folders only.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.files import write_text
from defectbench.plan.job import Job, canonical
from defectbench.store.jobs import Store, read_json, write_json
from defectbench.store.provenance import code_digest, commit, versions


@dataclass(frozen=True)
class Asked:
    """What a user asked for, as plain values; paths are absolute.

    Attributes:
        tables: names, or YAML files.
        preset: which preset.
        data: folder of the real datasets; "" for none.
        only: restricts the cells.
        machine: `accelerator`, `devices`, `precision`.
        tensorboard: whether fits write TensorBoard files.
        foreign: folders of another program's images, by the name of their column.
        unlabelled: what own images are of which nothing says whether they are good.
    """

    tables: Sequence[str]
    preset: str
    data: str
    only: Mapping[str, Sequence[str]]
    machine: Mapping[str, Any]
    tensorboard: bool
    foreign: Mapping[str, str]
    unlabelled: str = ""


@dataclass(frozen=True)
class Sweep:
    """A sweep.

    Attributes:
        path: its file.
        asked: what was asked for.
        jobs: every job that is needed, parents first.
        folders: folders of another program's images, by the digest that jobs hold.
        code: hash of the package's code that planned it.
        commit: its git commit, for people.
        versions: of Python and the packages that move numbers.
        date: when it was planned.
    """

    path: Path
    asked: Asked
    jobs: Mapping[str, Job]
    folders: Mapping[str, Path]
    code: str
    commit: str
    versions: Mapping[str, str]
    date: str

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, of what was asked for and of the jobs."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Folder of logs and notes."""
        return self.path.with_suffix("")

    @property
    def store(self) -> Store:
        """Where its jobs lie."""
        return Store(self.path.parents[1])

    @property
    def out(self) -> Path:
        """Where its results go."""
        return self.path.parents[2]


def write_sweep(
    store: Store, asked: Asked, jobs: Mapping[str, Job], folders: Mapping[str, Path]
) -> Sweep:
    """Write a sweep's file, or bring an older one of the same id up to date; a mark that ended it is taken away.

    Args:
        store: where the jobs lie.
        asked: what was asked for.
        jobs: every job that is needed, parents first.
        folders: folders of another program's images, by digest.
    """
    text = canonical([asdict(asked), list(jobs)])
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = store.root.resolve() / "sweeps" / f"{name}.json"
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = {
        "asked": asdict(asked),
        "jobs": [job.to_json() for job in jobs.values()],
        "folders": {digest: str(folder.resolve()) for digest, folder in folders.items()},
        "code": code_digest(),
        "commit": commit(),
        "versions": versions(),
        "date": now,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    folder = path.with_suffix("")
    write_text(folder / "code", str(content["code"]))
    for mark in ("ended", "checked"):
        (folder / mark).unlink(missing_ok=True)
    return read_sweep(path)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's file.

    Raises:
        UserError: there is none, or it is not one.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a sweep, <out>/jobs/sweeps/<id>.json; `defectbench status --out OUT` lists them"
        )
    content = read_json(path)
    try:
        jobs = [Job.from_json(job) for job in content["jobs"]]
        return Sweep(
            path.resolve(),
            Asked(**content["asked"]),
            {job.id: job for job in jobs},
            {digest: Path(folder) for digest, folder in content["folders"].items()},
            content["code"],
            content["commit"],
            content["versions"],
            content["date"],
        )
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a sweep of this version ({error}); run the same `defectbench run` again to write it anew"
        ) from None


def list_sweeps(store: Store) -> list[Path]:
    """List the files of sweeps, the newest first."""
    found = store.root.glob("sweeps/*.json")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def find_sweep(store: Store, name: str = "") -> Sweep:
    """Read a sweep by its id or the beginning of it; the newest one by default.

    Raises:
        UserError: there is none.
    """
    there = list_sweeps(store)
    found = [path for path in there if path.stem.startswith(name)]
    if not found or (name and len(found) > 1):
        which = ", ".join(path.stem for path in there) or "none"
        asked = f"sweep {name}" if name else "no sweep"
        raise UserError(
            f"{store.root}: {asked}; there: {which}; `defectbench run` writes one, and --out names its folder"
        )
    return read_sweep(found[0])


def check_code(sweep: Sweep) -> None:
    """Refuse to work on a sweep with another code, or other versions, than planned it.

    Raises:
        UserError: says what differs.
    """
    here = versions()
    other = [
        f"{k} {here.get(k)} (planned with {v})"
        for k, v in sweep.versions.items()
        if here.get(k) != v
    ]
    if code_digest() != sweep.code:
        other.insert(
            0,
            f"the checkout is at {commit() or 'another state'} (planned at {sweep.commit or 'another state'})",
        )
    if other:
        raise UserError(
            f"sweep {sweep.id}: {'; '.join(other)}; results of two states would mix; restore that state, or give the "
            "same `defectbench run` again to go on with this one"
        )


def end(sweep: Sweep) -> None:
    """Mark a sweep so that every executor stops working on it, on every machine."""
    sweep.folder.mkdir(parents=True, exist_ok=True)
    write_text(sweep.folder / "ended", "")


def check_goes_on(path: Path | None, code: str = "") -> None:
    """Refuse to begin another job of a sweep that was cancelled or planned anew from other code.

    Args:
        path: the sweep's file; None where there is no sweep.
        code: what planned the sweep that is worked on.

    Raises:
        UserError: it was.
    """
    if path is None:
        return
    if (path.with_suffix("") / "ended").exists():
        raise UserError(
            f"sweep {path.stem}: cancelled by `defectbench cancel`; what is finished is kept; run the same command again to go on"
        )
    planner = path.with_suffix("") / "code"
    if code and planner.exists() and (now := planner.read_text()) != code:
        raise UserError(
            f"sweep {path.stem}: planned anew from other code ({now}, here {code}); this worker ends, newer ones go on"
        )


class WorkerNote:
    """What a worker says of itself: `<id>/workers/<host>-<pid>.json`."""

    def __init__(self, sweep: Sweep) -> None:
        """Write that a worker has begun."""
        self.path = sweep.folder / "workers" / f"{socket.gethostname()}-{os.getpid()}.json"
        self.content = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.time(),
            "slurm": os.environ.get("DEFECTBENCH_ALLOCATION", ""),
            "log": os.environ.get("DEFECTBENCH_WORKER_LOG", ""),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.say("at work")

    def say(self, state: str, reason: str = "") -> None:
        """Write how it stands: `at work`, `refused`, `stopped` or `ended`."""
        write_json(self.path, {**self.content, "state": state, "reason": reason})


def worker_notes(sweep: Sweep) -> list[dict[str, Any]]:
    """Read the notes of workers, oldest first."""
    found = [read_json(path) for path in sweep.folder.glob("workers/*.json")]
    return sorted(found, key=lambda note: float(note["since"]))
