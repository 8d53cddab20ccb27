"""Where jobs leave their results: one folder per job; finished = `result.json` exists.

Files are written under temporary names and renamed, so a kill at any moment leaves either nothing or the whole. A
running job holds a file lock (released by the system when its process dies) and refreshes `lease.json`, by which another
machine tells a running job from a dead one.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from defectbench.config import UserError
from defectbench.files import DAMAGED, clear_unfinished, set_aside, write_text
from defectbench.plan.job import Job
from defectbench.store.journal import Journal

State = Literal["waiting", "running", "done", "failed"]
LEASE_SECONDS = 120.0
HEARTBEAT_SECONDS = 20.0
NOTES = frozenset(
    {
        "job.json",
        "result.json",
        "failed.json",
        "lease.json",
        "worker.json",
        "error.log",
        "ranks.log",
    }
)
"""Files of a job's folder that are no part of what the job made."""
WORKER = {"slurm": "DEFECTBENCH_ALLOCATION", "log": "DEFECTBENCH_WORKER_LOG"}
"""What a lease says of a worker besides its process, and the variables that hold it: see `executors/slurm.py`."""


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this program wrote.

    Raises:
        UserError: it is not whole.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"expected an object, found {type(content).__name__}")
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: corrupt ({error}); delete the folder {path.parent} and run again to redo this job alone"
        ) from None
    return content


def made(folder: Path) -> Iterator[tuple[str, Path]]:
    """Walk through what a job made: names relative to its folder, with `/`, in order, and paths."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "tensorboard")
        here = Path(place)
        for name in sorted(files):
            note = here == folder and (name in NOTES or name == ".lock")
            if not note and not name.endswith((".tmp", ".lock")) and DAMAGED not in name:
                yield (here / name).relative_to(folder).as_posix(), here / name


class Store:
    """The jobs' folders below `root`.

    Args:
        root: usually `<out>/jobs`.
    """

    def __init__(self, root: Path) -> None:
        """Keep the place."""
        self.root = root
        self.journal = Journal(root)

    def open(self) -> None:
        """Make the folder and check that it can be written.

        Raises:
            UserError: it cannot.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe.{os.getpid()}"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"{self.root}: cannot be written ({error.strerror}); choose another folder with --out or mend its rights"
            ) from None

    def folder(self, job: str) -> Path:
        """Give the folder of a job."""
        return self.root / job

    def result(self, job: str) -> dict[str, Any] | None:
        """Read the result of a finished job.

        Raises:
            UserError: `result.json` is corrupt.
        """
        path = self.folder(job) / "result.json"
        return read_json(path) if path.exists() else None

    def failure(self, job: str) -> dict[str, Any] | None:
        """Read why a job failed."""
        path = self.folder(job) / "failed.json"
        return read_json(path) if path.exists() else None

    def state(self, job: str) -> State:
        """Say how a job stands."""
        folder = self.folder(job)
        if (folder / "result.json").exists():
            return "done"
        if (folder / "failed.json").exists():
            return "failed"
        return "running" if self._alive(folder / "lease.json") else "waiting"

    def _alive(self, lease: Path) -> bool:
        try:
            held = json.loads(lease.read_text())
            age = time.time() - lease.stat().st_mtime
        except (OSError, ValueError):
            return False
        here = held.get("host") == socket.gethostname() and Path("/proc").exists()
        if here and not Path(f"/proc/{held.get('pid')}").exists():
            return False
        return age < LEASE_SECONDS  # here too: the number of a dead process may be another's by now

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Write the result, with the sizes of the files that the job made: the job is done from here on."""
        folder = self.folder(job.id)
        sizes = {name: path.stat().st_size for name, path in made(folder)}
        write_json(folder / "result.json", {**result, "files": sizes})
        self.journal.add(job.id, "done")

    def mend(self, jobs: Iterable[Job]) -> None:
        """Let jobs be done again of which a file is damaged: a note that is no JSON, or a file of another size than it had.

        What is damaged is named and set aside in the job's folder. A file that is missing is no damage: it was deleted
        by somebody, who may not need it.

        Args:
            jobs: the jobs.
        """
        for job in jobs:
            note = self.folder(job.id) / "job.json"
            try:
                if note.exists():
                    read_json(note)
            except UserError:
                write_json(note, job.to_json())
            if self._damages(job.id):
                self._mend(job.id)

    def _damages(self, job: str) -> dict[Path, str]:
        """Find the damaged files of a job that is done or has failed, with what is wrong with them."""
        folder = self.folder(job)
        result = folder / "result.json"
        found = {}
        for note in (result, folder / "failed.json"):
            try:
                content = read_json(note) if note.exists() else {}
            except UserError:
                found[note] = f"no JSON, {note.stat().st_size} bytes"
                continue
            if note == result and (sizes := content.get("files")):
                for name, path in made(folder):
                    size = path.stat().st_size
                    if sizes.get(name, size) != size:
                        found[path] = f"{size} bytes, it had {sizes[name]}"
        return found

    def _mend(self, job: str) -> None:
        from filelock import FileLock, Timeout

        folder = self.folder(job)
        try:
            with FileLock(str(folder / ".lock"), timeout=0):
                found = self._damages(job)  # another process may have been faster
                if not found:
                    return
                result = folder / "result.json"
                if result not in found:
                    result.unlink(missing_ok=True)
                for path, why in found.items():
                    set_aside(path, why, folder)
                self.journal.add(job, "open")
        except Timeout:
            return  # who holds the job does it again

    def fail(self, job: Job, reason: str, *, repeats: bool, undefined: bool = False) -> None:
        """Write why a job failed.

        Args:
            job: the job.
            reason: one line.
            repeats: whether it would fail again (divergence, bad input); a rerun leaves such a job alone.
            undefined: whether nothing went wrong, but what was asked for does not exist.
        """
        content = {"job": job.id, "label": job.label, "reason": reason, "repeats": repeats}
        if undefined:
            content["undefined"] = True
        self._fail(job.id, content)

    def block(self, job: Job, by: Mapping[str, Any]) -> str:
        """Write that a job cannot run because a parent failed, so that its own children and the table know why.

        Args:
            job: the job.
            by: the parent's failure.

        Returns:
            the reason, which names the ancestor that failed.
        """
        reason = str(by["reason"] if by.get("blocked") else f"{by['label']}: {by['reason']}")
        content = {"job": job.id, "label": job.label, "reason": reason, "repeats": by["repeats"]}
        content["blocked"] = True
        if by.get("undefined"):
            content["undefined"] = True
        self._fail(job.id, content)
        return reason

    def _fail(self, job: str, content: Mapping[str, Any]) -> None:
        self.folder(job).mkdir(parents=True, exist_ok=True)
        write_json(self.folder(job) / "failed.json", content)
        self.journal.add(job, "failed")

    def forgive(self, job: str, *, all_reasons: bool) -> bool:
        """Forget a failure so that the job is tried again.

        Args:
            job: its id.
            all_reasons: also forget failures that would repeat.

        Returns:
            whether there was one to forget.
        """
        failure = self.failure(job)
        if failure is None or (failure["repeats"] and not all_reasons):
            return False
        (self.folder(job) / "failed.json").unlink()
        self.journal.add(job, "open")
        return True

    def lease(self, job: str) -> dict[str, Any] | None:
        """Read who is at work on a job: `host`, `pid`, `since` and, where it is known, `done` of `of`."""
        path = self.folder(job) / "lease.json"
        try:
            held = json.loads(path.read_text())
        except (OSError, ValueError):
            return None  # it has just ended
        return held if isinstance(held, dict) and self._alive(path) else None

    @contextmanager
    def claim(
        self, job: Job, *, wait: bool = True, told: Mapping[str, int] | None = None
    ) -> Iterator[bool]:
        """Hold a job while working on it.

        Args:
            job: the job.
            wait: whether to wait while another live process holds it.
            told: how far the job is (`done`, `of`), which the lease passes on at every refresh.

        Yields:
            True if the job is ours to do; False if another process finished it meanwhile, or, without `wait`, holds it.
        """
        from filelock import FileLock, Timeout

        folder = self.folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / ".lock"))
        try:
            holding = lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        with holding:
            lease = folder / "lease.json"
            while self._alive(lease) and not (folder / "result.json").exists():
                held = read_json(lease)
                if held.get("host") == socket.gethostname():
                    break  # its process does not hold the file lock: it is not at work on this job
                if not wait:
                    yield False
                    return
                time.sleep(HEARTBEAT_SECONDS / 4)
            if (folder / "result.json").exists() or (folder / "failed.json").exists():
                yield False
                return
            clear_unfinished(folder)
            write_json(folder / "job.json", job.to_json())
            worker = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
            about = {name: os.environ[key] for name, key in WORKER.items() if os.environ.get(key)}
            write_json(folder / "worker.json", {**worker, **about})
            stop = threading.Event()
            beat = threading.Thread(
                target=self._heartbeat,
                args=(lease, {**worker, **about}, told or {}, stop),
                daemon=True,
            )
            beat.start()
            self.journal.add(job.id, "begun")
            try:
                yield True
            finally:
                stop.set()
                beat.join()
                lease.unlink(missing_ok=True)
                if not any((folder / name).exists() for name in ("result.json", "failed.json")):
                    self.journal.add(job.id, "open")

    @staticmethod
    def _heartbeat(
        lease: Path, worker: Mapping[str, Any], told: Mapping[str, int], stop: threading.Event
    ) -> None:
        while True:
            try:
                write_json(lease, {**worker, **told})
            except OSError:
                return  # the job itself will meet the full or vanished disk and report it
            if stop.wait(HEARTBEAT_SECONDS):
                return
