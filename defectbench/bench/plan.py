"""From a table spec to jobs and cells; imports no torch and runs nothing.

A plan is every distinct job of a table in an order in which it could be done, and the cells of the table with the ids of
the jobs that fill them, one per seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.bench.job import Job
from defectbench.bench.spec import (
    ARMS_WITHOUT_METHOD,
    EntrySpec,
    Preset,
    ScoresSpec,
    TableSpec,
)
from defectbench.config import UserError, nearest

SCORES_REVISION = 1
"""Raised when the score stage would give other numbers for the same images."""


@dataclass(frozen=True)
class Source:
    """Where the images of a table come from.

    Attributes:
        stand_in: whether they are drawn.
        root: the dataset's folder; None for a stand-in.
        digests: hash of the files by product; empty for a stand-in, whose spec says everything.
    """

    stand_in: bool
    root: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One column of one row of the table, for all its metrics.

    Attributes:
        metrics: which scores are shown; () for all that the jobs give.
        jobs: ids of the task or score jobs, one per seed.
        fits: ids of the fit jobs behind them.
    """

    dataset: str
    stand_in: bool
    subset: str
    method: str
    arm: str
    label: str
    model: str
    task: str
    selection: str
    revision: str
    metrics: tuple[str, ...]
    jobs: tuple[str, ...]
    fits: tuple[str, ...]

    def matches(self, only: Mapping[str, str]) -> bool:
        """Whether the cell has all the given values, e.g. `{"method": "StarGAN"}`."""
        return all(str(getattr(self, key)) == value for key, value in only.items())


@dataclass(frozen=True)
class Plan:
    """What a table at a preset asks for."""

    spec: TableSpec
    preset: str
    source: Source
    jobs: Mapping[str, Job]
    cells: Sequence[Cell]

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
        return {
            "kind": "plan",
            "table": self.spec.name,
            "paper": self.spec.paper,
            "number": self.spec.table,
            "title": self.spec.title,
            "preset": self.preset,
            "layout": self.spec.layout.model_dump(),
            "notes": self.spec.notes,
            "about": self.spec.presets[self.preset].about,
            "cells": [asdict(cell) for cell in self.cells],
        }


ONLY_KEYS = ("subset", "method", "arm", "model", "label")


def parse_only(pairs: Sequence[str]) -> dict[str, str]:
    """Read `KEY=VALUE` filters.

    Raises:
        UserError: a pair is not of that form or its key is unknown.
    """
    only = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or key not in ONLY_KEYS:
            raise UserError(f"--only {pair}: expected KEY=VALUE; {nearest(key, ONLY_KEYS)}")
        only[key] = value
    return only


def make_plan(spec: TableSpec, preset_name: str, source: Source) -> Plan:
    """Plan a table.

    Args:
        spec: the table.
        preset_name: which preset.
        source: real or drawn images.

    Raises:
        UserError: the preset does not exist, or does not allow stand-ins.
    """
    preset = spec.preset(preset_name)
    if source.stand_in and preset.stand_in is None:
        raise UserError(
            f"{spec.name} {preset_name}: needs the real {spec.dataset} and it was not found; "
            f"give its parent folder with --data ROOT (see: defectbench show {spec.dataset})"
        )
    builder = _Builder(spec, preset, source)
    cells = [
        builder.cell(product, entry, model)
        for product in spec.products
        for model in spec.models
        for entry in spec.entries
    ]
    if spec.scores:
        cells += [
            builder.score_cell(product, entry, spec.scores)
            for product in spec.products
            for entry in spec.entries
            if entry.arm not in ARMS_WITHOUT_METHOD
        ]
    return Plan(spec, preset_name, source, builder.jobs, cells)


class _Builder:
    """Gathers the distinct jobs while cells are laid out."""

    def __init__(self, spec: TableSpec, preset: Preset, source: Source) -> None:
        self.spec, self.preset, self.source = spec, preset, source
        self.dataset = names.find("datasets", spec.dataset).load()
        self.jobs: dict[str, Job] = {}

    def add(self, job: Job) -> str:
        self.jobs.setdefault(job.id, job)
        return job.id

    def defects(self, product: str) -> tuple[str, ...]:
        """Give the defect types of a product that the table uses."""
        given = self.spec.defects.get(product) or self.spec.defects.get("all")
        if given:
            return given
        known = self.dataset.defects.get(product)
        if not known:
            raise UserError(
                f"{self.spec.name}: defects.{product}: {self.spec.dataset} does not say which defects it has; list them"
            )
        return tuple(known)

    def prepare(self, product: str) -> str:
        preset, source = self.preset, self.source
        images: dict[str, Any]
        if source.stand_in and preset.stand_in:
            images = {"stand_in": preset.stand_in.model_dump()}
        else:
            images = {"digest": source.digests[product]}
        spec = {
            "dataset": self.spec.dataset,
            "product": product,
            "defects": list(self.defects(product)),
            "split": self.spec.split,
            "size": preset.size,
            "crop": preset.crop,
            "normals_per_image": preset.normals_per_image,
            "revision": self.dataset.revision,
            **images,
        }
        return self.add(Job("prepare", spec, {}, f"prepare {self.spec.dataset}/{product}"))

    def fits(self, product: str, method: str, seed: int) -> dict[str, str]:
        """Add the fit jobs of a method: one, or one per defect; by role."""
        entry = names.find("generators", self.spec.methods[method].generator)
        budget = self.spec.fit_spec(method, self.preset)
        spec = {
            "generator": entry.name,
            "revision": entry.facts.get("revision", 1),
            "arguments": self.spec.method_arguments(method, self.preset),
            **budget.model_dump(),
            "view": self.preset.view.model_dump(),
            "threads": self.preset.threads,
            "seed": seed,
        }
        data = {"data": self.prepare(product)}
        if entry.facts.get("scope", "product") == "product":
            job = Job("fit", spec, data, f"fit {method} {product} seed {seed}")
            return {"fit": self.add(job)}
        return {
            f"fit:{defect}": self.add(
                Job(
                    "fit",
                    {**spec, "defect": defect},
                    data,
                    f"fit {method} {product}/{defect} seed {seed}",
                )
            )
            for defect in self.defects(product)
        }

    def sample(self, product: str, method: str, seed: int) -> tuple[str, dict[str, str]]:
        fits = self.fits(product, method, seed)
        asked = self.preset.sample.per_defect
        counts = {
            defect: asked if isinstance(asked, int) else self._count(asked, product, defect)
            for defect in self.defects(product)
        }
        spec = {
            "counts": counts,
            "batch": self.preset.sample.batch,
            "composite": self.preset.composite,
            "threads": self.preset.threads,
            "seed": seed,
        }
        parents = {"data": self.prepare(product), **fits}
        return self.add(
            Job("sample", spec, parents, f"sample {method} {product} seed {seed}")
        ), fits

    def _count(self, asked: Mapping[str, int], product: str, defect: str) -> int:
        for key in (f"{product}/{defect}", product):
            if key in asked:
                return asked[key]
        raise UserError(
            f"{self.spec.name}: sample.per_defect: no count for {product}/{defect}; add it"
        )

    def cell(self, product: str, entry: EntrySpec, model: str) -> Cell:
        task = names.find("tasks", self.spec.models[model].task)
        jobs: list[str] = []
        fits: list[str] = []
        revision = [f"{task.name}:{task.facts.get('revision', 1)}"]
        with_method = entry.arm not in ARMS_WITHOUT_METHOD
        for seed in self.preset.seeds:
            parents = {"data": self.prepare(product)}
            if with_method:
                sample, fitted = self.sample(product, entry.method, seed)
                parents["synthetic"] = sample
                fits.extend(fitted.values())
            spec = {
                "task": task.name,
                "revision": task.facts.get("revision", 1),
                "arguments": self.spec.model_arguments(model, self.preset),
                "arm": entry.arm,
                **self.preset.task.model_dump(),
                "threads": self.preset.threads,
                "seed": seed,
            }
            name = entry.label or (entry.method if with_method else entry.arm)
            jobs.append(
                self.add(Job("task", spec, parents, f"{model} {product} {name} seed {seed}"))
            )
        if with_method:
            generator = names.find("generators", self.spec.methods[entry.method].generator)
            revision.insert(0, f"{generator.name}:{generator.facts.get('revision', 1)}")
        title = self.dataset.title
        return Cell(
            dataset=f"{title} stand-in" if self.source.stand_in else title,
            stand_in=self.source.stand_in,
            subset=product,
            method=entry.method,
            arm=entry.arm,
            label=entry.label or (entry.method if with_method else entry.arm),
            model=model,
            task=task.name,
            selection="best on validation" if self.preset.task.select == "best" else "last",
            revision=" ".join(revision),
            metrics=self.spec.models[model].metrics or self.spec.metrics,
            jobs=tuple(jobs),
            fits=tuple(fits),
        )

    def score_cell(self, product: str, entry: EntrySpec, scores: ScoresSpec) -> Cell:
        jobs: list[str] = []
        fits: list[str] = []
        for seed in self.preset.seeds:
            sample, fitted = self.sample(product, entry.method, seed)
            fits.extend(fitted.values())
            spec = {
                "metrics": list(scores.metrics),
                "replicates": scores.replicates,
                "revision": SCORES_REVISION,
                "threads": self.preset.threads,
                "seed": seed,
            }
            parents = {"data": self.prepare(product), "synthetic": sample}
            label = f"score {entry.label or entry.method} {product} seed {seed}"
            jobs.append(self.add(Job("score", spec, parents, label)))
        generator = names.find("generators", self.spec.methods[entry.method].generator)
        title = self.dataset.title
        return Cell(
            dataset=f"{title} stand-in" if self.source.stand_in else title,
            stand_in=self.source.stand_in,
            subset=product,
            method=entry.method,
            arm="score",
            label=entry.label or entry.method,
            model="fidelity",
            task="score",
            selection="last",
            revision=f"{generator.name}:{generator.facts.get('revision', 1)} score:{SCORES_REVISION}",
            metrics=(),
            jobs=tuple(jobs),
            fits=tuple(fits),
        )
