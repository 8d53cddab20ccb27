"""Compare two CSVs: differences with intervals, changes of rank, and what does not match."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from defectbench.config import UserError
from defectbench.report.stats import t_quantile

KEYS = (
    *("table", "preset", "dataset", "subset", "variant", "method", "arm"),
    *("model", "task", "metric", "baseline", "defect"),
)
CONTEST = tuple(key for key in KEYS if key not in {"method", "arm"})
BUDGETS = ("seeds", "n_seeds", "steps", "fit_images", "n_real", "n_synthetic", "selection")
"""Columns that say what a row had to work with."""
VALUES = ("mean", "gain")
"""Columns that can hold a row's number: of a table or leaderboard, and of gains."""


@dataclass(frozen=True)
class Difference:
    """One row that both files have.

    Attributes:
        key: its identifying columns.
        first: mean in the first file.
        second: mean in the second file.
        low: lower end of the 95 % Welch interval of second minus first; NaN without spreads.
        high: its upper end.
        first_rank: rank among the rows of its contest in the first file.
        second_rank: the same in the second.
    """

    key: Mapping[str, str]
    first: float
    second: float
    low: float
    high: float
    first_rank: int
    second_rank: int


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    rows: Sequence[Difference]
    only_first: Sequence[Mapping[str, str]]
    only_second: Sequence[Mapping[str, str]]
    without_number: Sequence[Mapping[str, str]]
    budgets: Sequence[str] = ()
    """What the two had to work with and did not have alike (seeds, steps, images), one line each."""


def compare(first: Sequence[Mapping[str, str]], second: Sequence[Mapping[str, str]]) -> Comparison:
    """Join two tables on their identifying columns.

    Raises:
        UserError: they share no identifying columns, one holds gains and the other scores, or a row stands twice.
    """
    keys = [k for k in KEYS if first and second and k in first[0] and k in second[0]]
    if "metric" not in keys:
        raise UserError("the files have no common columns to join on; give two CSVs of defectbench")
    value = next((v for v in VALUES if v in first[0] and v in second[0]), "")
    if not value:
        raise UserError("one file holds gains and the other scores; give two of one sort")
    left, right = _index(first, keys), _index(second, keys)
    both = [key for key in left if key in right]
    numbered = [key for key in both if left[key][value] and right[key][value]]
    ranks = [_ranks([side[key] for key in numbered], keys, value) for side in (left, right)]
    rows = []
    for key in numbered:
        a, b = left[key], right[key]
        low, high = _welch(a, b, value)
        rows.append(
            Difference(
                key=dict(zip(keys, key, strict=True)),
                first=_value(a, value),
                second=_value(b, value),
                low=low,
                high=high,
                first_rank=ranks[0][key],
                second_rank=ranks[1][key],
            )
        )
    return Comparison(
        rows=rows,
        only_first=[dict(zip(keys, k, strict=True)) for k in left if k not in right],
        only_second=[dict(zip(keys, k, strict=True)) for k in right if k not in left],
        without_number=[dict(zip(keys, k, strict=True)) for k in both if k not in numbered],
        budgets=_budgets([(left[key], right[key]) for key in numbered], keys),
    )


def _budgets(
    pairs: Sequence[tuple[Mapping[str, str], Mapping[str, str]]], keys: Sequence[str]
) -> list[str]:
    """Say which budgets differ between the files: each pair of values once, with the rows that have it."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for a, b in pairs:
        for column in BUDGETS:
            if column == "n_seeds" and a.get("seeds") and b.get("seeds"):
                continue
            sides = a.get(column, ""), b.get(column, "")
            if all(sides) and sides[0] != sides[1]:
                row = " · ".join(a[k] for k in keys if k != "preset" and a[k])
                found.setdefault((column, *sides), []).append(row)
    return [
        f"{column} differs: {one} in the first, {other} in the second, in {len(rows)} row(s), e.g. {rows[0]}"
        for (column, one, other), rows in found.items()
    ]


def _value(row: Mapping[str, str], column: str) -> float:
    """Read a number of a row.

    Raises:
        UserError: it is none.
    """
    try:
        return float(row[column])
    except ValueError:
        where = " · ".join(row[k] for k in KEYS if row.get(k))
        raise UserError(f"{where}: {column} is {row[column]!r}; expected a number") from None


def _index(
    rows: Sequence[Mapping[str, str]], keys: Sequence[str]
) -> dict[tuple[str, ...], Mapping[str, str]]:
    found: dict[tuple[str, ...], Mapping[str, str]] = {}
    for row in rows:
        key = tuple(row[k] for k in keys)
        if key in found:
            raise UserError(
                f"a file has two rows for {dict(zip(keys, key, strict=True))}; remove one"
            )
        found[key] = row
    return found


def _ranks(
    rows: Sequence[Mapping[str, str]], keys: Sequence[str], column: str
) -> dict[tuple[str, ...], int]:
    contest = [k for k in CONTEST if k in keys]
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in contest), []).append(row)
    ranks = {}
    for members in groups.values():
        sign = -1 if members[0].get("better") == "higher" or column == "gain" else 1
        values = [sign * _value(m, column) for m in members]
        for member, value in zip(members, values, strict=True):
            ranks[tuple(member[k] for k in keys)] = 1 + sum(v < value for v in values)
    return ranks


def _welch(a: Mapping[str, str], b: Mapping[str, str], column: str) -> tuple[float, float]:
    """Give the 95 % Welch interval of the difference of two means, with fractional degrees of freedom."""
    try:
        sd_a, sd_b = float(a["sd"]), float(b["sd"])
        n_a, n_b = int(a["n_seeds"]), int(b["n_seeds"])
    except (KeyError, ValueError):
        return math.nan, math.nan
    if min(n_a, n_b) < 2:
        return math.nan, math.nan
    va, vb = sd_a**2 / n_a, sd_b**2 / n_b
    difference = _value(b, column) - _value(a, column)
    if va + vb == 0:
        return math.nan, math.nan  # all seeds equal: nothing says how far off they are
    degrees = (va + vb) ** 2 / (va**2 / (n_a - 1) + vb**2 / (n_b - 1))
    half = t_quantile(degrees) * math.sqrt(va + vb)
    return difference - half, difference + half
