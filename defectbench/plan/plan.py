"""From a table spec to jobs and cells; imports no torch and runs nothing.

A plan is every distinct job of a table in an order in which it could be done, and the cells of the table with the ids of
the jobs that fill them, one per seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from defectbench.config import UserError, nearest
from defectbench.plan.job import Job
from defectbench.spec.table import TableSpec


@dataclass(frozen=True)
class Source:
    """Where the images of one dataset come from.

    Attributes:
        stand_in: whether they are all drawn.
        root: the dataset's folder; None for a stand-in.
        digests: hash of rows and files by product; empty for a stand-in, whose spec says everything.
        defects: what the images show by product, for datasets that do not say it of themselves.
        without_normals: products that have no normal image, as far as the images were looked at.
        drawn: products that are drawn because the dataset's folder lacks them.
        unlabelled: what own images of which nothing says whether they are good are, see `datasets.base.UNLABELLED`.
    """

    stand_in: bool
    root: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    defects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without_normals: frozenset[str] = frozenset()
    drawn: frozenset[str] = frozenset()
    unlabelled: str = ""

    def is_drawn(self, product: str) -> bool:
        """Whether the images of a product are drawn."""
        return self.stand_in or product in self.drawn


@dataclass(frozen=True)
class Cell:
    """One column of one row of the table, for all its metrics.

    Attributes:
        arm: its name in CSVs; "score" for scores of the images themselves.
        kind: which arm it is, whatever its name.
        variant: what sets it apart besides method and arm; gains compare within a variant.
        published: method and arm as `published.csv` names them.
        metrics: which scores are shown; () for all that the jobs give.
        jobs: ids of the task or score jobs, one per seed; none if the method does not exist here.
        fits: ids of the fit jobs behind them.
        lacking: why there are no jobs, e.g. "needs normal images"; empty if there are, or if nothing implements the method.
    """

    dataset: str
    stand_in: bool
    subset: str
    method: str
    arm: str
    kind: str
    variant: str
    published: tuple[str, str]
    label: str
    model: str
    task: str
    selection: str
    revision: str
    metrics: tuple[str, ...]
    jobs: tuple[str, ...]
    fits: tuple[str, ...]
    lacking: str = ""

    def matches(self, only: Mapping[str, Sequence[str]]) -> bool:
        """Whether the cell has for each key one of the given values, e.g. `{"method": ["StarGAN"]}`."""
        return all(str(getattr(self, key)) in values for key, values in only.items())


@dataclass(frozen=True)
class Plan:
    """What a table at a preset asks for."""

    spec: TableSpec
    preset: str
    sources: Mapping[str, Source]
    jobs: Mapping[str, Job]
    cells: Sequence[Cell]
    foreign: Mapping[str, Path] = field(default_factory=dict)
    """Folders of images that another program made, by the digest that their jobs hold."""

    def needed(self, cells: Iterable[Cell]) -> dict[str, Job]:
        """Give the jobs that some cells need, parents first."""
        wanted: set[str] = set()
        stack = [job for cell in cells for job in cell.jobs]
        while stack:
            job = stack.pop()
            if job not in wanted:
                wanted.add(job)
                stack.extend(self.jobs[job].parents.values())
        return {key: job for key, job in self.jobs.items() if key in wanted}

    def to_json(self) -> dict[str, Any]:
        """Give the plan line of the records: what `collect` needs to write the table again."""
        rules = self.spec.judgement  # a table without rules keeps the plan line that it had
        return {
            **({"judgement": rules.model_dump()} if rules else {}),
            "kind": "plan",
            "table": self.spec.name,
            "paper": self.spec.paper,
            "number": self.spec.table,
            "title": self.spec.title,
            "preset": self.preset,
            "layout": self.spec.layout.model_dump(),
            "average": self.spec.average,
            "average_over": self.spec.average_over,
            "printed": {k: v.model_dump() for k, v in self.spec.printed.items()},
            "notes": self.spec.notes,
            "about": self.spec.presets[self.preset].about,
            "cells": [
                {key: value for key, value in asdict(cell).items() if key != "lacking" or value}
                for cell in self.cells
            ],
        }


ONLY_KEYS = ("subset", "method", "arm", "model", "label")


def parse_only(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Read `KEY=VALUE` filters; values of the same key are alternatives.

    Raises:
        UserError: a pair is not of that form or its key is unknown.
    """
    only: dict[str, list[str]] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or key not in ONLY_KEYS:
            raise UserError(f"--only {pair}: expected KEY=VALUE; {nearest(key, ONLY_KEYS)}")
        only.setdefault(key, []).append(value)
    return only
