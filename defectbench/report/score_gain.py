"""Does any score of the synthetic images tell the gain? Rank correlations over methods, with intervals.

A point is a method on one subset in one regime: the mean of an image score over seeds, and the mean gain over raw of the
downstream models that trained on the very same images (both jobs have the same sample job as parent). Correlations are taken
within each subset and regime, because both scores and gains differ between these for other reasons, and averaged over them,
weighted by the number of methods less one. Scores are signed by their direction, so a positive correlation means that the
score tells the gain.

The intervals resample methods, all subsets and regimes of a method together; p permutes the methods' gains likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from defectbench.report.collect import number
from defectbench.report.pairs import (
    contests,
    differences,
    job_lines,
    kind_of,
    newest_plan,
)
from defectbench.report.stats import holm
from defectbench.rng import numpy_rng

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
SCORE_GAIN_COLUMNS = (
    "table",
    "preset",
    "stand_in",
    "model",
    "metric",
    "score",
    "better",
    "spearman",
    "spearman_low",
    "spearman_high",
    "kendall",
    "kendall_low",
    "kendall_high",
    "p",
    "p_holm",
    "compared",
    "methods",
    "strata",
    "points",
)
"""spearman, kendall (tau-b): mean over strata (subset x regime), positive = a better score goes with a greater gain; low, high:
95 % percentile bootstrap over methods; p: permutation test of spearman, two-sided, among methods in the same strata; p_holm: corrected for `compared` scores."""
FEWEST_METHODS = 4
"""Methods in a stratum below which its correlation is not taken."""
REPLICATES = 1000


@dataclass
class Points:
    """Points of one image score and one gain.

    Attributes:
        better: direction of the score.
        strata: by (dataset, subset, regime): by method, the score (as it is) and the gain.
    """

    better: str
    strata: dict[tuple[str, ...], dict[str, tuple[float, float]]] = field(default_factory=dict)

    @property
    def sign(self) -> float:
        """Give -1 if less of the score is better."""
        return -1.0 if self.better == "lower" else 1.0


Found = dict[tuple[str, str, str], Points]


def points_of(lines: Sequence[Record]) -> Found:
    """Pair image scores with gains.

    Args:
        lines: all lines of a records file.

    Returns:
        points by (model, metric of the gain, image score); strata of fewer than `FEWEST_METHODS` methods are left out.
    """
    plan, jobs = newest_plan(lines), job_lines(lines)
    scored = _scored(plan, jobs)
    gathered: dict[tuple[str, str, str], _Strata] = {}
    for contest in contests(plan, by_subset=True):
        cell, base = contest.pairs[0]
        if kind_of(base) != "raw":
            continue
        stratum = (contest.dataset, cell["subset"], str(cell.get("variant", "")))
        for metric in cell["metrics"]:
            for seed, gain in _gains(contest.pairs, jobs, metric).items():
                images = jobs[cell["jobs"][seed]].get("parents", {}).get("synthetic", "")
                for name, value in scored.get(images, {}).items():
                    place = gathered.setdefault((contest.model, metric, name), {})
                    mine = place.setdefault(stratum, {}).setdefault(contest.method, [])
                    mine.append((value, gain))
    better = {name: way for job in jobs.values() for name, way in job.get("better", {}).items()}
    found: Found = {}
    for key, strata in gathered.items():
        large = {s: methods for s, methods in strata.items() if len(methods) >= FEWEST_METHODS}
        if large and better.get(key[2]):
            means = {s: {m: _mean(pairs) for m, pairs in ms.items()} for s, ms in large.items()}
            found[key] = Points(better[key[2]], means)
    return found


_Strata = dict[tuple[str, ...], dict[str, list[tuple[float, float]]]]


def _scored(plan: Record, jobs: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    """Give the image scores that have a value, by the sample job whose images they are of."""
    found: dict[str, dict[str, float]] = {}
    for cell in plan["cells"]:
        for job in (jobs[key] for key in cell["jobs"] if key in jobs and kind_of(cell) == "score"):
            images = job.get("parents", {}).get("synthetic", "")
            found[images] = {k: float(v) for k, v in job["metrics"].items() if v is not None}
    found.pop("", None)
    return found


def _gains(
    pairs: Sequence[tuple[Record, Record]], jobs: Mapping[str, Record], metric: str
) -> dict[int, float]:
    """Give the gains of one subset by place in the list of seeds."""
    return next(iter(differences(pairs, jobs, metric).values()), {})


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    score, gain = np.mean(np.asarray(pairs, dtype=np.float64), axis=0)
    return float(score), float(gain)


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Rank correlation of samples in which point i comes `weights[:, i]` times; ties have their mean rank.

    Args:
        x: (N,) values.
        y: (N,) values.
        weights: (R, N) counts, 0 or more.

    Returns:
        (R,) correlations; NaN where x or y is constant.
    """
    centred = []
    for values in (x, y):
        below = (values[None, :] < values[:, None]).astype(np.float64)  # [i, j]: j is below i
        same = (values[None, :] == values[:, None]).astype(np.float64)
        ranks = weights @ below.T + 0.5 * (weights @ same.T + 1)
        total = np.maximum(weights.sum(1, keepdims=True), 1.0)  # a sample may hold no point at all
        mean = (weights * ranks).sum(1, keepdims=True) / total
        centred.append(ranks - mean)
    a, b = centred
    spread = (weights * a * a).sum(1) * (weights * b * b).sum(1)
    return _ratio((weights * a * b).sum(1), np.sqrt(spread))


def kendall(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of samples in which point i comes `weights[:, i]` times; see `spearman`."""
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    alike, one, other = (((weights @ part) * weights).sum(1) for part in (a * b, a * a, b * b))
    return _ratio(alike, np.sqrt(one * other))


def _ratio(over: Floats, under: Floats) -> Floats:
    """Divide; NaN where nothing varies."""
    flat = under <= 1e-9 * np.maximum(1.0, np.abs(over))
    return np.asarray(np.where(flat, np.nan, over / np.where(flat, 1.0, under)))


def correlations(points: Points, rng: np.random.Generator) -> dict[str, Floats]:
    """Correlate scores and gains over methods.

    Args:
        points: of one score and one gain.
        rng: source of resampling and permutations.

    Returns:
        `spearman` and `kendall`: (1 + REPLICATES,) the value, then its bootstrap replicates; `permuted`: (REPLICATES,) of
        spearman without a relation.
    """
    methods = sorted({name for stratum in points.strata.values() for name in stratum})
    drawn = rng.multinomial(len(methods), np.full(len(methods), 1 / len(methods)), REPLICATES)
    weights = np.concatenate([np.ones((1, len(methods))), drawn.astype(np.float64)])
    orders = _permutations(points, methods, rng)
    sums: dict[str, list[tuple[float, Floats]]] = {"spearman": [], "kendall": [], "permuted": []}
    for stratum in points.strata.values():
        here = [index for index, name in enumerate(methods) if name in stratum]
        x = points.sign * np.array([stratum[methods[i]][0] for i in here])
        y = np.array([stratum[methods[i]][1] for i in here])
        weight = float(len(here) - 1)
        sums["spearman"].append((weight, spearman(x, y, weights[:, here])))
        sums["kendall"].append((weight, kendall(x, y, weights[:, here])))
        a, b = _ranks(x), np.zeros(len(methods))
        b[here] = _ranks(y)
        spread = math.sqrt(float((a * a).sum() * (b * b).sum()))
        moved = b[orders[:, here]] @ a  # an order never leaves the stratum
        sums["permuted"].append((weight, _ratio(moved, np.full(REPLICATES, spread))))
    return {kind: _weighted(parts) for kind, parts in sums.items()}


def _permutations(
    points: Points, methods: Sequence[str], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Permute methods, each with all its gains, among those that are in the same strata: (REPLICATES, methods)."""
    alike: dict[tuple[bool, ...], list[int]] = {}
    for index, name in enumerate(methods):
        alike.setdefault(tuple(name in part for part in points.strata.values()), []).append(index)
    orders = np.tile(np.arange(len(methods), dtype=np.int64), (REPLICATES, 1))
    for members in alike.values():
        orders[:, members] = rng.permuted(orders[:, members], axis=1)
    return orders


def _ranks(values: Floats) -> Floats:
    """Give centred mean ranks."""
    from scipy.stats import rankdata

    ranks: Floats = np.asarray(rankdata(values), dtype=np.float64)
    return np.asarray(ranks - ranks.mean(), dtype=np.float64)


def _weighted(parts: Sequence[tuple[float, Floats]]) -> Floats:
    """Average over strata, without those where nothing varies; NaN where none is left."""
    values = np.stack([part for _, part in parts])
    weights = np.array([weight for weight, _ in parts])[:, None] * ~np.isnan(values)
    return _ratio((weights * np.nan_to_num(values)).sum(0), weights.sum(0))


def score_gains(lines: Sequence[Record]) -> list[dict[str, str]]:
    """Correlate every image score of a table with every gain.

    Args:
        lines: all lines of a records file.

    Returns:
        rows with `SCORE_GAIN_COLUMNS`; none for a table of fewer than `FEWEST_METHODS` methods with scores and gains.
    """
    plan = newest_plan(lines)
    drawn = any(cell["stand_in"] for cell in plan["cells"])
    rows: list[dict[str, str]] = []
    families: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for (model, metric, name), points in points_of(lines).items():
        rng = numpy_rng(0, "score and gain", model, metric, name)
        found = correlations(points, rng)
        value = float(found["spearman"][0])
        if math.isnan(value):
            continue
        beyond = int((np.abs(found["permuted"]) >= abs(value) - 1e-12).sum())
        p = (1 + beyond) / (1 + REPLICATES)
        families.setdefault((model, metric), []).append((len(rows), p))
        ends = {f"{kind}_{end}": "" for kind in ("spearman", "kendall") for end in ("low", "high")}
        for kind in ("spearman", "kendall"):
            known = found[kind][1:][~np.isnan(found[kind][1:])]
            if len(known):
                low, high = np.quantile(known, [0.025, 0.975])
                ends |= {f"{kind}_low": number(float(low)), f"{kind}_high": number(float(high))}
        rows.append(
            {
                "table": plan["table"],
                "preset": plan["preset"],
                "stand_in": "yes" if drawn else "no",
                "model": model,
                "metric": metric,
                "score": name,
                "better": points.better,
                "spearman": number(value),
                "kendall": number(float(found["kendall"][0])),
                **ends,
                "p": number(p),
                "methods": str(len({name for part in points.strata.values() for name in part})),
                "strata": str(len(points.strata)),
                "points": str(sum(map(len, points.strata.values()))),
            }
        )
    for members in families.values():
        corrected = holm([p for _, p in members])
        for (index, _), value in zip(members, corrected, strict=True):
            rows[index] |= {"p_holm": number(value), "compared": str(len(members))}
    return rows


def draw_score_gain(
    found: Found,
    rows: Sequence[Mapping[str, str]],
    primary: Mapping[str, str],
    title: str,
    path: Path,
) -> None:
    """Draw gains against image scores as PNG: a row of panels for each score, a column for each model.

    Args:
        found: what `points_of` gave; not empty.
        rows: what `score_gains` gave, whose correlations are written into the panels.
        primary: the primary score of each model; of a model without one the first is shown.
        title: above all panels.
        path: file to write.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metric_of: dict[str, str] = {}
    for model, metric, _ in found:
        if primary.get(model) == metric:
            metric_of[model] = metric
        metric_of.setdefault(model, metric)
    models = list(metric_of)
    scores = list(dict.fromkeys(name for _, _, name in found))
    told = {(row["model"], row["metric"], row["score"]): row for row in rows}
    strata = list(dict.fromkeys(s for points in found.values() for s in points.strata))
    colours = {
        s: colormaps["viridis"](0.1 + 0.8 * i / max(len(strata) - 1, 1))
        for i, s in enumerate(strata)
    }
    size = (0.6 + 2.1 * len(models), 0.9 + 1.55 * len(scores))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(scores), len(models), squeeze=False, sharex="row", sharey="col")
    for y, name in enumerate(scores):
        for x, model in enumerate(models):
            axis, key = axes[y][x], (model, metric_of[model], name)
            axis.axhline(0, color="0.6", lw=0.6)
            for stratum, methods in found[key].strata.items() if key in found else ():
                at = np.array(list(methods.values()))
                axis.plot(at[:, 0], at[:, 1], "o", ms=3, color=colours[stratum], alpha=0.8)
            if key in told:
                row = told[key]
                text = f"rho {float(row['spearman']):+.2f} [{float(row['spearman_low'] or 'nan'):+.2f}, {float(row['spearman_high'] or 'nan'):+.2f}]"
                axis.set_title(text, fontsize=6, pad=2)
            axis.tick_params(labelsize=6)
            axis.locator_params(nbins=4)
            axis.grid(lw=0.3)
            if x == 0:
                way = next(
                    points.better for (_, _, score), points in found.items() if score == name
                )
                axis.set_xlabel(f"{name} ({way} is better)", fontsize=6, loc="left")
            if y == 0:
                axis.annotate(model, (0.5, 1.22), xycoords="axes fraction", ha="center", fontsize=8)
            if x == 0 or metric_of[model] != metric_of[models[x - 1]]:
                axis.set_ylabel(f"gain, {metric_of[model]}", fontsize=6)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
