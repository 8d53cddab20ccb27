"""Read a table spec and check every name and argument before anything runs; imports no torch.

Errors name the file, the key, what was expected, what was found, and the nearest known key or name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from defectbench import names
from defectbench.config import UserError, load_yaml, nearest
from defectbench.spec.table import (
    DERIVED,
    NOT_IMPLEMENTED,
    EntrySpec,
    FitSpec,
    JudgementSpec,
    LayoutSpec,
    Method,
    Model,
    Preset,
    PrintedSpec,
    RulesSpec,
    SampleSpec,
    ScoresSpec,
    StandInSpec,
    SubsetSpec,
    TableSpec,
    TaskSpec,
    ViewSpec,
)

RECONSTRUCTION = "(reconstruction)"
"""Behind the printed name of every generator that is made from an abstract."""


def load_table(path: Path) -> TableSpec:
    """Read and check a table spec: keys, types, names, constructor arguments.

    Raises:
        UserError: names file, key, what was expected, what was found, and the nearest known key or name.
    """
    content = whole_content(path)
    try:
        spec = TableSpec.model_validate(as_tuples(content))
    except ValidationError as error:
        raise UserError(_explain(path, content, error)) from None
    _check_names(path, spec)
    return spec


def whole_content(path: Path) -> dict[str, Any]:
    """Read a table's file, with the presets that it takes from another one."""
    content = load_yaml(path)
    presets = content.get("presets")
    if isinstance(presets, str) or (isinstance(presets, dict) and "like" in presets):
        content["presets"] = _presets_of(path, content)
    return content


def _presets_of(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Take the presets of another table, without arguments of methods and models that this one lacks.

    Tables that share presets share every job that both need. `presets: NAME` takes them as they are; with
    `presets: {like: NAME, smoke: {...}}` the keys given replace those of the other table.
    """
    asked = content["presets"]
    changes = {} if isinstance(asked, str) else {k: v for k, v in asked.items() if k != "like"}
    name = asked if isinstance(asked, str) else asked["like"]
    other = load_yaml(names.find_table(name)).get("presets")
    if not isinstance(other, dict) or "like" in other:
        raise UserError(
            f"{path}: presets: {name} does not hold presets of its own; name one that does"
        )
    for preset, changed in changes.items():
        if preset not in other or not isinstance(changed, dict):
            raise UserError(
                f"{path}: presets.{preset}: {name} has none such; {nearest(preset, other)}"
            )
    known = {*content.get("methods", {}), *content.get("models", {})}
    for thing in (*content.get("methods", {}).values(), *content.get("models", {}).values()):
        known |= {value for key, value in thing.items() if key in {"generator", "task"}}
    return {
        preset: {
            key: {k: v for k, v in value.items() if k in known}
            if key in {"arguments", "fits"}
            else value
            for key, value in {**held, **changes.get(preset, {})}.items()
        }
        for preset, held in other.items()
    }


def as_tuples(node: Any) -> Any:
    """Turn YAML lists into tuples, which frozen specs hold."""
    if isinstance(node, dict):
        return {str(key): as_tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(as_tuples(item) for item in node)
    return node


def _explain(path: Path, content: Mapping[str, Any], error: ValidationError) -> str:
    """Put a pydantic error into one line per problem."""
    lines = []
    for problem in error.errors():
        steps = [str(step) for step in problem["loc"] if "[" not in str(step)]
        where = ".".join(steps) or "(top)"
        if problem["type"] == "extra_forbidden":
            siblings = _known_keys(problem["loc"])
            lines.append(f"{path}: {where}: unknown key; {nearest(steps[-1], siblings)}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: {where}: missing key; add it")
        else:
            found = problem.get("input")
            shown = f", found {found!r}" if not isinstance(found, (dict, tuple)) else ""
            lines.append(f"{path}: {where}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    del content
    return "\n".join(dict.fromkeys(lines))


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """List the keys allowed at the parent of a location."""
    model: type[BaseModel] = TableSpec
    below: dict[str, type[BaseModel]] = {
        "presets": Preset,
        "methods": Method,
        "rules": RulesSpec,
        "models": Model,
        "entries": EntrySpec,
        "subsets": SubsetSpec,
        "printed": PrintedSpec,
        "layout": LayoutSpec,
        "judgement": JudgementSpec,
        "scores": ScoresSpec,
        "stand_in": StandInSpec,
        "view": ViewSpec,
        "fit": FitSpec,
        "sample": SampleSpec,
        "task": TaskSpec,
    }
    for step in loc[:-1]:
        model = below.get(str(step), model)
    return list(model.model_fields)


def _check_names(path: Path, spec: TableSpec) -> None:
    """Check every name and argument against what exists."""
    stem = f"{path.parent.name}/{path.stem}"
    if path.parent.parent.name in {"benchmarks", "_benchmarks"} and stem != spec.name:
        raise UserError(
            f"{path}: paper and table say {spec.name!r}; the file's place says {stem!r}"
        )
    for name, subset in spec.images.items():
        where = f"{path}: subsets.{name}" if spec.subsets else f"{path}"
        dataset = names.find("datasets", subset.dataset or spec.dataset, f"{where}: dataset").load()
        if dataset.products and subset.product not in dataset.products:
            raise UserError(
                f"{where}: products: no {subset.product!r} in {dataset.title}; "
                f"{nearest(subset.product, dataset.products)}"
            )
    for name, method in spec.methods.items():
        if method.generator not in {NOT_IMPLEMENTED, *DERIVED}:
            facts = names.find(
                "generators", method.generator, f"{path}: methods.{name}.generator"
            ).facts
            from_abstract = "reconstruction from the abstract" in str(facts.get("paper", ""))
            if from_abstract and not name.endswith(RECONSTRUCTION):
                raise UserError(
                    f"{path}: methods.{name}: {method.generator} is made from an abstract; "
                    f"call it '{name} {RECONSTRUCTION}' and give its name in the paper as `published`"
                )
    for name, model in spec.models.items():
        task = names.find("tasks", model.task, f"{path}: models.{name}.task")
        known = task.facts.get("better", {})
        shown = model.metrics or spec.metrics
        wrong = [metric for metric in shown if metric not in known]
        if wrong or not shown:
            wanted = nearest(wrong[0], known) if wrong else f"known: {', '.join(known)}"
            raise UserError(
                f"{path}: models.{name}.metrics: {model.task} has no score {', '.join(wrong) or '(none given)'}; {wanted}"
            )
    _check_judgement(path, spec)
    _check_score_size(path, spec)
    if spec.scores:
        _check_scores(spec.scores.metrics)
    for preset_name in spec.presets:
        _check_preset(path, spec, preset_name)


def _check_score_size(path: Path, spec: TableSpec) -> None:
    """Check that somebody can score at the masks' own size where that is asked for."""
    asked = [
        f"presets.{name}.task" for name, p in spec.presets.items() if p.task.score_size == "own"
    ]
    asked += [
        f"entries[{number}].task"
        for number, entry in enumerate(spec.entries)
        if entry.task.get("score_size") == "own"
    ]
    able = [name for name, entry in names.entries("tasks").items() if entry.facts.get("better_own")]
    if asked and not {model.task for model in spec.models.values()} & set(able):
        raise UserError(
            f"{path}: {asked[0]}.score_size: no model of this table finds pixels, so masks of another size "
            f"change nothing; leave it out, or add a model with task {' or '.join(sorted(able))}"
        )


def _check_judgement(path: Path, spec: TableSpec) -> None:
    """Check that the rules of judgement name models, scores that are shown, and methods or arms of the table."""
    if spec.judgement is None:
        return
    where = f"{path}: judgement"
    for model, metric in spec.judgement.primary.items():
        if model not in spec.models:
            raise UserError(
                f"{where}.primary.{model}: not a model of this table; {nearest(model, spec.models)}"
            )
        shown = spec.models[model].metrics or spec.metrics
        if metric not in shown:
            raise UserError(
                f"{where}.primary.{model}: {metric!r} is not among the scores shown; {nearest(metric, shown)}"
            )
    known = {*spec.methods, *(entry.arm_name for entry in spec.entries)}
    for name in spec.judgement.comparisons:
        if name not in known:
            raise UserError(
                f"{where}.comparisons: {name!r} is no method or arm of this table; {nearest(name, known)}"
            )


def _check_scores(metrics: tuple[str, ...]) -> None:
    if not metrics:
        return
    from defectbench.metrics.parts.catalogue import find

    for metric in metrics:
        find(metric)


def _check_preset(path: Path, spec: TableSpec, preset_name: str) -> None:
    """Check the names and arguments that a preset gives."""
    preset, where = spec.presets[preset_name], f"{path}: presets.{preset_name}"
    skipped = {NOT_IMPLEMENTED, *DERIVED}
    methods = {n: m for n, m in spec.methods.items() if m.generator not in skipped}
    known = {*methods, *spec.models}
    known |= {method.generator for method in methods.values()}
    known |= {model.task for model in spec.models.values()}
    for key in preset.arguments:
        if key not in known:
            raise UserError(
                f"{where}.arguments.{key}: not a method, model, generator or task of this table; {nearest(key, known)}"
            )
    rows = [name for name, subset in spec.images.items() if subset.row]
    for key in preset.subsets:
        if key not in rows:
            raise UserError(f"{where}.subsets: {key!r} is not a row; {nearest(key, rows)}")
    _check_scores(preset.scores)
    for key in preset.fits:
        if key not in spec.methods:
            raise UserError(f"{where}.fits.{key}: not a method; {nearest(key, spec.methods)}")
        _try(f"{where}.fits.{key}", partial(spec.fit_spec, key, preset))
    for name, method in methods.items():
        entry = names.find("generators", method.generator)
        entry.check(spec.method_arguments(name, preset), f"{path}: {preset_name}: {name}")
    for name, model in spec.models.items():
        entry = names.find("tasks", model.task)
        entry.check(spec.model_arguments(name, preset), f"{path}: {preset_name}: {name}")
    for name, subset in spec.images.items():
        for generator, arguments in subset.arguments.items():
            at = f"{path}: subsets.{name}.arguments"
            names.find("generators", generator, at).check(arguments, at)
    for number, column in enumerate(spec.entries):
        at = f"{path}: entries[{number}]"
        _try(f"{at}.task", partial(spec.task_spec, column, preset))
        for name in column.models or spec.models:
            entry = names.find("tasks", spec.models[name].task)
            entry.check(column.arguments, f"{at}.arguments")


def _try(where: str, build: Callable[[], object]) -> None:
    """Build a part of the spec and put what is wrong with it into one line."""
    try:
        build()
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise UserError(f"{where}.{place}: {problem['msg']}") from None
