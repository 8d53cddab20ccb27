"""A table for people: Markdown laid out like the paper's, with the paper's number and the difference beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from defectbench.report.collect import number
from defectbench.report.gain import gain_table

DASH = "–"
CELL = ("dataset", "subset", "method", "arm", "model")
COLUMN = ("method", "arm", "model")


def markdown(
    plan: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    gained: Sequence[Mapping[str, str]] = (),
    leaks: Sequence[str] = (),
    below: Sequence[str] = (),
) -> str:
    """Write the Markdown of one preset: a table per set of metrics, then the gains.

    Args:
        plan: the plan line of the records.
        rows: what `collect` gave for it.
        gained: what `gains` gave for it.
        leaks: what `told_leaks` gave for it.
        below: further lines, which stand below the gains.
    """
    datasets = sorted({row["dataset"] for row in rows})
    stand_in = any(row["stand_in"] == "yes" for row in rows)
    lines = [
        f"# {plan['title']}",
        "",
        f"Table `{plan['table']}`, preset `{plan['preset']}`, on {', '.join(datasets)}.",
        "",
        plan["about"],
        "",
    ]
    if stand_in:
        lines += [
            "**These are stand-in images, drawn by a program: ours and the paper's numbers are not comparable, "
            "and no difference is taken.**",
            "",
        ]
    for leak in leaks:
        lines += [f"**{leak}.**", ""]
    lines += _judgement(plan)
    kinds: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    cells: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        cells.setdefault(tuple(row[key] for key in CELL), []).append(row)
    for members in cells.values():
        score = "score" if members[0]["arm"] == "score" else ""
        kind = (score, *(m["metric"] for m in members if m["metric"]))
        kinds.setdefault(kind, []).extend(members)
    for (score, *metrics), members in kinds.items():
        if metrics:
            lines += _table(plan, members, metrics, scores=bool(score))
    lines += [*gain_table(gained), *below]
    reasons = sorted({_missing(row) for row in rows if row["reason"]})
    if reasons:
        lines += ["Cells without a number, and remarks:", ""]
        lines += [f"- {where}: {why}" for where, why in reasons]
        lines += [""]
    if plan["notes"]:
        lines += [plan["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _judgement(plan: Mapping[str, Any]) -> list[str]:
    """Write the rules of judgement that the table set down before its runs."""
    rules = plan.get("judgement")
    if not rules:
        return []
    primary = "; ".join(f"{model}: `{metric}`" for model, metric in rules["primary"].items())
    compared = ", ".join(rules["comparisons"]) or "every method in the table"
    return [
        "## Rules of judgement, set before the runs",
        "",
        f"- Primary score: {primary}.",
        f"- Gain: {rules['gain']}.",
        f"- Seeds: {rules['seeds']} or more.",
        f"- Compared with raw: {compared}.",
        "",
    ]


def _missing(row: Mapping[str, str]) -> tuple[str, str]:
    """Say which cell has no number and why; a score is a cell of its own."""
    parts = [row[key] for key in CELL if row[key]]
    if row["arm"] == "score" and row["status"] == "undefined":
        parts.append(row["metric"])
    return " · ".join(parts), row["reason"]


def _table(
    plan: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    metrics: Sequence[str],
    *,
    scores: bool,
) -> list[str]:
    """Write the cells that show the same metrics, laid out as the table asks.

    Scores beside inspectors have a column per metric; a table of scores alone is laid out as the paper's.
    """
    labels = {tuple(cell[key] for key in COLUMN): cell["label"] for cell in plan["cells"]}
    cells: dict[tuple[str, ...], dict[str, dict[str, Mapping[str, str]]]] = {}
    columns: dict[str, None] = {}
    layout: Mapping[str, Any] = plan["layout"]
    if scores and any(cell["arm"] != "score" for cell in plan["cells"]):
        layout = {"rows": ["dataset", "subset", "label"], "columns": "metric"}
    for row in rows:
        named = {**row, "label": labels[tuple(row[key] for key in COLUMN)]}
        key = tuple(named[part] for part in layout["rows"])
        columns[named[layout["columns"]]] = None
        cells.setdefault(key, {}).setdefault(named[layout["columns"]], {})[row["metric"]] = row
    has_paper = any(row["published"] for row in rows)
    comparable = any(row["difference"] for row in rows)
    by_metric = layout["columns"] == "metric"
    shown = "" if by_metric else f": {' / '.join(metrics)}"
    said = f"Scores of the synthetic images{shown}" if scores else f"Each cell{shown}"
    head = [*(part.capitalize() for part in layout["rows"]), "", *columns]
    over = "mean ± sd over seeds" if any(row["sd"] for row in rows) else "one seed"
    lines = [f"{said}, {over}.", ""]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for key, found in cells.items():
        for kind in ("ours", "paper", "difference") if has_paper else ("ours",):
            if kind == "difference" and not comparable:
                continue
            texts = [
                _cell(found.get(column, {}), [column] if by_metric else metrics, kind)
                for column in columns
            ]
            lead = key if kind == "ours" else ("",) * len(key)
            lines.append(f"| {' | '.join([*lead, kind, *texts])} |")
    if scores:
        lines += _references(rows, layout, list(columns), metrics)
    return [*lines, ""]


def _references(
    rows: Sequence[Mapping[str, str]],
    layout: Mapping[str, Any],
    columns: Sequence[str],
    metrics: Sequence[str],
) -> list[str]:
    """Write what real images reach by themselves and what copying would: the same beside every method of a subset."""
    lines = []
    places = [part for part in layout["rows"] if part != "label"]
    by_metric = layout["columns"] == "metric"
    for place in dict.fromkeys(tuple(row[part] for part in places) for row in rows):
        here = [row for row in rows if tuple(row[part] for part in places) == place]
        for kind, label in (("floor", "Real against real"), ("ceiling", "Copied training images")):
            texts = []
            for column in columns:
                of_column = [row for row in here if row[layout["columns"]] == column]
                spans = [_span(of_column, m, kind) for m in ([column] if by_metric else metrics)]
                texts.append(DASH if set(spans) == {DASH} else " / ".join(spans))
            if set(texts) != {DASH}:
                lead = iter(place)
                named = [label if part == "label" else next(lead) for part in layout["rows"]]
                lines.append(f"| {' | '.join([*named, kind, *texts])} |")
    return lines


def _span(rows: Sequence[Mapping[str, str]], metric: str, kind: str) -> str:
    """Write the lowest and the highest floor or ceiling of a metric, once if they agree."""
    known = sorted({float(row[kind]) for row in rows if row["metric"] == metric and row[kind]})
    ends = [number(value) for value in dict.fromkeys([*known[:1], *known[-1:]])]
    return " to ".join(ends) or DASH


def _cell(found: Mapping[str, Mapping[str, str]], metrics: Sequence[str], kind: str) -> str:
    texts = []
    for metric in metrics:
        row = found.get(metric)
        if row is None:
            return DASH
        if kind == "ours":
            if row["status"] in {"failed", "not implemented"}:
                return row["status"]
            if row["status"] == "left out":
                return row["reason"]
            spread = f" ± {row['sd']}" if row["mean"] and row["sd"] else ""
            texts.append(f"{row['mean']}{spread}" if row["mean"] else DASH)
        elif kind == "paper":
            texts.append(row["published"] or DASH)
        else:
            texts.append(f"{float(row['difference']):+.4f}" if row["difference"] else DASH)
    return DASH if set(texts) == {DASH} else " / ".join(texts)
