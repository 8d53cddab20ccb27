"""What a table spec holds: one YAML per table of a paper; imports no torch.

A spec names images (subsets), methods, models and entries (columns: a method in an arm); presets give sizes and budgets.
`spec_loading.py` reads and checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from defectbench.config import UserError, nearest

Composite = Literal["none", "improved_poisson", "poisson", "alpha"]
Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^\w[\w .+-]*$")]  # also of folders and files
ARMS_WITHOUT_METHOD = ("raw", "augment", "ideal")
Arm = Literal["raw", "augment", "ideal", "enlarge", "synthetic_only", "transfer"]
MIX, FILTER, REPLAY, FOREIGN = "mix", "filter", "replay", "foreign"
DERIVED = (MIX, FILTER, REPLAY, FOREIGN)
"""Words for `generator` of methods that train none: an equal share of several methods' images, what is left of one method's
images after rules, the training images again with all that is annotated, and a folder of images that another program made."""
NOT_IMPLEMENTED = "none"
"""Stands for the generator of a method that the paper compares and that does not exist here."""


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

    images: (
        Positive | Mapping[str, Positive]
    )  # images seen, over all stages; or by the subset learned from
    batch: Positive
    augment: tuple[str, ...] = ()
    balance: Literal["none", "defect"] = "defect"


class SampleSpec(Strict):
    """How many synthetic images are made."""

    per_defect: Positive | Mapping[str, Positive]  # images per defect type, or by subset/defect
    batch: Positive = 16
    joint: bool = False  # ask for all defects of a training image at once (multi-label datasets)
    restored: Annotated[int, Field(ge=0)] = (
        0  # also so many restored normals, of generators that can restore: synthetic normals for a source head
    )


class TaskSpec(Strict):
    """Budget and batches of a downstream training; the same for every arm."""

    steps: Positive
    batch: Positive
    evaluate_every: Positive  # steps between looks at the validation images
    select: Literal["best", "last"] = "best"
    normals: Annotated[int, Field(ge=0)] = 0  # real normal training images added to every arm
    augment: tuple[str, ...] = ()  # traditional augmentation that every arm gets
    ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = (
        None  # synthetic images per real one; None takes all that were made
    )
    balance: Literal["none", "defect", "halves"] = (
        "none"  # "defect" oversamples minority classes; "halves": as many normal as defective images
    )
    score_size: Literal["prepared", "own"] = (
        "prepared"  # "own" adds scores at the test masks' own size, to which the predictions are enlarged
    )

    def asked(self) -> dict[str, Any]:
        """Give what the id of a job holds: `score_size` only where it is not as it always was."""
        return self.model_dump(exclude={"score_size"} if self.score_size == "prepared" else None)


class Preset(Strict):
    """Sizes and budgets of one way to run the table."""

    about: str  # command, hardware, time, what to expect
    stand_in: StandInSpec | None = None  # None: the real data are required
    size: Positive  # side of the training images, pixels
    crop: Positive | None = None  # side of the patches cut from the images before resizing, pixels
    least_defect: Annotated[float, Field(ge=0, lt=1)] | None = None  # of a patch; None: 0.002
    normals_per_image: Positive = 4  # patches cut from each normal image
    masks: Literal["nearest", "area"] | None = (
        None  # how masks are shrunk; None: own images by area, others nearest
    )
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
    subsets: tuple[str, ...] = ()  # rows of the table that this preset runs; all by default
    scores: tuple[str, ...] = ()  # set metrics in place of the table's, e.g. without downloads

    @model_validator(mode="after")
    def _seeds_differ(self) -> Preset:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            given = ", ".join(map(str, self.seeds)) or "none"
            raise ValueError(f"seeds: give one or more, each once; found {given}")
        return self


class RulesSpec(Strict):
    """Rules that drop synthetic images, in this order; each is switched off by false or null.

    No rule reads validation or test images. `stages/filtering.py` says what each measures.
    """

    mask: bool = True  # drop images whose mask is empty or unusable
    on_object: float | None = 0.5  # least share of the mask on the object before a flat background
    visible: float | None = 10.0  # grey levels that the change from the normal must reach somewhere
    copies: float | None = 0.25  # least distance to a training image, over the median between those
    confidence: float | None = None  # share of each defect's images with the least confidence


class Method(Strict):
    """A generator under the name that the table prints."""

    generator: str  # "none": the paper has it, this suite has not; its cells say "not implemented"
    of: tuple[str, ...] = ()  # of "mix" and "filter": the methods whose images are taken
    rules: RulesSpec | None = None  # of "filter"
    folder: str = ""  # of "foreign": {seed} and {subset} in it are filled in; see --foreign
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    published: str = ""  # its name in published.csv, if that is another
    view: ViewSpec | None = None  # what it learns from, in place of the preset's


class Model(Strict):
    """A downstream task under the name that the table prints."""

    task: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    metrics: tuple[str, ...] = ()  # which of its scores are shown; the table's by default
    paper: bool = True  # whether the paper has this model


class ScoresSpec(Strict):
    """How the synthetic images themselves are scored, against the real test images."""

    metrics: tuple[str, ...]  # names of set metrics (`defectbench list metrics`)
    replicates: Positive = 200  # bootstrap resamples of each interval


class PrintedSpec(Strict):
    """Under which name and in which unit a paper prints one of our scores."""

    metric: str  # name in published.csv
    times: float = 1.0  # printed value over ours, e.g. 100 where the paper prints percent
    gain: bool = False  # True: the paper prints what the score gains, not the score
    comparable: bool = (
        True  # False: another protocol; shown beside ours, but no difference is taken
    )


class SubsetSpec(Strict):
    """Images of one product: a row of the table, or only something for generators to learn from."""

    product: str
    dataset: str = ""  # the table's by default
    defects: tuple[str, ...] = ()  # the table's for this product by default
    split: str = ""  # the table's by default
    row: bool = True  # whether it is a row of the table
    paper: bool = True  # whether the paper has this row; False for what we add
    arguments: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict
    )  # by generator, over the method's, where it learns from this subset alone


class EntrySpec(Strict):
    """One column of the table: a method in an arm."""

    arm: Arm
    method: str = "none"
    name: str = ""  # of the arm, as CSV and published.csv have it; the arm's own by default
    label: str = ""  # as printed; the method's or the arm's name by default
    pool: str = ""  # what the generator learns from: a pool or a subset; the row's own by default
    references: Literal["none", "all", "same", "others"] = "none"  # products to take references of
    labels: Mapping[str, str] = Field(default_factory=dict)  # what to ask for, by defect of the row
    real: Positive | None = None  # use at most so many training images of each defect, nested
    swap: Mapping[str, str] = Field(default_factory=dict)  # subsets to use in place of others
    models: tuple[str, ...] = ()  # only these models; all by default
    paper: bool = True  # whether the paper has this column; False for controls that we add
    arguments: Mapping[str, Any] = Field(default_factory=dict)  # over the model's
    task: Mapping[str, Any] = Field(default_factory=dict)  # over the preset's TaskSpec

    @property
    def arm_name(self) -> str:
        """Give the arm's name as CSVs have it."""
        return self.name or self.arm

    @property
    def variant(self) -> str:
        """Say what sets it apart from other entries besides method and arm: gains compare within a variant."""
        told = {
            "real": self.real,
            "swap": dict(self.swap),
            "arguments": dict(self.arguments),
            "task": {
                k: v for k, v in self.task.items() if k not in {"ratio", "balance", "score_size"}
            },
        }
        return "; ".join(f"{key} {value}" for key, value in told.items() if value)


Draw = Literal["once", "train_per_seed", "split_per_seed"]


class JudgementSpec(Strict):
    """Rules by which the table is judged, set down before its runs; part of no job."""

    primary: Mapping[str, str]  # the score that decides, by model
    gain: str = "a gain is a corrected p below 0.05 over raw"  # what counts as a gain, in words
    seeds: Annotated[int, Field(ge=2)] = 3  # fewest seeds that a comparison is judged from
    comparisons: tuple[str, ...] = ()  # methods or arms that are compared with raw; () for all


LayoutKey = Literal["dataset", "subset", "model", "label"]


class LayoutSpec(Strict):
    """How the Markdown table is laid out, as in the paper."""

    rows: tuple[LayoutKey, ...] = ("subset", "model")
    columns: LayoutKey = "label"


class TableSpec(Strict):
    """One table."""

    title: str
    paper: Name
    table: Name
    dataset: str
    products: tuple[str, ...] = ()  # short for subsets of the same names
    subsets: Mapping[str, SubsetSpec] = Field(default_factory=dict)
    pools: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)  # subsets learned together
    defects: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict
    )  # by product; all by default
    regroup: str = ""  # "dt_gan" or a YAML file: coarser classes in place of the dataset's defects
    split: str
    draw: Draw = "once"  # which sides of the split each seed draws anew: none, train and val, all
    methods: Mapping[str, Method] = Field(default_factory=dict)
    models: Mapping[str, Model] = Field(default_factory=dict)
    entries: tuple[EntrySpec, ...]
    metrics: tuple[str, ...] = ()
    scores: ScoresSpec | None = None
    average: str = ""  # name of a row with the mean over subsets, if the paper has one
    average_over: Literal["dataset", "table"] = "dataset"  # which subsets it is the mean over
    printed: Mapping[str, PrintedSpec] = Field(default_factory=dict)  # the paper's names of scores
    layout: LayoutSpec = LayoutSpec()
    judgement: JudgementSpec | None = None
    notes: str = ""
    presets: Mapping[str, Preset]

    @model_validator(mode="after")
    def _subsets_or_products(self) -> TableSpec:
        if bool(self.products) == bool(self.subsets):
            raise ValueError("give either products or subsets")
        lists = {"products": self.products, "metrics": self.metrics}
        lists |= {f"defects.{product}": names for product, names in self.defects.items()}
        lists |= {
            f"subsets.{name}.defects": subset.defects for name, subset in self.subsets.items()
        }
        lists |= {f"models.{name}.metrics": model.metrics for name, model in self.models.items()}
        for where, given in lists.items():
            if twice := [name for name in dict.fromkeys(given) if given.count(name) > 1]:
                raise ValueError(f"{where}: {twice[0]!r} stands there twice; remove one")
        for pool, members in self.pools.items():
            for member in members:
                if member not in self.images:
                    raise ValueError(
                        f"pools.{pool}: no subset {member!r}; {nearest(member, self.images)}"
                    )
        return self

    @model_validator(mode="after")
    def _entries_name_methods(self) -> TableSpec:
        seen: dict[tuple[str, str, str], int] = {}
        for number, entry in enumerate(self.entries):
            where = f"entries[{number}]"
            for model in entry.models or (*self.models, "scores"):
                key = (entry.method, entry.arm_name, model)
                if seen.setdefault(key, number) != number:
                    raise ValueError(
                        f"{where}: method {key[0]} and arm {key[1]} are entries[{seen[key]}] already; give it a name"
                    )
            for asked, known, what in (
                ([entry.pool] if entry.pool else [], {*self.pools, *self.images}, "pool"),
                ([*entry.swap, *entry.swap.values()], {*self.images}, "subset"),
                (entry.models, {*self.models}, "model"),
            ):
                for name in asked:
                    if name not in known:
                        raise ValueError(f"{where}: no {what} {name!r}; {nearest(name, known)}")
            if entry.arm == "transfer" and not entry.pool:
                raise ValueError(
                    f"{where}: arm transfer needs a pool: what the generator learns from"
                )
            if entry.arm in ARMS_WITHOUT_METHOD and entry.method != "none":
                raise ValueError(
                    f"{where}: arm {entry.arm} takes no method, found {entry.method!r}"
                )
            if entry.arm not in ARMS_WITHOUT_METHOD and entry.method not in self.methods:
                raise ValueError(
                    f"{where}: arm {entry.arm} needs a method, found {entry.method!r}; {nearest(entry.method, self.methods)}"
                )
        return self

    @model_validator(mode="after")
    def _derived_methods_name_methods(self) -> TableSpec:
        for name, method in self.methods.items():
            where, wanted = f"methods.{name}", method.generator in {MIX, FILTER}
            if bool(method.of) != wanted or (method.generator == FILTER and len(method.of) != 1):
                raise ValueError(
                    f"{where}: `of` names the methods of mix (two or more) or filter (one), and of no other generator"
                )
            if bool(method.rules) != (method.generator == FILTER):
                raise ValueError(f"{where}: `rules` belongs to generator filter, which needs it")
            if method.folder and method.generator != FOREIGN:
                raise ValueError(f"{where}: `folder` belongs to generator foreign")
            earlier = list(self.methods)[: list(self.methods).index(name)]
            for member in method.of:
                if member not in earlier:
                    raise ValueError(
                        f"{where}.of: no method {member!r} above this one; {nearest(member, earlier)}"
                    )
        for number, entry in enumerate(self.entries):
            chosen = self.methods.get(entry.method)
            if chosen and chosen.generator == FOREIGN and (entry.pool or entry.labels):
                raise ValueError(f"entries[{number}]: a foreign folder takes no pool and no labels")
        return self

    @property
    def images(self) -> Mapping[str, SubsetSpec]:
        """Give every set of images by name, rows of the table or not."""
        return self.subsets or {name: SubsetSpec(product=name) for name in self.products}

    def rows(self, preset: Preset) -> list[str]:
        """Give the names of the table's rows at a preset."""
        rows = [name for name, subset in self.images.items() if subset.row]
        return [name for name in rows if not preset.subsets or name in preset.subsets]

    @property
    def datasets(self) -> list[str]:
        """Give the names of all datasets."""
        return list(dict.fromkeys(s.dataset or self.dataset for s in self.images.values()))

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

    def task_spec(self, entry: EntrySpec, preset: Preset) -> TaskSpec:
        """Give the task budget of an entry under a preset."""
        changed = {**preset.task.model_dump(), **entry.task}
        return TaskSpec.model_validate(changed, strict=False)

    def scores_spec(self, preset: Preset) -> ScoresSpec | None:
        """Give how synthetic images are scored under a preset."""
        if self.scores is None or not preset.scores:
            return self.scores
        return ScoresSpec(metrics=preset.scores, replicates=self.scores.replicates)

    def fit_spec(self, method: str, preset: Preset) -> FitSpec:
        """Give the fit budget of a method under a preset."""
        changed = {**preset.fit.model_dump(), **preset.fits.get(method, {})}
        return FitSpec.model_validate(changed, strict=False)
