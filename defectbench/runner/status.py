"""How sweeps stand, from the store alone: jobs by state, what runs where since when, and why jobs failed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from defectbench.config import UserError, nearest
from defectbench.executors.order import waiting
from defectbench.executors.slurm import log_of, told_allocations
from defectbench.plan.job import Job
from defectbench.store.jobs import Store, read_json
from defectbench.store.sweeps import Sweep, list_sweeps, worker_notes

TAIL = 20


def status(sweep: Sweep) -> dict[str, Any]:
    """Say how a sweep stands, as plain values.

    Returns:
        `stages` (jobs by stage and state), `running`, `failed`, `workers`, `allocations` (of Slurm), and `seconds_left`,
        an estimate from the jobs of each stage that are done, None while there are none. A fit is `skipped` if every
        sample of it has failed.
    """
    store = sweep.store
    stages: dict[str, dict[str, int]] = {}
    running, failed = [], []
    seconds: dict[str, list[float]] = {}
    left: dict[str, int] = {}
    needed = waiting(sweep.jobs, store)
    for key, job in sweep.jobs.items():
        state: str = store.state(key)
        failure = store.failure(key) if state == "failed" else None
        if failure:
            state = "undefined" if failure.get("undefined") else "failed"
            state = "blocked" if failure.get("blocked") else state
            if state == "failed":
                failed.append({"id": key, "label": job.label, "reason": failure["reason"]})
        elif state == "running":
            running.append(_running(key, job, store))
        elif state == "done":
            result = store.result(key) or {}
            spent = float(result.get("provenance", {}).get("seconds", 0.0))
            seconds.setdefault(job.stage, []).append(spent)
        if state == "waiting" and key not in needed:
            state = "skipped"
        if state in {"waiting", "running"}:
            left[job.stage] = left.get(job.stage, 0) + 1
        counts = stages.setdefault(job.stage, {})
        counts[state] = counts.get(state, 0) + 1
    return {
        "sweep": sweep.id,
        "file": str(sweep.path),
        "tables": list(sweep.asked.tables),
        "preset": sweep.asked.preset,
        "date": sweep.date,
        "commit": sweep.commit,
        "cancelled": (sweep.folder / "ended").exists(),
        "jobs": len(sweep.jobs),
        "stages": stages,
        "running": running,
        "failed": failed,
        "seconds_left": seconds_left(left, seconds, len(running)),
        "workers": worker_notes(sweep),
        "allocations": told_allocations(sweep),
        "others": [path.stem for path in list_sweeps(store) if path.stem != sweep.id],
    }


def seconds_left(
    left: dict[str, int], seconds: dict[str, list[float]], running: int
) -> float | None:
    """Estimate the time left from the mean of each stage, with as many workers as are at work now."""
    known = [spent for each in seconds.values() for spent in each]
    if not left:
        return 0.0
    if not known:
        return None
    overall = sum(known) / len(known)
    means = {stage: sum(each) / len(each) for stage, each in seconds.items()}
    work = sum(count * means.get(stage, overall) for stage, count in left.items())
    return work / max(running, 1)


def _running(key: str, job: Job, store: Store) -> dict[str, Any]:
    lease = store.lease(key) or {}
    return {
        "id": key,
        "label": job.label,
        "host": lease.get("host", ""),
        "pid": lease.get("pid", 0),
        "slurm": lease.get("slurm", ""),
        "seconds": max(time.time() - float(lease.get("since", time.time())), 0.0),
        "done": lease.get("done"),
        "of": lease.get("of"),
    }


def find_job(sweep: Sweep, name: str) -> Job:
    """Find a job by its id, the beginning of it, or its label.

    Raises:
        UserError: there is none, or there are several.
    """
    found = [j for key, j in sweep.jobs.items() if key.startswith(name) or j.label == name]
    if len(found) != 1:
        labels = [job.label for job in sweep.jobs.values() if name in job.label] or [
            job.label for job in sweep.jobs.values()
        ]
        some = f"{nearest(name, labels)[:400]}"
        raise UserError(
            f"{name}: {len(found) or 'no'} job(s) of sweep {sweep.id}; expected an id or a label; {some}"
        )
    return found[0]


def logs(sweep: Sweep, job: Job) -> dict[str, Any]:
    """Gather what is known of a job: its state, its worker, its errors, and the end of its worker's log."""
    store = sweep.store
    folder = store.folder(job.id)
    failure = store.failure(job.id) or {}
    worker = folder / "worker.json"
    note = read_json(worker) if worker.exists() else {}
    log = Path(note["log"]) if note.get("log") else None
    if log is None and note.get("slurm"):
        log = log_of(note["slurm"], sweep)
    told: dict[str, Any] = {
        "id": job.id,
        "label": job.label,
        "state": store.state(job.id),
        "folder": str(folder),
        "reason": failure.get("reason", ""),
        "worker": note,
        "files": {},
    }
    for path in (folder / "error.log", folder / "ranks.log", folder / "losses.csv", log):
        if path is not None and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            whole = path.name == "error.log"
            told["files"][str(path)] = lines if whole else lines[-TAIL:]
    return told


def retry(sweep: Sweep, names: list[str]) -> list[str]:
    """Forget failures, so that the next run of the sweep tries these jobs again.

    Args:
        sweep: the sweep.
        names: jobs, see `find_job`; none for every job that has failed.

    Returns:
        labels of the jobs that will be tried again; those that were only blocked are not named.
    """
    store = sweep.store
    chosen = [find_job(sweep, name).id for name in names] or list(sweep.jobs)
    forgiven = []
    for key in chosen:
        failure = store.failure(key)
        if failure and failure.get("undefined") and not names:
            continue  # nothing went wrong
        if failure and not failure.get("blocked") and store.forgive(key, all_reasons=True):
            forgiven.append(sweep.jobs[key].label)
    for key in sweep.jobs:  # parents first, so that a block by another failure is written anew
        failure = store.failure(key)
        if failure and failure.get("blocked"):
            store.forgive(key, all_reasons=True)
    return forgiven
