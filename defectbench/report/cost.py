"""What each row of a table cost: seconds, devices, parameters; from records alone.

Times depend on the clock and the machine, so they stand in a file of their own and never beside scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from defectbench.report.pairs import job_lines, newest_plan

Record = Mapping[str, Any]
COST_COLUMNS = (
    "table",
    "preset",
    "dataset",
    "subset",
    "method",
    "arm",
    "variant",
    "model",
    "seconds",
    "seconds_fit",
    "seconds_sample",
    "seconds_model",
    "seeds",
    "device",
    "precision",
    "parameters_generator",
    "parameters_model",
)
"""Seconds are means over seeds of one seed's jobs: trainings of generators (all of a method's, shared stages too), sampling,
and the downstream training or the scoring; `seconds` is their sum. Parameters are numbers of weights."""


def costs(lines: Sequence[Record]) -> list[dict[str, str]]:
    """Give the cost of every cell that has a finished job.

    A training that several rows share is counted in each of them in full: a row says what it would cost alone.

    Args:
        lines: all lines of a records file.

    Returns:
        rows with `COST_COLUMNS`; empty texts where the records do not say.
    """
    plan, jobs = newest_plan(lines), job_lines(lines)
    rows = []
    for cell in plan["cells"]:
        done = [key for key in cell["jobs"] if key in jobs]
        if not done:
            continue
        behind = [_behind(key, jobs) for key in done]
        fits = [_seconds(family, "fit") for family in behind]
        samples = [_seconds(family, "sample") for family in behind]
        models = [_seconds([jobs[key]], jobs[key]["stage"]) for key in done]
        used = {job["id"]: job for family in behind for job in family if job["stage"] != "prepare"}
        rows.append(
            {
                **{key: str(cell.get(key, "")) for key in COST_COLUMNS[2:8]},
                "table": plan["table"],
                "preset": plan["preset"],
                "seconds": _mean(
                    [math.fsum(part) for part in zip(fits, samples, models, strict=True)]
                ),
                "seconds_fit": _mean(fits) if cell["fits"] else "",
                "seconds_sample": _mean(samples) if cell["fits"] else "",
                "seconds_model": _mean(models),
                "seeds": str(len(done)),
                "device": _told(used.values(), "device"),
                "precision": _told(used.values(), "precision"),
                "parameters_generator": _parameters(behind[0], "fit"),
                "parameters_model": _parameters([jobs[done[0]]], "task"),
            }
        )
    return rows


def _behind(key: str, jobs: Mapping[str, Record]) -> list[Record]:
    """List a job and all finished ones that its synthetic images come from."""
    found: dict[str, Record] = {}
    stack = [key]
    while stack:
        job = jobs.get(stack.pop())
        if job is None or job["id"] in found:
            continue
        found[job["id"]] = job
        roles = job.get("parents", {})
        stack += [parent for role, parent in roles.items() if role != "inspector"]
    return list(found.values())


def _seconds(family: Sequence[Record], stage: str) -> float:
    return math.fsum(
        float(job.get("provenance", {}).get("seconds", 0.0))
        for job in family
        if job["stage"] == stage
    )


def _mean(values: Sequence[float]) -> str:
    return f"{math.fsum(values) / len(values):.1f}"


def _told(used: Any, key: str) -> str:
    """Write what jobs ran on, each once."""
    said = [str(job.get("provenance", {}).get(key, "")) for job in used]
    return " + ".join(sorted({text for text in said if text}))


def _parameters(family: Sequence[Record], stage: str) -> str:
    """Sum the weights of one seed's networks, shared stages aside, whose weights go on; "" where a record does not say."""
    mine = [job for job in family if job["stage"] == stage and "part" not in job["spec"]]
    if not mine or any("parameters" not in job for job in mine):
        return ""
    return str(sum(int(job["parameters"]) for job in mine))
