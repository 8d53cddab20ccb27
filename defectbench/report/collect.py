"""From records to the long CSV of a table; a pure function, imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.config import UserError
from defectbench.files import read_rows, read_table
from defectbench.report.bounds import below_chance, clip
from defectbench.report.stats import summarise

COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "subset",
    "method",
    "arm",
    "variant",
    "model",
    "metric",
    "better",
    "mean",
    "sd",
    "n_seeds",
    "ci_low",
    "ci_high",
    "floor",
    "ceiling",
    "published",
    "difference",
    "n_real",
    "n_synthetic",
    "seeds",
    "steps",
    "fit_images",
    "selection",
    "status",
    "reason",
    "revision",
    "jobs",
)
"""sd has ddof=1; ci is the 95 % Student t interval of the mean over seeds, cut to [0, 1] for fractions, or, for a score of one
seed, its own interval over both image sets. floor: what a perfect generator would score; ceiling: training images replayed; of
scores only. seeds, steps and fit_images are the budget: seeds with a number, steps of the downstream training, images that
the generator saw in training."""


def number(value: float | None, digits: int = 4) -> str:
    """Write a number as a plain decimal; "" for None and NaN."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


Printed = Mapping[tuple[str, ...], float]


def published(path: Path | None = None) -> dict[tuple[str, ...], float]:
    """Read what the papers print, by (paper, table, dataset, subset, method, arm, model, metric).

    Where one dataset alone has the rest of a key, the key stands there with dataset "" too.
    """
    path = path or names.tables_folder() / "published.csv"
    rows = read_rows(path)
    keys = ("paper", "table", "dataset", "subset", "method", "arm", "model", "metric")
    try:
        found = {tuple(row[k] for k in keys): float(row["value"]) for row in rows if row["value"]}
    except KeyError as missing:
        raise UserError(f"{path}: no column {missing}; expected {', '.join(keys)}, value") from None
    except ValueError as error:
        raise UserError(f"{path}: column value: {error}; expected numbers") from None
    short = Counter((*key[:2], "", *key[3:]) for key in found)
    unique = {
        (*key[:2], "", *key[3:]): value
        for key, value in found.items()
        if short[(*key[:2], "", *key[3:])] == 1
    }
    return {**unique, **found}


def printed_value(
    plan: Mapping[str, Any],
    cell: Mapping[str, Any],
    metric: str,
    printed: Printed,
    *,
    gain: bool = False,
) -> float | None:
    """Find what the paper prints for a cell, in the unit of our metric: the score, or what it gains."""
    known = plan.get("printed", {}).get(metric, {"metric": metric, "times": 1.0})
    if known.get("gain", False) != gain:
        return None
    method, arm = cell.get("published") or (cell["method"], cell["arm"])
    model = "" if cell["arm"] == "score" else cell["model"]
    for dataset in (cell["dataset"].removesuffix(" stand-in"), ""):
        key = (plan["paper"], plan["number"], dataset, cell["subset"], method, arm, model)
        if (*key, known["metric"]) in printed:
            return printed[(*key, known["metric"])] / float(known["times"])
    return None


def collect(lines: Sequence[Mapping[str, Any]], printed: Printed) -> list[dict[str, str]]:
    """Turn records into the rows of the CSV.

    Args:
        lines: all lines of a records file.
        printed: what `published` gives.

    Raises:
        UserError: there is no plan among the lines.
    """
    plans = [line for line in lines if line["kind"] == "plan"]
    if not plans:
        raise UserError("the records hold no plan; run the table first")
    plan = plans[-1]
    jobs = {line["id"]: line for line in lines if line["kind"] == "job"}
    failures = {line["id"]: line for line in lines if line["kind"] == "failure"}
    rows = []
    for cell, columns in [(cell, [cell["jobs"]]) for cell in plan["cells"]] + _averages(plan):
        wanted = [key for column in columns for key in column]
        done = [jobs[key] for key in wanted if key in jobs]
        failed = [failures[key] for key in wanted if key in failures and key not in jobs]
        shown = cell["metrics"] or list(dict.fromkeys(m for job in done for m in job["metrics"]))
        for metric in shown or [""]:
            values = _by_seed(columns, jobs, metric)
            rows.append(_row(plan, cell, metric, values, done, failed, printed, jobs))
    return rows


def _averages(plan: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[list[str]]]]:
    """Lay out the rows that hold means over subsets: a cell, and its jobs by subset."""
    if not plan.get("average"):
        return []
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for cell in plan["cells"]:
        where = cell["dataset"] if plan["average_over"] == "dataset" else ""
        groups.setdefault((where, cell["method"], cell["arm"], cell["model"]), []).append(cell)
    return [
        (
            {
                **members[0],
                "dataset": " + ".join(dict.fromkeys(m["dataset"] for m in members)),
                "subset": plan["average"],
                "jobs": [key for m in members for key in m["jobs"]],
            },
            [m["jobs"] for m in members],
        )
        for members in groups.values()
    ]


def _by_seed(
    columns: Sequence[Sequence[str]], jobs: Mapping[str, Mapping[str, Any]], metric: str
) -> list[float]:
    """Give a metric for each seed that has it: the mean over subsets, all of which must have it."""
    values = []
    for keys in zip(*columns, strict=False):
        found = [jobs[key]["metrics"].get(metric) if key in jobs else None for key in keys]
        if all(value is not None for value in found):
            values.append(sum(float(value) for value in found if value is not None) / len(found))
    return values


def _row(
    plan: Mapping[str, Any],
    cell: Mapping[str, Any],
    metric: str,
    known: Sequence[float],
    done: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
    printed: Printed,
    jobs: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    summary = summarise(known)
    low, high = clip(metric, summary.low, summary.high)
    summary = replace(summary, low=low, high=high)
    if len(done) == 1 and known and done[0].get("intervals", {}).get(metric):
        low, high = done[0]["intervals"][metric]  # one seed: the score's own bootstrap interval
        summary = replace(summary, low=low, high=high)
    status, reason = "ok", ""
    if not cell["jobs"]:
        status = reason = "not implemented"
        if cell.get("lacking"):
            status, reason = "left out", cell["lacking"]
    elif failed and all(failure.get("undefined") for failure in failed):
        status, reason = "undefined", str(failed[0]["reason"])
    elif failed:
        first = next(failure for failure in failed if not failure.get("undefined"))
        status, reason = "failed", f"failed: {first['reason']}"
    elif len(done) < len(cell["jobs"]):
        status = "not run" if not done else "partial"
        reason = f"{len(done)} of {len(cell['jobs'])} seeds"
    elif not known:
        why = next((job["reasons"][metric] for job in done if metric in job.get("reasons", {})), "")
        status, reason = "undefined", why or f"{metric} is undefined on these test images"
    else:
        remarks = [r for job in done for r in job.get("remarks", ())]
        remarks.append(below_chance(metric, summary.mean, done, jobs))
        reason = "; ".join(dict.fromkeys(remark for remark in remarks if remark))
    paper = printed_value(plan, cell, metric, printed)
    alike = plan.get("printed", {}).get(metric, {}).get("comparable", True)
    comparable = paper is not None and known and alike and not cell["stand_in"]
    sizes = [_sizes(job, metric) for job in done]
    better = next((job["better"].get(metric, "") for job in done), "")
    return {
        "table": plan["table"],
        "preset": plan["preset"],
        "dataset": cell["dataset"],
        "stand_in": "yes" if cell["stand_in"] else "no",
        "subset": cell["subset"],
        "method": cell["method"],
        "arm": cell["arm"],
        "variant": cell.get("variant", ""),
        "model": cell["model"],
        "metric": metric,
        "better": better,
        "mean": number(summary.mean),
        "sd": number(summary.sd),
        "n_seeds": str(summary.n),
        "ci_low": number(summary.low),
        "ci_high": number(summary.high),
        "floor": number(_beside("floors", metric, done)),
        "ceiling": number(_beside("ceilings", metric, done)),
        "published": number(paper),
        "difference": number(summary.mean - paper) if comparable and paper is not None else "",
        "n_real": _span([real for real, _ in sizes]),
        "n_synthetic": _span([synthetic for _, synthetic in sizes]),
        "seeds": " ".join(dict.fromkeys(_asked("seed", done, metric))),
        "steps": _span([int(steps) for steps in _asked("steps", done)]),
        "fit_images": _span([int(n) for n in _asked("images", _fits(cell, jobs))]),
        "selection": cell["selection"],
        "status": status,
        "reason": reason,
        "revision": cell["revision"],
        "jobs": " ".join(cell["jobs"]),
    }


def _beside(kind: str, metric: str, done: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean over seeds of the floors or ceilings of a score; None where there are none."""
    known = [value for job in done if (value := job.get(kind, {}).get(metric)) is not None]
    return math.fsum(known) / len(known) if known else None


def _asked(key: str, done: Sequence[Mapping[str, Any]], metric: str = "") -> list[str]:
    """List what jobs were asked for under a key of their specs; with a metric, of those that have it."""
    return [
        str(job["spec"][key])
        for job in done
        if key in job.get("spec", {}) and (not metric or job["metrics"].get(metric) is not None)
    ]


def _fits(
    cell: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """List the finished trainings of generators behind a cell."""
    return [jobs[key] for key in cell.get("fits", ()) if key in jobs]


def _sizes(job: Mapping[str, Any], metric: str) -> tuple[int, int]:
    """Numbers of real and synthetic images behind a number: the score's own where the job tells them."""
    counts = job["counts"]
    real, synthetic = job.get("sizes", {}).get(metric, (counts["real"], counts["synthetic"]))
    return real, synthetic


def _span(counts: Sequence[int]) -> str:
    """Write counts over seeds: one number, or `low-high` where they differ."""
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}-{high}"


def write_csv(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS) -> str:
    """Write rows as CSV text with Unix line ends."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV of ours.

    Raises:
        UserError: the file is missing or has other columns.
    """
    cure = "give a CSV that `defectbench run` or `collect` wrote"
    if not path.is_file():
        problem = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {problem}; {cure}")

    def check(columns: list[str]) -> None:
        if not {"metric", "table"} <= set(columns):
            said = ", ".join(columns[:4]) or "none"
            raise UserError(
                f"{path}: not a CSV of defectbench: its columns are {said[:80]}; {cure}"
            )

    return read_table(path, check)[1]
