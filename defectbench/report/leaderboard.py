"""The leaderboard: every table's rows together, ranked only against what was measured alike.

A contest is one subset of one table at one preset, in one regime (`variant`), by one downstream model and metric. A row's
rank is one more than the number of rows that are clearly better: those whose 95 % interval lies wholly on the better side
of its own. So rows that are equal, or whose intervals overlap, are not told apart: of two equal rows ahead of a third, both
have rank 1 and the third has rank 3. A row without an interval (one seed) has no rank, unless it is alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEADERBOARD_COLUMNS = (
    "table",
    "preset",
    "dataset",
    "stand_in",
    "subset",
    "variant",
    "model",
    "task",
    "metric",
    "better",
    "method",
    "arm",
    "mean",
    "sd",
    "n_seeds",
    "ci_low",
    "ci_high",
    "rank",
    "of",
    "status",
    "revision",
)
"""rank: one more than the rows whose interval lies wholly on the better side; of: rows of the contest that have a rank."""
CONTEST = ("table", "preset", "dataset", "stand_in", "subset", "variant", "model", "metric")
FOLDERS = "score"
"""Table of all records of `defectbench score`: sets of images that were scored against the same real ones compete."""


def entrants(
    lines: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, str]]
) -> list[dict[str, str]]:
    """Choose the rows of a table that enter the leaderboard.

    Rows of means over subsets are left out, because their subsets are there already, and so are scores of images against
    themselves. Records of `defectbench score` compete if real images, training images and size are the same.

    Args:
        lines: all lines of a records file.
        rows: what `collect` gave for it.
    """
    plan = [line for line in lines if line["kind"] == "plan"][-1]
    jobs = {line["id"]: line for line in lines if line["kind"] == "job"}
    subsets = {cell["subset"] for cell in plan["cells"]}
    tasks = {cell["model"]: cell["task"] for cell in plan["cells"]}
    found = []
    for row in rows:
        done = [jobs[key] for key in row["jobs"].split() if key in jobs]
        if row["subset"] not in subsets or any(job.get("against_itself") for job in done):
            continue
        entrant = {**row, "task": tasks.get(row["model"], row["model"])}
        if plan["table"].startswith(f"{FOLDERS}/") and done:
            spec = done[0]["spec"]
            size = f"{spec['size']} px" if spec.get("size") else "own size"
            train = f", trained on {spec['train'][:8]}" if spec.get("train") else ""
            entrant |= {"table": FOLDERS, "variant": f"{size}{train}"}
        found.append(entrant)
    return found


def leaderboard(
    rows: Sequence[Mapping[str, str]], further: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Rank the rows of all tables, each within its contest.

    Args:
        rows: what `entrants` gave, of every table.
        further: columns of theirs that are kept too; rows that differ in them compete.

    Returns:
        one row per entrant, contest by contest, the best mean first.
    """
    contests: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        contests.setdefault(tuple(row[key] for key in CONTEST), []).append(dict(row))
    out = []
    for _, members in sorted(contests.items(), key=lambda contest: contest[0]):
        _rank(members)
        better = next((m["better"] for m in members if m["better"]), "")
        sign = -1 if better == "higher" else 1
        members.sort(
            key=lambda m: (
                not m["mean"],
                sign * float(m["mean"]) if m["mean"] else 0.0,
                m["method"],
                m["arm"],
                *(m[key] for key in further),
            )
        )
        out += [
            {key: member[key] for key in (*LEADERBOARD_COLUMNS, *further)} for member in members
        ]
    return out


def _rank(members: Sequence[dict[str, str]]) -> None:
    """Fill in `rank` and `of` within a contest; a row that failed or is not finished has none."""
    whole = [m for m in members if m["mean"] and m["better"] and m["status"] == "ok"]
    ranked = [m for m in whole if m["ci_low"]] if len(whole) > 1 else whole
    for member in members:
        member["rank"] = member["of"] = ""
    for member in ranked:
        ahead = sum(_clearly_better(other, member) for other in ranked)
        member["rank"], member["of"] = str(1 + ahead), str(len(ranked))


def _clearly_better(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether the interval of one row lies wholly on the better side of the other's."""
    if not one["ci_low"] or not other["ci_low"]:
        return False
    if one["better"] == "higher":
        return float(one["ci_low"]) > float(other["ci_high"])
    return float(one["ci_high"]) < float(other["ci_low"])
