"""Score and gain by defect type, since averages hide the types at which a method fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from defectbench.report.bounds import clip, clip_gain
from defectbench.report.collect import number
from defectbench.report.gain import judge
from defectbench.report.pairs import contests, differences, job_lines, kind_of, newest_plan
from defectbench.report.stats import paired_gain, summarise

Record = Mapping[str, Any]
DEFECT_COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "subset",
    "variant",
    "method",
    "arm",
    "model",
    "metric",
    "defect",
    "mean",
    "sd",
    "n_seeds",
    "ci_low",
    "ci_high",
    "baseline",
    "gain",
    "gain_sd",
    "gain_low",
    "gain_high",
    "p",
    "p_holm",
    "compared",
    "verdict",
)
"""mean: the score over the test images of one defect type; gain: over the raw arm, as in `gain.py`; p_holm: corrected for all
methods and defect types that are compared with the same raw."""
NO_CLASS = "chance"
"""Key of a record's details that holds no scores by class."""


def per_defect(lines: Sequence[Record]) -> list[dict[str, str]]:
    """Take the scores of a table apart by defect type.

    Args:
        lines: all lines of a records file; the records of downstream jobs hold scores by class in `details`.

    Returns:
        rows with `DEFECT_COLUMNS`; cells of gains are empty for the raw arm itself.
    """
    plan, jobs = newest_plan(lines), job_lines(lines)
    gains: dict[tuple[str, ...], dict[str, str]] = {}
    rows: list[dict[str, str]] = []
    judged: list[dict[str, str]] = []
    tested: list[float] = []
    for contest in contests(plan, by_subset=True):
        cell, base = contest.pairs[0]
        if kind_of(base) != "raw":
            continue
        for metric, defect in _parts(cell, jobs):
            told = differences(contest.pairs, jobs, metric, _reader(metric, defect))
            found = paired_gain(told)
            if found is None:
                continue
            low, high = clip_gain(metric, found.low, found.high)
            gain = {
                "baseline": contest.baseline,
                "gain": number(found.mean),
                "gain_sd": number(found.sd),
                "gain_low": number(low),
                "gain_high": number(high),
            }
            place = {
                key: contest.pairs[0][0][key] for key in ("dataset", "subset", "method", "arm")
            }
            judged.append({**place, "model": contest.model, "metric": metric, **gain})
            tested.append(found.p)
            gains[(*_key(cell), metric, defect)] = judged[-1]
    judge(judged, tested)
    for cell in plan["cells"]:
        if kind_of(cell) == "score":
            continue
        for metric, defect in _parts(cell, jobs):
            row = _row(plan, cell, jobs, metric, defect)
            row |= gains.get((*_key(cell), metric, defect), {})
            rows.append({column: row.get(column, "") for column in DEFECT_COLUMNS})
    return rows


def _key(cell: Record) -> tuple[str, ...]:
    return tuple(str(cell[key]) for key in ("dataset", "subset", "method", "arm", "model"))


def _parts(cell: Record, jobs: Mapping[str, Record]) -> list[tuple[str, str]]:
    """List the scores and classes that a cell's jobs hold, in the order of the first."""
    found: dict[tuple[str, str], None] = {}
    for job in (jobs[key] for key in cell["jobs"] if key in jobs):
        for metric, classes in job.get("details", {}).items():
            if metric != NO_CLASS:
                found |= dict.fromkeys((metric, name) for name in classes)
    return list(found)


def _reader(metric: str, defect: str) -> Callable[[Record], float | None]:
    return lambda job: job.get("details", {}).get(metric, {}).get(defect)


def _row(
    plan: Record, cell: Record, jobs: Mapping[str, Record], metric: str, defect: str
) -> dict[str, str]:
    read = _reader(metric, defect)
    known = [read(jobs[key]) for key in cell["jobs"] if key in jobs]
    values = summarise([float(value) for value in known if value is not None])
    low, high = clip(metric, values.low, values.high)
    return {
        "table": plan["table"],
        "preset": plan["preset"],
        "dataset": cell["dataset"],
        "stand_in": "yes" if cell["stand_in"] else "no",
        "subset": cell["subset"],
        "variant": cell.get("variant", ""),
        "method": cell["method"],
        "arm": cell["arm"],
        "model": cell["model"],
        "metric": metric,
        "defect": defect,
        "mean": number(values.mean),
        "sd": number(values.sd),
        "n_seeds": str(values.n),
        "ci_low": number(low),
        "ci_high": number(high),
    }


Panels = dict[tuple[str, ...], dict[tuple[str, str], Mapping[str, str]]]


def panels(rows: Sequence[Mapping[str, str]], primary: Mapping[str, str]) -> Panels:
    """Choose what the figure shows: gains of one score for each model, by method and defect type.

    Args:
        rows: what `per_defect` gave.
        primary: the table's primary score by model, from its rules of judgement; a model without one shows `pixel_ap` if it
            has that, else its first score.

    Returns:
        rows by (name of the method or arm, defect type), by (dataset, subset, regime, model, metric).
    """
    known: dict[str, list[str]] = {}
    for row in rows:
        known.setdefault(row["model"], []).append(row["metric"])
    chosen = {}
    for model, metrics in known.items():
        wished = [m for m in (primary.get(model, ""), "pixel_ap") if m in metrics]
        chosen[model] = (wished or metrics)[0]
    found: Panels = {}
    for row in rows:
        if row["gain"] and row["metric"] == chosen[row["model"]]:
            regime = next((p for p in row["variant"].split("; ") if p.startswith("real ")), "")
            where = (row["dataset"], row["subset"], regime, row["model"], row["metric"])
            name = row["arm"] if row["method"] == "none" else row["method"]
            if row["method"] != "none" and row["arm"] != "enlarge":
                name = f"{name} ({row['arm']})"
            found.setdefault(where, {})[name, row["defect"]] = row
    return found


def draw_per_defect(found: Panels, title: str, path: Path) -> None:
    """Draw gains by method and defect type as PNG: one panel for each subset and model, blue better, red worse.

    A gain whose verdict is not "undecided" is framed.

    Args:
        found: what `panels` gave; not empty.
        title: above all panels.
        path: file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    names = [list(dict.fromkeys(name for name, _ in cells)) for cells in found.values()]
    everyone = list(dict.fromkeys(name for one in names for name in one))
    if len(everyone) < 1.5 * max(map(len, names)):  # nearly the same rows: named once, on the left
        names = [everyone] * len(names)
    defects = [list(dict.fromkeys(defect for _, defect in cells)) for cells in found.values()]
    width = 2.2 + sum(0.6 + 0.62 * max(len(one), 2) for one in defects)
    height = 1.9 + 0.26 * max(map(len, names))
    figure = Figure(figsize=(max(width, 6.5), height), layout="constrained")
    FigureCanvasAgg(figure)
    shares = {"width_ratios": [max(len(one), 2) + 0.8 for one in defects]}
    axes = figure.subplots(1, len(found), squeeze=False, gridspec_kw=shares)[0]
    values = [abs(float(row["gain"])) for cells in found.values() for row in cells.values()]
    span = max(*values, 0.01)
    before: list[str] = []
    for axis, (where, cells), rows, columns in zip(
        axes, found.items(), names, defects, strict=True
    ):
        for (name, defect), row in cells.items():
            x, y, gain = columns.index(defect), rows.index(name), round(float(row["gain"]), 2)
            share = math.sqrt(min(abs(gain) / span, 1.0)) * 0.75
            colour = (1 - share, 1 - 0.5 * share, 1.0) if gain > 0 else (1.0, 1 - share, 1 - share)
            axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, lw=0))
            if row["verdict"] != "undecided":
                frame = Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, ec="0.1", lw=1.2)
                axis.add_patch(frame)
            axis.annotate(f"{gain + 0.0:+.2f}", (x, y), ha="center", va="center", fontsize=6)
        axis.set_xlim(-0.5, len(columns) - 0.5)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xticks(range(len(columns)), columns, fontsize=7, rotation=40, ha="right")
        axis.set_yticks(range(len(rows)), rows if rows != before else [""] * len(rows), fontsize=7)
        axis.tick_params(length=0)
        dataset, subset, regime, model, metric = where
        several = len({key[0] for key in found}) > 1
        head = " · ".join(part for part in (subset, regime) if part)
        said = (dataset if several else "", head, f"{model}: {metric}")
        axis.set_title("\n".join(part for part in said if part), fontsize=7)
        for side in axis.spines.values():
            side.set_visible(False)
        before = rows
    figure.suptitle(f"{title} (framed: helps or hurts, corrected)", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
