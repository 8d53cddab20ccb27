"""A figure of a table: every column's score with its interval, a panel per dataset, category and model."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from defectbench.report.tables import COLUMN

PANEL = ("dataset", "subset", "model")


def draw_figure(plan: Mapping[str, object], rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw one metric of each model as PNG: the table's primary score, else pixel F1 where there is one, else the first.

    Args:
        plan: the plan line of the records.
        rows: what `collect` gave for it.
        path: file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = plan["cells"]
    labels = {tuple(cell[k] for k in COLUMN): cell["label"] for cell in cells}  # type: ignore[attr-defined]
    trained = [row for row in rows if row["arm"] != "score"]
    rules: Mapping[str, Mapping[str, str]] = plan.get("judgement") or {}  # type: ignore[assignment]
    metric_of = dict(rules.get("primary", {}))
    for row in trained:
        if row["metric"] == "pixel_f1" and row["model"] not in rules.get("primary", {}):
            metric_of[row["model"]] = row["metric"]
        metric_of.setdefault(row["model"], row["metric"])
    asked = [row for row in trained if row["metric"] == metric_of[row["model"]]]
    shown, left_out = _begun(asked, labels)
    several = ("dataset",) if len({row["dataset"] for row in shown}) > 1 else ()
    where = (*several, "subset", "model")
    models = list(dict.fromkeys(row["model"] for row in shown))
    panels = list(dict.fromkeys(tuple(row[k] for k in where) for row in shown))
    panels.sort(key=lambda panel: models.index(panel[-1]))
    names = list(dict.fromkeys(labels[tuple(row[k] for k in COLUMN)] for row in shown))
    width = max(1.2 + 2.6 * len(panels), 6.0)
    figure = Figure(figsize=(width, 1.3 + 0.32 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        own = [row for row in shown if tuple(row[k] for k in where) == panel]
        for row in own:
            _draw_row(axis, row, names.index(labels[tuple(row[k] for k in COLUMN)]))
        axis.set_title("\n".join((*panel[:-2], " · ".join(panel[-2:]))), fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.tick_params(axis="x", labelsize=7)
        axis.locator_params(axis="x", nbins=5)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="x", lw=0.3)
        axis.set_xlabel(metric_of[panel[-1]], fontsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for metric in set(metric_of.values()):
        _share_scale(
            [a for a, panel in zip(axes, panels, strict=True) if metric_of[panel[-1]] == metric]
        )
    said = ", ".join(sorted({row["dataset"] for row in shown}))
    figure.suptitle(f"{plan['table']}, preset {plan['preset']}, {said}", fontsize=9)
    if left_out:
        told = f"not run: {', '.join(left_out)}"
        figure.supxlabel("\n".join(textwrap.wrap(told, int(14 * width))), fontsize=7, color="0.5")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _begun(
    rows: Sequence[Mapping[str, str]], labels: Mapping[tuple[str, ...], str]
) -> tuple[list[Mapping[str, str]], list[str]]:
    """Leave out the columns and the panels of which nothing was run, and name the columns; all stay if nothing was."""
    run = [row for row in rows if row["status"] != "not run"]
    if not run:
        return list(rows), []
    columns = {labels[tuple(row[k] for k in COLUMN)] for row in run}
    panels = {tuple(row[k] for k in PANEL) for row in run}
    every = dict.fromkeys(labels[tuple(row[k] for k in COLUMN)] for row in rows)
    kept = [
        row
        for row in rows
        if labels[tuple(row[k] for k in COLUMN)] in columns
        and tuple(row[k] for k in PANEL) in panels
    ]
    return kept, [name for name in every if name not in columns]


def _share_scale(axes: Sequence[Any]) -> None:
    """Give panels of one metric the same scale."""
    limits = [axis.get_xlim() for axis in axes if axis.lines]
    for axis in axes:
        if limits:
            axis.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def _draw_row(axis: Any, row: Mapping[str, str], place: int) -> None:
    """Draw a mean with its interval, or print why there is none."""
    mean = float(row["mean"]) if row["mean"] else math.nan
    if math.isnan(mean):
        axis.annotate(
            row["status"],
            (0.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            color="0.5",
        )
        return
    colour = "0.35" if row["method"] == "none" else "tab:blue"
    if row["ci_low"]:
        low, high = float(row["ci_low"]), float(row["ci_high"])
        axis.plot([max(low, 0), min(high, 1)], [place, place], color=colour, lw=1, alpha=0.5)
    axis.plot([mean], [place], "o", color=colour, ms=5)
