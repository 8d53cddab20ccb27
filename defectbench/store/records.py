"""Records: one line per finished job and one per plan, in `records/<table>.<preset>.jsonl`; lines are only ever added.

A CSV is a pure function of such a file and of `benchmarks/published.csv`: the newest plan line says which cells there
are, job lines hold the numbers, failure lines the reasons.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.plan.plan import Plan
from defectbench.store.jobs import Store


def records_path(out: Path, table: str, preset: str) -> Path:
    """Give the file of a table's records."""
    return out / "records" / f"{table.replace('/', '.')}.{preset}.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a records file.

    Raises:
        UserError: a line is not a JSON object.
    """
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            content = json.loads(line)
            content["kind"]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path}: line {number} is not a record; restore the file (it is only ever added to)"
            ) from None
        lines.append(content)
    return lines


def append_records(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines, whole or not at all."""
    new = [json.dumps(line, sort_keys=True) for line in lines]
    if not new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(old + "\n".join(new) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def update_records(path: Path, plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Bring a records file up to date with the store.

    Args:
        path: the file.
        plan: what the table asks for.
        store: where finished jobs lie.

    Returns:
        all its lines.
    """
    lines = read_records(path) if path.exists() else []
    plans = [line for line in lines if line["kind"] == "plan"]
    jobs = {line["id"] for line in lines if line["kind"] == "job"}
    failures = {line["id"]: line["reason"] for line in lines if line["kind"] == "failure"}
    new: list[dict[str, Any]] = []
    asked = json.loads(json.dumps(plan.to_json()))
    if not plans or plans[-1] != asked:
        new.append(asked)
    for key, job in plan.jobs.items():
        if key in jobs:
            continue
        result = store.result(key)
        if result:
            new.append({"kind": "job", **result})
            continue
        failure = store.failure(key)
        if failure and failures.get(key) != failure["reason"]:
            told = {"kind": "failure", "id": key, "label": job.label, "reason": failure["reason"]}
            new.append({**told, "undefined": True} if failure.get("undefined") else told)
    append_records(path, new)
    return lines + new


def told_leaks(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which splits behind the newest plan have a part or a file on two sides, one line each."""
    jobs = {line["id"]: line for line in lines if line["kind"] == "job"}
    plan = [line for line in lines if line["kind"] == "plan"][-1]
    reached: set[str] = set()
    stack = [key for cell in plan["cells"] for key in cell["jobs"]]
    while stack:
        key = stack.pop()
        if key in jobs and key not in reached:
            reached.add(key)
            stack.extend(jobs[key]["parents"].values())
    told = set()
    for job in (jobs[key] for key in reached):
        leaks = job.get("leaks", {"pairs": 0})
        if leaks["pairs"]:
            spec = job["spec"]
            told.add(
                f"{spec['dataset']}/{spec['product']}: the split {spec['split']} leaks: {leaks['pairs']} pair(s) of images "
                f"of one part or file are on two sides, e.g. {' and '.join(leaks['first'])}"
            )
    return sorted(told)
