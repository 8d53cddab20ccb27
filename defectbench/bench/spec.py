"""Table specs: one YAML per table of a paper, read strictly, checked before anything runs; imports no torch.

A spec names data, methods, models and entries (method x arm); presets give sizes and budgets. Errors name the file, the
key, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from defectbench import names
from defectbench.config import UserError, load_yaml, nearest

Composite = Literal["none", "improved_poisson", "poisson", "alpha"]
Positive = Annotated[int, Field(gt=0)]
ARMS_WITHOUT_METHOD = ("raw", "augment")
Arm = Literal["raw", "augment", "enlarge", "synthetic_only"]


class Strict(BaseModel):
    """A mapping with exactly the keys below."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StandInSpec(Strict):
    """How the stand-in is drawn when the real dataset is not at hand."""

    size: Positive  # side of a drawn image, pixels
    normals: Positive  # normal training images per product
    defective: Positive  # defective images per defect type
    seed: int = 0


class ViewSpec(Strict):
    """What a generator sees of an image."""

    name: Literal["full", "contents"] = "full"
    background: int | Literal["auto"] = (
        0  # grey value outside the contents; auto: the best of 0, 128, 255
    )
    dilate: int = 0  # pixels


class FitSpec(Strict):
    """Budget and batches of a generator's training."""

    images: Positive  # images seen, over all stages
    batch: Positive
    augment: tuple[str, ...] = ()
    balance: Literal["none", "defect"] = "defect"


class SampleSpec(Strict):
    """How many synthetic images are made."""

    per_defect: Positive | Mapping[str, Positive]  # images per defect type, or by product/defect
    batch: Positive = 16


class TaskSpec(Strict):
    """Budget and batches of a downstream training; the same for every arm."""

    steps: Positive
    batch: Positive
    evaluate_every: Positive  # steps between looks at the validation images
    select: Literal["best", "last"] = "best"
    normals: int = 0  # real normal training images added to every arm
    augment: tuple[str, ...] = ()  # traditional augmentation that every arm gets
    ratio: float | None = None  # synthetic images per real one; None takes all that were made


class Preset(Strict):
    """Sizes and budgets of one way to run the table."""

    about: str  # command, hardware, time, what to expect
    stand_in: StandInSpec | None = None  # None: the real data are required
    size: Positive  # side of the training images, pixels
    crop: Positive | None = None  # side of the patches cut from the images before resizing, pixels
    normals_per_image: Positive = 4  # patches cut from each normal image
    seeds: tuple[int, ...]
    threads: Positive = 1  # CPU threads of each job: part of what makes bytes repeat
    view: ViewSpec = ViewSpec()
    composite: Composite = "none"
    fit: FitSpec
    sample: SampleSpec
    task: TaskSpec
    arguments: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    fits: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict
    )  # FitSpec overrides by method


class Method(Strict):
    """A generator under the name that the table prints."""

    generator: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)


class Model(Strict):
    """A downstream task under the name that the table prints."""

    task: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    metrics: tuple[str, ...] = ()  # which of its scores are shown; the table's by default


class ScoresSpec(Strict):
    """How the synthetic images themselves are scored, against the real test images."""

    metrics: tuple[str, ...]  # names of set metrics (`defectbench list metrics`)
    replicates: Positive = 200  # bootstrap resamples of each interval


class EntrySpec(Strict):
    """One column of the table: a method in an arm."""

    arm: Arm
    method: str = "none"
    label: str = ""  # as printed; the method's or the arm's name by default


LayoutKey = Literal["subset", "model", "label"]


class LayoutSpec(Strict):
    """How the Markdown table is laid out, as in the paper."""

    rows: tuple[LayoutKey, ...] = ("subset", "model")
    columns: LayoutKey = "label"


class TableSpec(Strict):
    """One table."""

    title: str
    paper: str
    table: str
    dataset: str
    products: tuple[str, ...]
    defects: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict
    )  # by product; all by default
    split: str
    methods: Mapping[str, Method] = Field(default_factory=dict)
    models: Mapping[str, Model]
    entries: tuple[EntrySpec, ...]
    metrics: tuple[str, ...] = ()
    scores: ScoresSpec | None = None
    layout: LayoutSpec = LayoutSpec()
    notes: str = ""
    presets: Mapping[str, Preset]

    @model_validator(mode="after")
    def _entries_name_methods(self) -> TableSpec:
        for number, entry in enumerate(self.entries):
            where = f"entries[{number}]"
            if entry.arm in ARMS_WITHOUT_METHOD and entry.method != "none":
                raise ValueError(
                    f"{where}: arm {entry.arm} takes no method, found {entry.method!r}"
                )
            if entry.arm not in ARMS_WITHOUT_METHOD and entry.method not in self.methods:
                raise ValueError(
                    f"{where}: arm {entry.arm} needs a method, found {entry.method!r}; {nearest(entry.method, self.methods)}"
                )
        return self

    @property
    def name(self) -> str:
        """Name as in `benchmarks/`, e.g. `dcdgan_c/table5`."""
        stem = f"table{self.table}" if self.table[:1].isdigit() else self.table
        return f"{self.paper}/{stem}"

    def preset(self, name: str) -> Preset:
        """Give a preset.

        Raises:
            UserError: there is none of that name.
        """
        if name not in self.presets:
            raise UserError(f"{self.name}: no preset {name!r}; {nearest(name, self.presets)}")
        return self.presets[name]

    def method_arguments(self, method: str, preset: Preset) -> dict[str, Any]:
        """Merge a method's arguments: its own, then the preset's by generator, then by method."""
        spec = self.methods[method]
        return {
            **preset.arguments.get(spec.generator, {}),
            **spec.arguments,
            **(preset.arguments.get(method, {}) if method != spec.generator else {}),
        }

    def model_arguments(self, model: str, preset: Preset) -> dict[str, Any]:
        """Merge a model's arguments: its own, then the preset's by task, then by model."""
        spec = self.models[model]
        return {
            **preset.arguments.get(spec.task, {}),
            **spec.arguments,
            **(preset.arguments.get(model, {}) if model != spec.task else {}),
        }

    def fit_spec(self, method: str, preset: Preset) -> FitSpec:
        """Give the fit budget of a method under a preset."""
        changed = {**preset.fit.model_dump(), **preset.fits.get(method, {})}
        return FitSpec.model_validate(changed, strict=False)


def load_table(path: Path) -> TableSpec:
    """Read and check a table spec: keys, types, names, constructor arguments.

    Raises:
        UserError: names file, key, what was expected, what was found, and the nearest known key or name.
    """
    content = load_yaml(path)
    if isinstance(content.get("presets"), str):
        content["presets"] = _presets_of(path, content)
    try:
        spec = TableSpec.model_validate(_tuples(content))
    except ValidationError as error:
        raise UserError(_explain(path, content, error)) from None
    _check_names(path, spec)
    return spec


def _presets_of(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Take the presets of another table, without arguments of methods and models that this one lacks.

    Tables that share presets share every job that both need.
    """
    other = load_yaml(names.find_table(content["presets"]))
    known = {*content.get("methods", {}), *content.get("models", {})}
    for thing in (*content.get("methods", {}).values(), *content.get("models", {}).values()):
        known |= {value for key, value in thing.items() if key in {"generator", "task"}}
    presets = other.get("presets")
    if not isinstance(presets, dict):
        raise UserError(
            f"{path}: presets: {content['presets']} does not hold presets of its own; name one that does"
        )
    return {
        name: {
            key: {k: v for k, v in value.items() if k in known}
            if key in {"arguments", "fits"}
            else value
            for key, value in preset.items()
        }
        for name, preset in presets.items()
    }


def _tuples(node: Any) -> Any:
    """Turn YAML lists into tuples, which frozen specs hold."""
    if isinstance(node, dict):
        return {str(key): _tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_tuples(item) for item in node)
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
        "models": Model,
        "entries": EntrySpec,
        "layout": LayoutSpec,
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
    dataset = names.find("datasets", spec.dataset, f"{path}: dataset")
    products = dataset.load().products
    for product in spec.products if products else ():
        if product not in products:
            raise UserError(
                f"{path}: products: no {product!r} in {spec.dataset}; {nearest(product, products)}"
            )
    stem = f"{path.parent.name}/{path.stem}"
    if path.parent.parent.name in {"benchmarks", "_benchmarks"} and stem != spec.name:
        raise UserError(
            f"{path}: paper and table say {spec.name!r}; the file's place says {stem!r}"
        )
    for name, method in spec.methods.items():
        names.find("generators", method.generator, f"{path}: methods.{name}.generator")
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
    if spec.scores:
        from defectbench.metrics.catalogue import find

        for metric in spec.scores.metrics:
            find(metric)
    for preset_name in spec.presets:
        _check_preset(path, spec, preset_name)


def _check_preset(path: Path, spec: TableSpec, preset_name: str) -> None:
    """Check the names and arguments that a preset gives."""
    preset, where = spec.presets[preset_name], f"{path}: presets.{preset_name}"
    known = {*spec.methods, *spec.models}
    known |= {method.generator for method in spec.methods.values()}
    known |= {model.task for model in spec.models.values()}
    for key in preset.arguments:
        if key not in known:
            raise UserError(
                f"{where}.arguments.{key}: not a method, model, generator or task of this table; {nearest(key, known)}"
            )
    for key in preset.fits:
        if key not in spec.methods:
            raise UserError(f"{where}.fits.{key}: not a method; {nearest(key, spec.methods)}")
        try:
            spec.fit_spec(key, preset)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise UserError(f"{where}.fits.{key}.{place}: {problem['msg']}") from None
    for name, method in spec.methods.items():
        entry = names.find("generators", method.generator)
        entry.check(spec.method_arguments(name, preset), f"{path}: {preset_name}: {name}")
    for name, model in spec.models.items():
        entry = names.find("tasks", model.task)
        entry.check(spec.model_arguments(name, preset), f"{path}: {preset_name}: {name}")
