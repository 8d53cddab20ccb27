"""Compare two CSVs: differences with intervals, changes of rank, and what does not match."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from defectbench.config import UserError
from defectbench.report.stats import t_quantile

KEYS = ("table", "preset", "dataset", "subset", "method", "arm", "model", "task", "metric")
CONTEST = ("table", "preset", "dataset", "subset", "model", "task", "metric")


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


def compare(first: Sequence[Mapping[str, str]], second: Sequence[Mapping[str, str]]) -> Comparison:
    """Join two tables on their identifying columns.

    Raises:
        UserError: they share no identifying columns, or a row stands twice.
    """
    keys = [k for k in KEYS if first and second and k in first[0] and k in second[0]]
    if "metric" not in keys:
        raise UserError("the files have no common columns to join on; give two CSVs of defectbench")
    left, right = _index(first, keys), _index(second, keys)
    both = [key for key in left if key in right]
    numbered = [key for key in both if left[key]["mean"] and right[key]["mean"]]
    ranks = [_ranks([side[key] for key in numbered], keys) for side in (left, right)]
    rows = []
    for key in numbered:
        a, b = left[key], right[key]
        low, high = _welch(a, b)
        rows.append(
            Difference(
                key=dict(zip(keys, key, strict=True)),
                first=float(a["mean"]),
                second=float(b["mean"]),
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
    )


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


def _ranks(rows: Sequence[Mapping[str, str]], keys: Sequence[str]) -> dict[tuple[str, ...], int]:
    contest = [k for k in CONTEST if k in keys]
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in contest), []).append(row)
    ranks = {}
    for members in groups.values():
        sign = -1 if members[0].get("better") == "higher" else 1
        values = [sign * float(m["mean"]) for m in members]
        for member, value in zip(members, values, strict=True):
            ranks[tuple(member[k] for k in keys)] = 1 + sum(v < value for v in values)
    return ranks


def _welch(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[float, float]:
    """Give the 95 % Welch interval of the difference of two means."""
    try:
        sd_a, sd_b = float(a["sd"]), float(b["sd"])
        n_a, n_b = int(a["n_seeds"]), int(b["n_seeds"])
    except (KeyError, ValueError):
        return math.nan, math.nan
    va, vb = sd_a**2 / n_a, sd_b**2 / n_b
    difference = float(b["mean"]) - float(a["mean"])
    if va + vb == 0:
        return difference, difference
    degrees = (va + vb) ** 2 / (va**2 / (n_a - 1) + vb**2 / (n_b - 1))
    half = t_quantile(max(1, int(degrees))) * math.sqrt(va + vb)
    return difference - half, difference + half
