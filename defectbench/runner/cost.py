"""What jobs will cost, from the records of earlier ones of the same stage, generator and size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from defectbench.plan.job import Job
from defectbench.store.jobs import Store
from defectbench.store.records import read_records

Kind = tuple[str, str, int]


@dataclass
class Cost:
    """What jobs will cost on one kind of device.

    Attributes:
        hours: core-hours or GPU-hours.
        bytes: on the disk.
        same: jobs that are told from records of the same stage, generator (or task) and size.
        similar: jobs that are told from records of the same stage alone.
        unknown: jobs without any record, by stage; they count nothing.
    """

    hours: float = 0.0
    bytes: float = 0.0
    same: int = 0
    similar: int = 0
    unknown: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Past:
    """Seconds and bytes of a finished job, each per unit of its budget."""

    seconds: float
    bytes: float | None


def budget(spec: Mapping[str, Any]) -> float:
    """Give what the time of a job grows with: images of a fit, steps of a task, images of a sample; 1 for others."""
    for key in ("images", "steps"):
        if isinstance(spec.get(key), int):
            return float(spec[key])
    counts = spec.get("counts")
    return float(sum(counts.values())) if isinstance(counts, Mapping) and counts else 1.0


def kind(
    job: str, look: Callable[[str], tuple[str, Mapping[str, Any], Mapping[str, str]] | None]
) -> Kind:
    """Say of which kind a job is: stage, generator or task (its own or of what it stands on), and size of the images."""
    stage, name, size = "", "", 0
    ahead, seen = [job], set()
    while ahead:
        key = ahead.pop(0)
        told = look(key)
        if told is None or key in seen:
            continue
        seen.add(key)
        where, spec, parents = told
        stage = stage or where
        name = name or str(spec.get("task") or spec.get("generator") or "")
        size = size or int(spec.get("size") or 0)
        ahead += parents.values()
    return stage, name, size


def history(records: Iterable[Path], store: Store) -> dict[str, dict[Kind, list[_Past]]]:
    """Gather finished jobs by device (`CPU` or `GPU`) and kind."""
    found: dict[str, dict[Kind, list[_Past]]] = {}
    for path in records:
        lines = {line["id"]: line for line in read_records(path) if line["kind"] == "job"}

        def look(
            key: str, lines: Mapping[str, Any] = lines
        ) -> tuple[str, Mapping[str, Any], Mapping[str, str]] | None:
            line = lines.get(key)
            return (line["stage"], line["spec"], line["parents"]) if line else None

        for key, line in lines.items():
            whence = line.get("provenance", {})
            if "stage" not in line or "seconds" not in whence:
                continue
            device = "CPU" if str(whence.get("device", "")).startswith("CPU") else "GPU"
            cores = int(line["spec"].get("threads", 1)) if device == "CPU" else 1
            files = (store.result(key) or {}).get("files")
            units = budget(line["spec"])
            size = sum(files.values()) / units if files is not None else None
            past = _Past(float(whence["seconds"]) * cores / units, size)
            found.setdefault(device, {}).setdefault(kind(key, look), []).append(past)
    return found


def costs(jobs: Mapping[str, Job], out: Path) -> dict[str, Any]:
    """Estimate what the jobs that have not ended will cost.

    Args:
        jobs: of one plan, or of several.
        out: folder of results, whose records are read.

    Returns:
        `jobs`, `ended`, and `devices`: a `Cost` as plain values for each kind of device that has records.
    """
    store = Store(out / "jobs")
    todo = [key for key in jobs if store.state(key) not in {"done", "failed"}]

    def look(key: str) -> tuple[str, Mapping[str, Any], Mapping[str, str]] | None:
        job = jobs.get(key)
        return (job.stage, job.spec, job.parents) if job else None

    kinds = {key: kind(key, look) for key in todo}
    told = {}
    for device, known in history(sorted((out / "records").glob("*.jsonl")), store).items():
        stages: dict[str, list[_Past]] = {}
        for (stage, _, _), past in known.items():
            stages.setdefault(stage, []).extend(past)
        cost = Cost()
        for key in todo:
            stage = jobs[key].stage
            past = known.get(kinds[key], [])
            if past:
                cost.same += 1
            elif past := stages.get(stage, []):
                cost.similar += 1
            else:
                cost.unknown[stage] = cost.unknown.get(stage, 0) + 1
                continue
            units = budget(jobs[key].spec)
            sizes = [p.bytes for p in past if p.bytes is not None]
            cost.hours += units * sum(p.seconds for p in past) / len(past) / 3600
            cost.bytes += units * sum(sizes) / len(sizes) if sizes else 0.0
        told[device] = asdict(cost)
    return {"jobs": len(todo), "ended": len(jobs) - len(todo), "devices": told}


def told_costs(found: Mapping[str, Any]) -> list[str]:
    """Say it in lines for people."""
    lines = [f"{found['jobs']} jobs to do, {found['ended']} ended before"]
    if not found["devices"] and found["jobs"]:
        lines.append(
            "no records of finished jobs in this folder: run one case first, and ask again"
        )
    for device, cost in found["devices"].items():
        unit = "core-hours" if device == "CPU" else "GPU-hours"
        unknown = ", ".join(f"{count} {stage}" for stage, count in cost["unknown"].items())
        lines.append(
            f"{device}: about {cost['hours']:.3g} {unit}, {cost['bytes'] / 1e6:.3g} MB; {cost['same']} jobs told from records "
            f"of the same generator or task and size, {cost['similar']} from others of their stage"
            + (f"; without a record: {unknown}" if unknown else "")
        )
    return lines
