"""From records to the long CSV of a table; a pure function, imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.bench.stats import summarise
from defectbench.config import UserError

COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "subset",
    "method",
    "arm",
    "model",
    "metric",
    "better",
    "mean",
    "sd",
    "n_seeds",
    "ci_low",
    "ci_high",
    "published",
    "difference",
    "n_real",
    "n_synthetic",
    "selection",
    "status",
    "reason",
    "revision",
    "jobs",
)
"""sd has ddof=1; ci is the 95 % Student t interval of the mean over seeds, or, for a score of one seed, its bootstrap interval
over both image sets."""


def number(value: float | None, digits: int = 4) -> str:
    """Write a number as a plain decimal; "" for None and NaN."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def published(path: Path | None = None) -> dict[tuple[str, ...], float]:
    """Read what the papers print, by (paper, table, subset, method, arm, model, metric)."""
    path = path or names.tables_folder() / "published.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = ("paper", "table", "subset", "method", "arm", "model", "metric")
    return {tuple(row[key] for key in keys): float(row["value"]) for row in rows if row["value"]}


def collect(
    lines: Sequence[Mapping[str, Any]], printed: Mapping[tuple[str, ...], float]
) -> list[dict[str, str]]:
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
    failures = {line["id"]: line["reason"] for line in lines if line["kind"] == "failure"}
    rows = []
    for cell in plan["cells"]:
        done = [jobs[key] for key in cell["jobs"] if key in jobs]
        reasons = [failures[key] for key in cell["jobs"] if key in failures and key not in jobs]
        shown = cell["metrics"] or list(dict.fromkeys(m for job in done for m in job["metrics"]))
        for metric in shown or [""]:
            rows.append(_row(plan, cell, metric, done, reasons, printed))
    return rows


def _row(
    plan: Mapping[str, Any],
    cell: Mapping[str, Any],
    metric: str,
    done: Sequence[Mapping[str, Any]],
    reasons: Sequence[str],
    printed: Mapping[tuple[str, ...], float],
) -> dict[str, str]:
    values = [job["metrics"].get(metric) for job in done]
    known = [float(value) for value in values if value is not None]
    summary = summarise(known)
    if len(known) == 1 and done[0].get("intervals", {}).get(metric):
        low, high = done[0]["intervals"][metric]  # one seed: the score's own bootstrap interval
        summary = replace(summary, low=low, high=high)
    status, reason = "ok", ""
    if reasons:
        status, reason = "failed", f"failed: {reasons[0]}"
    elif len(done) < len(cell["jobs"]):
        status = "not run" if not done else "partial"
        reason = f"{len(done)} of {len(cell['jobs'])} seeds"
    elif not known:
        why = next((job["reasons"][metric] for job in done if metric in job.get("reasons", {})), "")
        status, reason = "undefined", why or f"{metric} is undefined on these test images"
    key = (
        plan["paper"],
        plan["number"],
        cell["subset"],
        cell["method"],
        cell["arm"],
        cell["model"],
        metric,
    )
    paper = printed.get(key)
    comparable = paper is not None and known and not cell["stand_in"]
    counts = [job["counts"] for job in done]
    better = next((job["better"].get(metric, "") for job in done), "")
    return {
        "table": plan["table"],
        "preset": plan["preset"],
        "dataset": cell["dataset"],
        "stand_in": "yes" if cell["stand_in"] else "no",
        "subset": cell["subset"],
        "method": cell["method"],
        "arm": cell["arm"],
        "model": cell["model"],
        "metric": metric,
        "better": better,
        "mean": number(summary.mean),
        "sd": number(summary.sd),
        "n_seeds": str(summary.n),
        "ci_low": number(summary.low),
        "ci_high": number(summary.high),
        "published": number(paper),
        "difference": number(summary.mean - paper) if comparable and paper is not None else "",
        "n_real": _span([c["real"] for c in counts]),
        "n_synthetic": _span([c["synthetic"] for c in counts]),
        "selection": cell["selection"],
        "status": status,
        "reason": reason,
        "revision": cell["revision"],
        "jobs": " ".join(cell["jobs"]),
    }


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
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; give a CSV that `defectbench run` or `collect` wrote"
        )
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
