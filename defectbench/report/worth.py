"""What an arm is worth in real images: where its score lies on the curve of real images alone.

A table that trains `raw` with several numbers of real images (`real: N` of an entry) has such a curve. An arm is worth N
real images if N real ones alone score as much. The curve is made monotone (pooled adjacent violators) and interpolated
linearly in log N between its points, never beyond them.

The interval inverts the paired t test over seeds: it holds every N at which arm minus curve, paired by seed, does not differ
from zero at 5 %. So the noise of the curve is in it, and an end that the curve does not reach is open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from defectbench.report.collect import number
from defectbench.report.pairs import job_lines, kind_of, newest_plan, sign_of
from defectbench.report.stats import FEWEST_SEEDS, t_quantile

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
WORTH_COLUMNS = (
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
    "n_real",
    "n_synthetic",
    "score",
    "worth",
    "worth_low",
    "worth_high",
    "n_seeds",
    "curve",
    "remark",
)
"""worth: real images of the raw curve with the same score, over all defect types; `>N` and `<N`: beyond the curve's ends."""
STEPS = 200
"""Numbers of images, evenly spaced in log N, at which the test is made."""


@dataclass(frozen=True)
class Worth:
    """What a score is worth in real images.

    Attributes:
        value: real images; infinite above the curve, zero below it.
        low: lower end of the 95 % interval; zero if the curve does not reach it, NaN without an interval.
        high: upper end; infinite if the curve does not reach it.
    """

    value: float
    low: float
    high: float


def monotone(values: Floats) -> Floats:
    """Give the rising sequence closest to values in squares (pooled adjacent violators; Ayer et al. 1955)."""
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        mean, size = value, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in blocks])


def on_curve(images: Sequence[float], curve: Floats, scores: Floats) -> Worth:
    """Place an arm on a curve.

    Args:
        images: (P,) numbers of real images, rising, P 2 or more.
        curve: (P, S) scores of raw at these numbers, by seed, more is better.
        scores: (S,) scores of the arm at the same seeds.

    Returns:
        its worth; the interval needs `FEWEST_SEEDS` seeds.
    """
    log = np.log(np.asarray(images, dtype=np.float64))
    value = _invert(log, monotone(curve.mean(axis=1)), float(scores.mean()))
    seeds = len(scores)
    if seeds < FEWEST_SEEDS:
        return Worth(value, math.nan, math.nan)
    grid = np.unique(np.concatenate([np.linspace(log[0], log[-1], STEPS), log]))
    at = np.stack([np.interp(grid, log, one) for one in curve.T])  # (S, grid)
    gap = scores[:, None] - at
    mean, error = gap.mean(axis=0), gap.std(axis=0, ddof=1) / math.sqrt(seeds)
    held = np.abs(mean) <= t_quantile(seeds - 1) * error
    crossing = np.flatnonzero(mean[:-1] * mean[1:] <= 0)  # steps may jump over a narrow interval
    held[crossing] = held[crossing + 1] = True
    if not held.any():
        end = math.inf if mean[0] > 0 else 0.0
        return Worth(value, end, end)
    low, high = (float(np.exp(grid[held][end])) for end in (0, -1))
    return Worth(value, 0.0 if held[0] else low, math.inf if held[-1] else high)


def _invert(log: Floats, rising: Floats, score: float) -> float:
    """Give the smallest number of images whose curve reaches a score."""
    if score > rising[-1]:
        return math.inf
    if score < rising[0]:
        return 0.0
    after = int(np.searchsorted(rising, score, side="left"))
    if after == 0 or rising[after] == score:
        return float(np.exp(log[after]))
    share = (score - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(np.exp(log[after - 1] + share * (log[after] - log[after - 1])))


def worths(lines: Sequence[Record]) -> list[dict[str, str]]:
    """Give the worth of every arm that has a raw curve of its own images and model.

    Args:
        lines: all lines of a records file.

    Returns:
        rows with `WORTH_COLUMNS`; none for a table whose raw arms have one number of real images.
    """
    plan, jobs = newest_plan(lines), job_lines(lines)
    curves: dict[tuple[str, ...], list[Record]] = {}
    for cell in plan["cells"]:
        if kind_of(cell) == "raw":
            curves.setdefault(_place(cell), []).append(cell)
    rows = []
    for cell in plan["cells"]:
        if kind_of(cell) in {"raw", "score"}:
            continue
        for metric in cell["metrics"]:
            row = _row(cell, curves.get(_place(cell), []), jobs, metric)
            if row:
                rows.append({"table": plan["table"], "preset": plan["preset"], **row})
    return rows


def _place(cell: Record) -> tuple[str, ...]:
    """Say which cells lie on one curve: same images and model, and entries that differ in `real` alone."""
    parts = str(cell.get("variant", "")).split("; ")
    rest = "; ".join(part for part in parts if not part.startswith("real "))
    return (cell["model"], cell["dataset"], cell["subset"], rest)


def _by_seed(cell: Record, jobs: Mapping[str, Record], metric: str) -> dict[int, float]:
    """Give a cell's scores by place in the list of seeds, signed so that more is better."""
    found = {}
    for seed, key in enumerate(cell["jobs"]):
        value = jobs[key]["metrics"].get(metric) if key in jobs else None
        if value is not None:
            found[seed] = sign_of(jobs[key], metric) * float(value)
    return found


def _mean_count(cell: Record, jobs: Mapping[str, Record], kind: str) -> float:
    counts = [int(jobs[key]["counts"][kind]) for key in cell["jobs"] if key in jobs]
    return math.fsum(counts) / len(counts) if counts else 0.0


def _row(
    cell: Record, raws: Sequence[Record], jobs: Mapping[str, Record], metric: str
) -> dict[str, str] | None:
    mine = _by_seed(cell, jobs, metric)
    points: dict[float, dict[int, float]] = {}
    for raw in raws:
        known, images = _by_seed(raw, jobs, metric), _mean_count(raw, jobs, "real")
        if known and images > 0:
            points.setdefault(images, known)
    sizes = sorted(points)
    seeds = sorted(set(mine).intersection(*points.values())) if points else []
    if len(sizes) < 2 or not seeds:
        return None
    curve = np.array([[points[size][seed] for seed in seeds] for size in sizes])
    found = on_curve(sizes, curve, np.array([mine[seed] for seed in seeds]))
    sign = sign_of(next(jobs[key] for key in cell["jobs"] if key in jobs), metric)
    means = " ".join(
        f"{size:g}:{number(sign * float(mean))}"
        for size, mean in zip(sizes, curve.mean(axis=1), strict=True)
    )
    return {
        "dataset": cell["dataset"],
        "stand_in": "yes" if cell["stand_in"] else "no",
        "subset": cell["subset"],
        "variant": cell.get("variant", ""),
        "method": cell["method"],
        "arm": cell["arm"],
        "model": cell["model"],
        "metric": metric,
        "n_real": f"{_mean_count(cell, jobs, 'real'):g}",
        "n_synthetic": f"{_mean_count(cell, jobs, 'synthetic'):g}",
        "score": number(sign * math.fsum(mine[seed] for seed in seeds) / len(seeds)),
        "worth": _told(found.value, sizes),
        "worth_low": _told(found.low, sizes),
        "worth_high": _told(found.high, sizes),
        "n_seeds": str(len(seeds)),
        "curve": means,
        "remark": _remark(found.value, sizes),
    }


def _told(value: float, sizes: Sequence[float]) -> str:
    """Write a number of images; an end beyond the curve as `>N` or `<N`."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return f">{sizes[-1]:g}"
    return f"{value:.1f}" if value else f"<{sizes[0]:g}"


def _remark(value: float, sizes: Sequence[float]) -> str:
    if math.isinf(value):
        return f"beyond the curve: better than {sizes[-1]:g} real images"
    return "" if value else f"beyond the curve: worse than {sizes[0]:g} real images"


def worth_table(
    rows: Sequence[Mapping[str, str]], primary: Mapping[str, str] | None = None
) -> list[str]:
    """Write what arms are worth as the lines of a Markdown section, of each model its primary or its first metric."""
    if not rows:
        return []
    first = dict(primary or {})
    for row in rows:
        first.setdefault(row["model"], row["metric"])
    lines = [
        "## Worth in real images",
        "",
        "How many real defective images alone score as much, read off the curve of raw (monotone, linear in log N); the 95 % "
        "interval holds every number at which arm minus curve, paired by seed, does not differ from zero. `>N`, `<N`: beyond "
        "the curve.",
        "",
        "| Images | Method | Model | Metric | Real images trained on | Worth | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["metric"] != first[row["model"]]:
            continue
        name = row["arm"] if row["method"] == "none" else f"{row['method']} ({row['arm']})"
        interval = f"{row['worth_low']} to {row['worth_high']}" if row["worth_low"] else "–"
        lines.append(
            f"| {row['dataset']}, {row['subset']} | {name} | {row['model']} | {row['metric']} | {row['n_real']} "
            f"| {row['worth']} | {interval} |"
        )
    return [*lines, ""]
