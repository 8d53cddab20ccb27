"""The planner: lays out the cells of a table and gathers the distinct jobs behind them; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.config import UserError, nearest
from defectbench.plan.derived import DERIVED_REVISION, lacking, synthetic
from defectbench.plan.job import Job
from defectbench.plan.plan import Cell, Plan, Source
from defectbench.spec.table import (
    ARMS_WITHOUT_METHOD,
    DERIVED,
    NOT_IMPLEMENTED,
    EntrySpec,
    FitSpec,
    Method,
    Preset,
    ScoresSpec,
    SubsetSpec,
    TableSpec,
    ViewSpec,
)

PREPARE_REVISION = 1
"""Raised when the prepare stage would give other images for the same spec (split rules, pooling)."""
SAMPLE_REVISION = 1
"""Raised when the sample stage would ask for or write other images."""
CONTENTS_REVISION = 2
"""The same for methods that learn from contents; also raised when contents would be blended or masked differently."""
SCORES_REVISION = 3
"""Raised when the score stage would give other numbers for the same images."""


def paints_on_normals(facts: Mapping[str, Any]) -> bool:
    """Say whether a generator paints on the normal it is given, with a mask of its own.

    Such a one learns from whole images and returns whole images, whatever view a preset gives to those that draw
    contents.
    """
    return "normal" in facts["reads"] and facts["mask_source"] in {"native", "input"}


class Planner:
    """Gathers the distinct jobs of a table while its cells are laid out.

    Args:
        spec: the table.
        preset: one of its presets.
        sources: where the images of each dataset come from.
    """

    def __init__(self, spec: TableSpec, preset: Preset, sources: Mapping[str, Source]) -> None:
        self.spec, self.preset, self.sources = spec, preset, sources
        self.datasets = {name: names.find("datasets", name).load() for name in spec.datasets}
        self.regrouping: Any = None
        if spec.regroup:
            from defectbench.data.splitting.regroup import DT_GAN, load_regrouping

            path = DT_GAN if spec.regroup == "dt_gan" else Path(spec.regroup)
            self.regrouping = load_regrouping(path)
        self.jobs: dict[str, Job] = {}
        self.foreign: dict[str, Path] = {}

    def add(self, job: Job) -> str:
        """Add a job, unless it is there, and give its id."""
        self.jobs.setdefault(job.id, job)
        return job.id

    def dataset_of(self, subset: SubsetSpec) -> str:
        """Name the dataset of a subset."""
        return subset.dataset or self.spec.dataset

    def defects(self, name: str) -> tuple[str, ...]:
        """Give the defects of a subset that the table uses.

        Raises:
            UserError: neither table, dataset nor images name them.
        """
        subset = self.spec.images[name]
        if self.regrouping:
            return tuple(self.regrouping.groups)
        given = subset.defects or self.spec.defects.get(subset.product)
        given = given or self.spec.defects.get("all")
        if given:
            return given
        dataset = self.datasets[self.dataset_of(subset)]
        source = self.sources[self.dataset_of(subset)]
        known = dataset.defects.get(subset.product) or source.defects.get(subset.product)
        if not known:
            raise UserError(
                f"{self.spec.name}: defects.{subset.product}: {dataset.title} does not say which defects it has; list them"
            )
        return tuple(known)

    def prepare(self, name: str, entry: EntrySpec, seed: int) -> str:
        """Add the job that finds or draws, splits and decodes the images of a subset; one for all seeds if they share it."""
        name = entry.swap.get(name, name)
        subset, preset = self.spec.images[name], self.preset
        dataset = self.dataset_of(subset)
        source = self.sources[dataset]
        images: dict[str, Any]
        drawn = source.is_drawn(subset.product)
        if drawn and preset.stand_in:
            images = {"stand_in": preset.stand_in.model_dump()}
        else:
            images = {"digest": source.digests[subset.product]}
        regroup = None
        if self.regrouping:
            products = self.regrouping.datasets.get(dataset, {})
            if subset.product not in products:
                raise UserError(
                    f"{self.regrouping.path}: lists no {dataset}.{subset.product}, which {self.spec.name} needs; add it"
                )
            regroup = dict(products[subset.product])
        spec = {
            "dataset": dataset,
            "product": subset.product,
            "defects": list(self.defects(name)),
            "regroup": regroup,
            "split": subset.split or self.spec.split,
            "limit": entry.real,
            "size": preset.size,
            "crop": preset.crop,
            "normals_per_image": preset.normals_per_image,
            "revision": [PREPARE_REVISION, self.datasets[dataset].revision],
            **images,
        }
        if preset.least_defect is not None:
            spec["least_defect"] = preset.least_defect
        if (preset.masks or self.usual_masks(dataset)) != "nearest":
            spec["masks"] = preset.masks or self.usual_masks(dataset)
        if source.unlabelled:
            spec["unlabelled"] = source.unlabelled
        if self.spec.draw != "once":
            spec["draw"] = {"anew": self.spec.draw, "seed": seed}
        return self.add(Job("prepare", spec, {}, f"prepare {dataset}/{subset.product}"))

    def usual_masks(self, dataset: str) -> str:
        """Say how masks are shrunk where a preset does not: a user's own lose no defect, others as in papers."""
        return "area" if self.datasets[dataset].own_images else "nearest"

    def learned(self, row: str, entry: EntrySpec, seed: int) -> tuple[str, list[str], str]:
        """Add what a generator learns from: a pool of subsets, another subset, or the row's own images.

        Returns:
            id of the job, names of the subsets, name to print.
        """
        members = self.spec.pools.get(entry.pool, (entry.pool,) if entry.pool else (row,))
        if len(members) == 1:
            return self.prepare(members[0], entry, seed), list(members), members[0]
        parents = {f"{i:02d}": self.prepare(m, entry, seed) for i, m in enumerate(members)}
        spec = {"pool": list(members), "revision": PREPARE_REVISION}
        return (
            self.add(Job("prepare", spec, parents, f"pool {entry.pool}")),
            list(members),
            entry.pool,
        )

    def wanted(self, row: str, entry: EntrySpec) -> dict[str, str]:
        """Say what the generator is asked for, by defect of the row.

        Raises:
            UserError: `labels` names a defect that there is not.
        """
        mine = self.defects(entry.swap.get(row, row))
        members = self.spec.pools.get(entry.pool, (entry.pool or row,))
        known = {defect for member in members for defect in self.defects(member)}
        for key, value in entry.labels.items():
            if value not in known:
                raise UserError(
                    f"{self.spec.name}: labels.{key}: nobody learns {value!r}; {nearest(value, known)}"
                )
        asked = {defect: entry.labels.get(defect, defect) for defect in mine}
        lost = sorted(set(asked.values()) - known)
        if lost:
            raise UserError(
                f"{self.spec.name}: entry {entry.method} {entry.arm_name} on {row}: nobody learns {', '.join(lost)}; "
                "say with `labels` what to ask for"
            )
        return asked

    def fits(self, row: str, entry: EntrySpec, seed: int) -> dict[str, str]:
        """Add the fit jobs of an entry: one, or one per defect that is asked for; by role.

        Stages that the models of all defects share are a fit of their own, which the others go on from.
        """
        method = entry.method
        found = names.find("generators", self.spec.methods[method].generator)
        budget = self.spec.fit_spec(method, self.preset)
        called = f"{self.spec.name}: {method}, {found.name}"
        names.check_size(called, found.facts, self.preset.size)
        names.check_batch(called, found.facts, budget.batch)
        data, members, where = self.learned(row, entry, seed)
        alone = self.spec.images[members[0]].arguments if len(members) == 1 else {}
        spec = {
            "generator": found.name,
            "revision": found.facts.get("revision", 1),
            "arguments": {
                **self.spec.method_arguments(method, self.preset),
                **alone.get(found.name, {}),
            },
            **budget.model_dump(),
            "images": self._images(budget, method, members),
            "view": self.view(method, found.facts).model_dump(),
            "threads": self.preset.threads,
            "seed": seed,
        }
        if found.facts.get("scope", "product") == "product":
            job = Job("fit", spec, {"data": data}, f"fit {method} {where} seed {seed}")
            return {"fit": self.add(job)}
        parents = {"data": data}
        if found.facts.get("shared_stages", 0):
            label = f"fit {method} {where}, shared stages, seed {seed}"
            shared = Job("fit", {**spec, "part": "shared"}, {"data": data}, label)
            parents["shared"] = self.add(shared)
        jobs = {}
        for defect in sorted(set(self.wanted(row, entry).values())):
            label = f"fit {method} {where}/{defect} seed {seed}"
            job = Job("fit", {**spec, "defect": defect}, parents, label)
            jobs[f"fit:{defect}"] = self.add(job)
        return jobs

    def _images(self, budget: FitSpec, method: str, members: Sequence[str]) -> int:
        """Give the images of a fit: said once for all, or the sum over the subsets that it learns from."""
        if isinstance(budget.images, int):
            return budget.images
        if lost := [member for member in members if member not in budget.images]:
            raise UserError(
                f"{self.spec.name}: images of {method}: none for {lost[0]}; give each subset that it learns from, "
                "or one number"
            )
        return sum(budget.images[member] for member in members)

    def view(self, method: str, facts: Mapping[str, Any]) -> ViewSpec:
        """Say what a method learns from: as it asks, whole images if it paints on normals, or as the preset says."""
        asked = self.spec.methods[method].view
        if asked is not None:
            return asked
        return ViewSpec() if paints_on_normals(facts) else self.preset.view

    def sample(self, row: str, entry: EntrySpec, seed: int) -> tuple[str, dict[str, str]]:
        """Add the job that draws an entry's images for a row, and its fits."""
        fits = self.fits(row, entry, seed)
        source, members, _ = self.learned(row, entry, seed)
        wanted = self.wanted(row, entry)
        pooled = len(members) > 1
        facts = names.find("generators", self.spec.methods[entry.method].generator).facts
        contents = self.view(entry.method, facts).name == "contents"
        spec = {
            "counts": self.counts(row, entry),
            "labels": {d: label for d, label in wanted.items() if d != label},
            "references": self._references(row, entry, members),
            "product": row if pooled and row in members else None,
            "joint": self.preset.sample.joint,
            "batch": self.preset.sample.batch,
            "composite": self.preset.composite,
            "revision": CONTENTS_REVISION if contents else SAMPLE_REVISION,
            "threads": self.preset.threads,
            "seed": seed,
        }
        if self.preset.sample.restored and "restoration" in facts.get("takes", frozenset()):
            spec["restored"] = self.preset.sample.restored
        parents = {"data": self.prepare(row, entry, seed), "source": source, **fits}
        label = f"sample {entry.label or entry.method} {row} seed {seed}"
        return self.add(Job("sample", spec, parents, label)), fits

    def _references(self, row: str, entry: EntrySpec, members: list[str]) -> list[str] | None:
        """Name the products whose training images are given as references; None for no references."""
        if entry.references == "none":
            return None
        where = f"{self.spec.name}: entry {entry.method} {entry.arm_name} on {row}: references"
        facts = names.find("generators", self.spec.methods[entry.method].generator).facts
        if "reference" not in facts["reads"] | facts.get("takes", frozenset()):
            raise UserError(f"{where}: {entry.method} takes no reference images; leave it out")
        chosen = {
            "all": members,
            "same": [member for member in members if member == row],
            "others": [member for member in members if member != row],
        }[entry.references]
        if not chosen:
            raise UserError(
                f"{where}: {entry.references} leaves none of {', '.join(members)}; mend pool or references"
            )
        # The products of an own cache have their plain names, those of a pool the subsets'.
        return chosen if len(members) > 1 else [self.spec.images[chosen[0]].product]

    def counts(self, row: str, entry: EntrySpec) -> dict[str, int]:
        """Give how many images the preset asks for, by defect of the row."""
        asked = self.preset.sample.per_defect
        return {
            defect: asked if isinstance(asked, int) else self._count(asked, row, defect)
            for defect in self.defects(entry.swap.get(row, row))
        }

    def _count(self, asked: Mapping[str, int], row: str, defect: str) -> int:
        for key in (f"{row}/{defect}", row):
            if key in asked:
                return asked[key]
        raise UserError(f"{self.spec.name}: sample.per_defect: no count for {row}/{defect}; add it")

    def task_cell(self, row: str, entry: EntrySpec, model: str) -> Cell:
        """Add the trainings of a model in an arm, and lay out their cell."""
        task = names.find("tasks", self.spec.models[model].task)
        budget = self.spec.task_spec(entry, self.preset)
        arguments = {**self.spec.model_arguments(model, self.preset), **entry.arguments}
        revision = task.facts.get("revision", 1)
        if arguments.get("weights"):
            revision = task.facts.get("revision_with_weights", revision)
        jobs: list[str] = []
        fits: list[str] = []
        without = lacking(self, row, entry, model)
        own = task.facts.get("better_own", {}) if budget.score_size == "own" else {}
        for seed in () if without else self.preset.seeds:
            parents = {"data": self.prepare(row, entry, seed)}
            if entry.arm not in ARMS_WITHOUT_METHOD:
                parents["synthetic"], fitted = synthetic(self, row, entry, seed)
                fits.extend(fitted.values())
            spec = {
                "task": task.name,
                "revision": revision,
                "arguments": arguments,
                "arm": entry.arm,
                **budget.model_copy(update={} if own else {"score_size": "prepared"}).asked(),
                "threads": self.preset.threads,
                "seed": seed,
            }
            if entry.arm == "ideal":
                parents["held"] = self.prepare(row, entry.model_copy(update={"real": None}), seed)
                spec["per_defect"] = self.counts(row, entry)
            label = f"{model} {row} {entry.label or entry.method} {entry.arm_name} seed {seed}"
            jobs.append(self.add(Job("task", spec, parents, label)))
        return self._cell(
            row,
            entry,
            arm=entry.arm_name,
            published_arm=entry.arm_name,
            model=model,
            task=task.name,
            selection="best on validation" if budget.select == "best" else "last",
            revision=f"{task.name}:{revision}",
            metrics=(*(self.spec.models[model].metrics or self.spec.metrics), *own),
            jobs=tuple(jobs),
            fits=tuple(fits),
            lacking=without,
        )

    def inspectors(self, row: str, entry: EntrySpec, scores: ScoresSpec) -> tuple[str, ...]:
        """Add the jobs that train what mask scores look through, one per seed: the first segmentation model, arm raw.

        Returns:
            their ids; none where no score asks for one.

        Raises:
            UserError: scores ask for one and the table has no segmentation model.
        """
        from defectbench.metrics.mask_scores import INSPECTOR
        from defectbench.metrics.parts.catalogue import find

        asking = [name for name in scores.metrics if find(name).extractor == INSPECTOR]
        if not asking:
            return ()
        alike = EntrySpec(arm="raw", swap=entry.swap, real=entry.real)
        for model, told in self.spec.models.items():
            if told.task == "segmentation":
                return self.task_cell(row, alike, model).jobs
        raise UserError(
            f"{self.spec.name}: scores.metrics: {asking[0]} looks through a segmentation network, and the table has no "
            "model with task segmentation; add one under models, or leave the score out"
        )

    def score_cell(self, row: str, entry: EntrySpec, scores: ScoresSpec) -> Cell:
        """Add the scorings of an entry's images, and lay out their cell."""
        jobs: list[str] = []
        fits: list[str] = []
        without = lacking(self, row, entry)
        inspectors = () if without else self.inspectors(row, entry, scores)
        for number, seed in enumerate(() if without else self.preset.seeds):
            parents = {"data": self.prepare(row, entry, seed)}
            if entry.arm not in ARMS_WITHOUT_METHOD:
                parents["synthetic"], fitted = synthetic(self, row, entry, seed)
                fits.extend(fitted.values())
            if inspectors:
                parents["inspector"] = inspectors[number]
            spec = {
                "metrics": list(scores.metrics),
                "replicates": scores.replicates,
                "revision": SCORES_REVISION,
                "threads": self.preset.threads,
                "seed": seed,
            }
            label = f"score {entry.label or entry.method} {row} seed {seed}"
            jobs.append(self.add(Job("score", spec, parents, label)))
        return self._cell(
            row,
            entry,
            arm="score",
            published_arm="",
            model="fidelity",
            task="score",
            selection="last",
            revision=f"score:{SCORES_REVISION}",
            metrics=scores.metrics if without else (),
            jobs=tuple(jobs),
            fits=tuple(fits),
            lacking=without,
        )

    def _cell(
        self,
        row: str,
        entry: EntrySpec,
        *,
        revision: str,
        published_arm: str,
        lacking: str,
        **rest: Any,
    ) -> Cell:
        """Fill in what every cell has."""
        subset = self.spec.images[row]
        name = self.dataset_of(subset)
        title, stand_in = self.datasets[name].title, self.sources[name].is_drawn(subset.product)
        root = self.sources[name].root
        if self.datasets[name].own_images and root is not None:
            title = root.resolve().stem if root.is_file() else root.resolve().name
        method = self.spec.methods.get(entry.method)
        if method and method.generator in DERIVED:
            revision = f"{method.generator}:{DERIVED_REVISION} {revision}"
        elif method and method.generator != NOT_IMPLEMENTED:
            facts = names.find("generators", method.generator).facts
            revision = f"{method.generator}:{facts.get('revision', 1)} {revision}"
        return Cell(
            dataset=f"{title} stand-in" if stand_in else title,
            stand_in=stand_in,
            subset=row,
            method=entry.method,
            kind="score" if rest["arm"] == "score" else entry.arm,
            variant=entry.variant,
            published=(_published(entry, method), published_arm),
            label=entry.label or (entry.method if method else entry.arm_name),
            revision=revision,
            lacking="" if method and method.generator == NOT_IMPLEMENTED else lacking,
            **rest,
        )


def _published(entry: EntrySpec, method: Method | None) -> str:
    """Give the name that `published.csv` has for an entry's method."""
    if entry.arm == "ideal":
        return "Ideal"
    return (method and method.published) or entry.method


def make_plan(spec: TableSpec, preset_name: str, sources: Mapping[str, Source]) -> Plan:
    """Plan a table.

    Args:
        spec: the table.
        preset_name: which preset.
        sources: real or drawn images, by dataset.

    Raises:
        UserError: the preset does not exist, or does not allow stand-ins.
    """
    preset = spec.preset(preset_name)
    for name, source in sources.items():
        if source.stand_in and preset.stand_in is None:
            raise UserError(
                f"{spec.name} {preset_name}: needs the real {name} and it was not found; "
                f"give its parent folder with --data ROOT (see: defectbench show {name})"
            )
    planner = Planner(spec, preset, sources)
    rows, scores = spec.rows(preset), spec.scores_spec(preset)
    cells = [
        planner.task_cell(row, entry, model)
        for row in rows
        for model in spec.models
        for entry in spec.entries
        if (entry.arm != "ideal" or entry.real) and (not entry.models or model in entry.models)
    ]
    if scores:
        cells += [
            planner.score_cell(row, entry, scores)
            for row in rows
            for entry in spec.entries
            if entry.arm not in {"raw", "augment"} and not (entry.arm == "ideal" and entry.real)
        ]
    return Plan(spec, preset_name, sources, planner.jobs, cells, planner.foreign)
