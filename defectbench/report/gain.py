"""The gain: what an arm with synthetic images adds to one without, paired by seed and subset.

A difference is taken between downstream jobs of the same subset, model and seed, signed so that more is better. Several
subsets are combined by their mean for each seed; the interval is Student's t over seeds, and p is corrected by Holm for
the number of arms that are compared with the same baseline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from defectbench.report.bounds import clip_gain
from defectbench.report.collect import Printed, number, printed_value
from defectbench.report.pairs import Contest, contests, differences, job_lines, newest_plan, sign_of
from defectbench.report.stats import FEWEST_SEEDS, PairedGain, holm, paired_gain, verdict

GAIN_COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "subset",
    "method",
    "arm",
    "model",
    "metric",
    "baseline",
    "gain",
    "sd",
    "n_seeds",
    "ci_low",
    "ci_high",
    "p",
    "p_holm",
    "compared",
    "verdict",
    "n_pairs",
    "categories",
    "categories_hurt",
    "published_gain",
)
"""gain: mean over seeds and subsets of arm minus baseline, in the metric's units, positive = better; ci: 95 % Student t over
seeds of the mean over subsets; p_holm: corrected for `compared` arms; verdict: helps, hurts or undecided."""


MEAN = "mean over subsets"
"""Name of the subset in rows of means, where the table has no name for them."""


def gains(lines: Sequence[Mapping[str, Any]], printed: Printed) -> list[dict[str, str]]:
    """Take every gain that the records of a table allow.

    Args:
        lines: all lines of a records file.
        printed: what the papers print, see `collect.published`.

    Returns:
        one row per method, arm, model, metric and baseline: the mean over the subsets of a dataset, and, where there are
        several, each subset alone. None where a table has no arm without synthetic images.
    """
    plan, jobs = newest_plan(lines), job_lines(lines)
    rows: list[dict[str, str]] = []
    found: list[PairedGain] = []
    whole = contests(plan)
    several = {contest.dataset for contest in whole if len(contest.pairs) > 1}
    alone = [one for one in contests(plan, by_subset=True) if one.dataset in several]
    average = plan.get("average") or ""
    for place, contest in enumerate([*whole, *alone]):
        overall = place < len(whole)
        for metric in contest.pairs[0][0]["metrics"]:
            gain = paired_gain(differences(contest.pairs, jobs, metric))
            if gain is None:
                continue
            found.append(gain)
            name = (average if overall else "") or contest.pairs[0][0]["subset"]
            rows.append(_row(plan, contest, metric, gain, jobs, printed, name))
            if overall and contest.dataset in several:
                rows[-1]["subset"] = average or MEAN
    least = (plan.get("judgement") or {}).get("seeds", FEWEST_SEEDS)
    judge(rows, [gain.p if gain.seeds >= least else math.nan for gain in found], family(plan))
    return rows


def family(plan: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Give the methods and the scores that the table's rules of judgement compare; empty ones for all."""
    rules = plan.get("judgement") or {}
    return frozenset(rules.get("comparisons", ())), frozenset(rules.get("primary", {}).values())


def judge(
    rows: Sequence[dict[str, str]],
    p: Sequence[float],
    chosen: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset()),
) -> None:
    """Fill in `p`, `p_holm`, `compared` and `verdict`.

    A family is what is compared with the same baseline: rows of one dataset (and subset, where rows have one), model, metric
    and baseline. Comparisons that the table's rules name before the runs are a family of their own in its primary scores.

    Args:
        rows: rows with `dataset`, `model`, `metric`, `baseline`, `method`, `arm` and `gain`.
        p: uncorrected p of each.
        chosen: what `family` gave.
    """
    comparisons, primary = chosen
    families: dict[tuple[str, ...], list[int]] = {}
    for index, row in enumerate(rows):
        named = bool({row["method"], row["arm"]} & comparisons) and row["metric"] in primary
        where = [row["dataset"], row.get("subset", ""), row["model"], row["metric"]]
        families.setdefault((*where, row["baseline"], str(named)), []).append(index)
    for members in families.values():
        corrected = holm([p[index] for index in members])
        for index, value in zip(members, corrected, strict=True):
            rows[index] |= {
                "p": number(p[index]),
                "p_holm": number(value),
                "compared": str(len(members)),
                "verdict": verdict(float(rows[index]["gain"]), value),
            }


def _row(
    plan: Mapping[str, Any],
    contest: Contest,
    metric: str,
    found: PairedGain,
    jobs: Mapping[str, Mapping[str, Any]],
    printed: Printed,
    name: str,
) -> dict[str, str]:
    """Write one gain; `name` is the subset under which the paper prints gains, if it does."""
    paper: list[float] = []
    first = contest.pairs[0][0]
    sign = next(sign_of(jobs[key], metric) for key in first["jobs"] if key in jobs)
    for pair in contest.pairs:
        ours, theirs = (printed_value(plan, cell, metric, printed) for cell in pair)
        if ours is not None and theirs is not None:
            paper.append(sign * (ours - theirs))
    told = printed_value(plan, {**first, "subset": name}, metric, printed, gain=True)
    if told is not None:
        paper = [told]
    low, high = clip_gain(metric, found.low, found.high)
    return {
        "table": plan["table"],
        "preset": plan["preset"],
        "dataset": contest.dataset,
        "stand_in": "yes" if first["stand_in"] else "no",
        "subset": first["subset"],
        "method": contest.method,
        "arm": contest.arm,
        "model": contest.model,
        "metric": metric,
        "baseline": contest.baseline,
        "gain": number(found.mean),
        "sd": number(found.sd),
        "n_seeds": str(found.seeds),
        "ci_low": number(low),
        "ci_high": number(high),
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
        "Arm minus its baseline, positive = better: mean over subsets and seeds ± sd over seeds; 95 % Student t interval over "
        "seeds, paired by seed and subset; p corrected by Holm for the arms compared with the same baseline; "
        "the verdict follows from it at 0.05; subsets where it hurts.",
        "",
        "| Images | Subset | Method | Model | Metric | Over | Gain ± sd | 95 % interval | p (Holm) | Verdict | Hurts in | Paper |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["method"] if row["arm"] == "enlarge" else f"{row['method']} ({row['arm']})"
        name = row["arm"] if row["method"] == "none" else name
        lines.append(
            f"| {row['dataset']} | {row['subset']} | {name} | {row['model']} | {row['metric']} | {row['baseline']} | {_spread(row)} "
            f"| {_interval(row)} | {row['p_holm'] or '–'} | {row['verdict']} "
            f"| {row['categories_hurt']} of {row['categories']} | {row['published_gain'] or '–'} |"
        )
    return [*lines, ""]


def _spread(row: Mapping[str, str]) -> str:
    gain = f"{float(row['gain']):+.4f}"
    return f"{gain} ± {row['sd']}" if row["sd"] else gain


def _interval(row: Mapping[str, str]) -> str:
    """Write the interval, or why there is none."""
    if row["ci_low"]:
        return f"[{float(row['ci_low']):+.4f}, {float(row['ci_high']):+.4f}]"
    return "needs 3 seeds" if int(row["n_seeds"]) < 3 else "all seeds equal"
