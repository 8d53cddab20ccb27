"""The gain: what an arm with synthetic images adds to one without, paired over seeds and categories.

A difference is taken between task jobs of the same category, model and seed, signed so that more is better; the mean over
categories gets a bootstrap interval, the probability of improvement, and the count of categories where it hurts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from defectbench.report.collect import Printed, number, printed_value
from defectbench.report.stats import paired_gain
from defectbench.rng import numpy_rng
from defectbench.spec.table import ARMS_WITHOUT_METHOD

GAIN_COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "method",
    "arm",
    "model",
    "metric",
    "baseline",
    "gain",
    "ci_low",
    "ci_high",
    "improvement_probability",
    "n_pairs",
    "categories",
    "categories_hurt",
    "published_gain",
)
"""gain: mean over categories of arm minus baseline, in the metric's units, positive = better; ci: 95 % bootstrap, seeds
resampled within each category; empty with fewer than three pairs in a category."""


def gains(lines: Sequence[Mapping[str, Any]], printed: Printed) -> list[dict[str, str]]:
    """Take every gain that the records of a table allow.

    Args:
        lines: all lines of a records file.
        printed: what the papers print, see `collect.published`.

    Returns:
        one row per method, arm, model, metric and baseline; none where a table has no arm without synthetic images.
    """
    plan = [line for line in lines if line["kind"] == "plan"][-1]
    jobs = {line["id"]: line for line in lines if line["kind"] == "job"}
    baselines: dict[tuple[str, ...], Mapping[str, Any]] = {}
    contestants: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for cell in plan["cells"]:
        kind = cell.get("kind", cell["arm"])
        if kind in ARMS_WITHOUT_METHOD:
            baselines[(cell["arm"], *_place(cell))] = cell
        elif kind != "score" and cell["jobs"]:
            key = (cell["dataset"], cell["method"], cell["arm"], cell["model"])
            contestants.setdefault(key, []).append(cell)
    rows = []
    for (_, method, arm, model), cells in contestants.items():
        for baseline in dict.fromkeys(key[0] for key in baselines):
            pairs = [(cell, baselines.get((baseline, *_place(cell)))) for cell in cells]
            for metric in cells[0]["metrics"]:
                row = _row(plan, pairs, metric, jobs, printed)
                if row:
                    rows.append(
                        {
                            **row,
                            "method": method,
                            "arm": arm,
                            "model": model,
                            "metric": metric,
                            "baseline": baseline,
                        }
                    )
    return rows


def _place(cell: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which cells may be compared: same model and images, and nothing else set apart."""
    return (cell["model"], cell["dataset"], cell["subset"], cell.get("variant", ""))


def _row(
    plan: Mapping[str, Any],
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any] | None]],
    metric: str,
    jobs: Mapping[str, Mapping[str, Any]],
    printed: Printed,
) -> dict[str, str] | None:
    differences: list[float] = []
    groups: list[str] = []
    paper: list[float] = []
    sign = 1.0
    for cell, base in pairs:
        if base is None:
            continue
        for with_key, without_key in zip(cell["jobs"], base["jobs"], strict=False):
            sides = [jobs[k]["metrics"].get(metric) for k in (with_key, without_key) if k in jobs]
            if len(sides) < 2 or any(side is None for side in sides):
                continue
            sign = -1.0 if jobs[with_key]["better"].get(metric) == "lower" else 1.0
            differences.append(sign * (float(sides[0]) - float(sides[1])))
            groups.append(cell["subset"])
        ours, theirs = (printed_value(plan, c, metric, printed) for c in (cell, base))
        if ours is not None and theirs is not None:
            paper.append(sign * (ours - theirs))
    if not differences:
        return None
    first = pairs[0][0]
    whole = {**first, "subset": plan.get("average") or first["subset"]}
    told = printed_value(plan, whole, metric, printed, gain=True)
    if told is not None:
        paper = [told]
    found = paired_gain(differences, groups, numpy_rng(0, "gain", metric, first["method"]))
    return {
        "table": plan["table"],
        "preset": plan["preset"],
        "dataset": first["dataset"],
        "stand_in": "yes" if first["stand_in"] else "no",
        "gain": number(found.mean),
        "ci_low": number(found.low),
        "ci_high": number(found.high),
        "improvement_probability": number(found.improves, 3),
        "n_pairs": str(found.n),
        "categories": str(found.groups),
        "categories_hurt": str(found.hurts),
        "published_gain": number(sum(paper) / len(paper)) if paper else "",
    }


def gain_table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Write gains as the lines of a Markdown section."""
    if not rows:
        return []
    lines = [
        "## Gain",
        "",
        "Mean over categories of the arm minus its baseline, positive = better; 95 % bootstrap interval over seeds; "
        "probability of improvement; categories where it hurts.",
        "",
        "| Images | Method | Model | Metric | Over | Gain | 95 % interval | P(improves) | Hurts in | Paper |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["method"] if row["arm"] == "enlarge" else f"{row['method']} ({row['arm']})"
        interval = "needs 3 seeds"
        if row["ci_low"]:
            interval = f"[{float(row['ci_low']):+.4f}, {float(row['ci_high']):+.4f}]"
        lines.append(
            f"| {row['dataset']} | {name} | {row['model']} | {row['metric']} | {row['baseline']} | {float(row['gain']):+.4f} "
            f"| {interval} | {row['improvement_probability'] or '–'} "
            f"| {row['categories_hurt']} of {row['categories']} | {row['published_gain'] or '–'} |"
        )
    return [*lines, ""]
