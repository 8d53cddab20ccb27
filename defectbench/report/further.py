"""Further files of a table, each a pure function of its records: cost, worth, scores against gains, defect types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from defectbench.report.collect import write_csv
from defectbench.report.cost import COST_COLUMNS, costs
from defectbench.report.pairs import newest_plan
from defectbench.report.per_defect import DEFECT_COLUMNS, draw_per_defect, panels, per_defect
from defectbench.report.score_gain import (
    SCORE_GAIN_COLUMNS,
    draw_score_gain,
    points_of,
    score_gains,
)
from defectbench.report.worth import WORTH_COLUMNS, worth_table, worths


@dataclass(frozen=True)
class Further:
    """One further CSV and its figure.

    Attributes:
        name: what stands in the files' names behind table and preset.
        csv: the CSV's text.
        draw: draws the figure to a path; None where there is none.
    """

    name: str
    csv: str
    draw: Callable[[Path], None] | None = None


def further(lines: Sequence[Mapping[str, Any]]) -> tuple[list[Further], list[str]]:
    """Give what the records of a table allow beyond its own CSV.

    Args:
        lines: all lines of a records file.

    Returns:
        the files, and the lines of Markdown that stand below the table.
    """
    plan = newest_plan(lines)
    title = f"{plan['table']}, preset {plan['preset']}"
    primary = (plan.get("judgement") or {}).get("primary", {})
    found: list[Further] = []
    said: list[str] = []
    spent = costs(lines)
    if spent:
        found.append(Further("cost", write_csv(spent, COST_COLUMNS)))
        said.append("cost of each row (seconds, device, parameters): `{}.cost.csv`")
    by_defect = per_defect(lines)
    if by_defect:
        shown = panels(by_defect, primary)
        heading = f"{title}: gain over raw by defect type"
        draw = partial(draw_per_defect, shown, heading) if shown else None
        found.append(Further("per_defect", write_csv(by_defect, DEFECT_COLUMNS), draw))
        said.append("scores and gains by defect type: `{}.per_defect.csv`")
    told = score_gains(lines)
    if told:
        heading = f"{title}: does an image score tell the gain?"
        draw_points = partial(draw_score_gain, points_of(lines), told, primary, heading)
        found.append(Further("score_gain", write_csv(told, SCORE_GAIN_COLUMNS), draw_points))
        said.append("rank correlation of image scores with gains: `{}.score_gain.csv`")
    real = worths(lines)
    if real:
        found.append(Further("worth", write_csv(real, WORTH_COLUMNS)))
        said.append("worth in real images, every score: `{}.worth.csv`")
    stem = f"{str(plan['table']).rpartition('/')[2]}.{plan['preset']}"
    text = [f"Beside this file: {'; '.join(said).format(*[stem] * len(said))}.", ""] if said else []
    return found, [*worth_table(real, primary), *text]
