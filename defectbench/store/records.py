"""Records: one line per finished job and one per plan, in `records/<table>.<preset>.jsonl`; lines are only ever added.

A CSV is a pure function of such a file and of `benchmarks/published.csv`: the newest plan line says which cells there
are, job lines hold the numbers, failure lines the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.files import DAMAGED, tell_damage, write_text
from defectbench.plan.plan import Plan
from defectbench.store.jobs import Store


def records_path(out: Path, table: str, preset: str) -> Path:
    """Give the file of a table's records."""
    return out / "records" / f"{table.replace('/', '.')}.{preset}.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a records file.

    A line that is damaged is named, moved to `NAME.damaged`, and not among them: a run of the table writes it again from
    the store.
    """
    lines: list[dict[str, Any]] = []
    kept: list[str] = []
    damaged: dict[int, str] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            content = json.loads(line)
            content["kind"]
        except (ValueError, KeyError, TypeError):
            damaged[number] = line
            continue
        kept.append(line)
        lines.append(content)
    if damaged:
        aside = path.with_name(path.name + DAMAGED)
        with aside.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in damaged.values())
        write_text(path, "".join(f"{line}\n" for line in kept))
        which = ", ".join(map(str, damaged))
        tell_damage(
            path, f"line {which} is no record", f"moved to {aside.name}; run its table again"
        )
    return lines


@contextmanager
def telling_of_records(path: Path) -> Iterator[None]:
    """Say of lines that are JSON, but hold something else than this version writes, that they are no records.

    Raises:
        UserError: names the file.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(
            f"{path}: holds lines that this version did not write ({type(error).__name__}: {error}); restore the file, "
            "or delete it and run its table again: finished jobs are kept"
        ) from None


def append_records(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines, whole or not at all."""
    new = [json.dumps(line, sort_keys=True) for line in lines]
    if not new:
        return
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, old + "\n".join(new) + "\n")


def update_records(path: Path, plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Bring a records file up to date with the store.

    Args:
        path: the file.
        plan: what the table asks for.
        store: where finished jobs lie.

    Returns:
        all its lines.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):  # several runs may end at once
        return _update(path, plan, store)


def _update(path: Path, plan: Plan, store: Store) -> list[dict[str, Any]]:
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
            told = {name: value for name, value in result.items() if name != "files"}
            new.append({"kind": "job", **told})
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
                f"that show one part or are one file are on two sides, e.g. {' and '.join(leaks['first'])}"
            )
    return sorted(told)
