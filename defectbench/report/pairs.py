"""Which cells of a table are compared with which: every arm beside the arms without synthetic images, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
BASELINES = ("raw", "augment")
"""Kinds of arms that others are compared with."""


@dataclass(frozen=True)
class Contest:
    """One arm against one baseline, over all subsets of a dataset.

    Attributes:
        dataset: the dataset's name.
        method: the generator's name in the table; `none` for an arm without one.
        arm: the arm's name.
        model: the downstream model.
        baseline: name of the arm that it is compared with.
        pairs: each subset's cell with the baseline's cell.
    """

    dataset: str
    method: str
    arm: str
    model: str
    baseline: str
    pairs: Sequence[tuple[Record, Record]]


def newest_plan(lines: Sequence[Record]) -> Record:
    """Give the newest plan line of a records file."""
    return [line for line in lines if line["kind"] == "plan"][-1]


def job_lines(lines: Sequence[Record]) -> dict[str, Record]:
    """Give the lines of finished jobs by id."""
    return {line["id"]: line for line in lines if line["kind"] == "job"}


def kind_of(cell: Record) -> str:
    """Give the arm that a cell is, whatever its name in the table."""
    return str(cell.get("kind", cell["arm"]))


def place(cell: Record) -> tuple[str, ...]:
    """Say which cells may be compared: same model and images, and no other difference of the entry."""
    return (cell["model"], cell["dataset"], cell["subset"], cell.get("variant", ""))


def contests(plan: Record, *, by_subset: bool = False) -> list[Contest]:
    """List the comparisons of a table, in the order of its cells.

    Arms with synthetic images, and `ideal`, are compared with every baseline of the same regime. Other arms of real images
    alone (`augment`, or `raw` with more steps) are compared with `raw` too: they show what comes without any generator.

    Args:
        plan: the plan line of the records.
        by_subset: whether each subset is a contest of its own.
    """
    baselines: dict[tuple[str, ...], Record] = {}
    contestants: dict[tuple[str, ...], list[Record]] = {}
    for cell in plan["cells"]:
        kind = kind_of(cell)
        if kind in BASELINES:
            baselines[(cell["arm"], *place(cell))] = cell
        if kind != "score" and cell["jobs"]:
            key = (cell["dataset"], cell["method"], cell["arm"], cell["model"])
            contestants.setdefault((*key, cell["subset"]) if by_subset else key, []).append(cell)
    names = dict.fromkeys(key[0] for key in baselines)
    found = []
    for (dataset, method, arm, model, *_), cells in contestants.items():
        for name in names:
            at = [(cell, _baseline(cell, name, baselines)) for cell in cells]
            pairs = [(cell, base) for cell, base in at if base is not None]
            if pairs:
                found.append(Contest(dataset, method, arm, model, name, pairs))
    return found


def _baseline(
    cell: Record, name: str, baselines: Mapping[tuple[str, ...], Record]
) -> Record | None:
    """Find the cell of a baseline that a cell is compared with; None where there is none."""
    if kind_of(cell) not in BASELINES:
        return baselines.get((name, *place(cell)))
    *where, variant = place(cell)
    parts = [part for part in variant.split("; ") if not part.startswith("task ")]
    base = baselines.get((name, *where, "; ".join(parts)))
    return base if base is not None and kind_of(base) == "raw" and name != cell["arm"] else None


def score_of(metric: str) -> Callable[[Record], float | None]:
    """Give the function that reads a score from a job's line."""
    return lambda job: job["metrics"].get(metric)


def differences(
    pairs: Sequence[tuple[Record, Record]],
    jobs: Mapping[str, Record],
    metric: str,
    read: Callable[[Record], float | None] | None = None,
) -> dict[str, dict[int, float]]:
    """Take arm minus baseline, by subset and by place in the table's list of seeds, signed so that more is better.

    Args:
        pairs: cells and their baselines.
        jobs: job lines by id.
        metric: the score whose direction decides the sign.
        read: reads the value from a job's line, None where it has none; by default the score itself.
    """
    read = read or score_of(metric)
    found: dict[str, dict[int, float]] = {}
    for cell, base in pairs:
        mine = found.setdefault(cell["subset"], {})
        for seed, keys in enumerate(zip(cell["jobs"], base["jobs"], strict=False)):
            values = [read(jobs[key]) for key in keys if key in jobs]
            if len(values) == 2 and values[0] is not None and values[1] is not None:
                mine[seed] = sign_of(jobs[keys[0]], metric) * (float(values[0]) - float(values[1]))
    return {subset: by_seed for subset, by_seed in found.items() if by_seed}


def sign_of(job: Record, metric: str) -> float:
    """Give -1 for a score of which less is better, else 1."""
    return -1.0 if job["better"].get(metric) == "lower" else 1.0
