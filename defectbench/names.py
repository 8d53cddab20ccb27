"""Find generators, datasets, tasks and tables by name, without importing torch until asked to load one.

A file's name is the public name: `generators/star_gan.py` is `star_gan`. What a class takes and says of itself is read
from its source with `ast`, so listing, planning and checking a table need no torch. Installed packages add theirs under
the entry-point groups `defectbench.generators`, `defectbench.datasets` and `defectbench.tasks`; an entry's value names a
module that holds one class.
"""

from __future__ import annotations

import ast
import collections.abc
import importlib
import importlib.util
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from defectbench.config import UserError, nearest

Kind = Literal["generators", "datasets", "tasks"]
PACKAGE = Path(__file__).parent
KINDS: Mapping[str, tuple[str, str]] = {
    "generators": ("generators", "Generator"),
    "datasets": ("datasets", "Dataset"),
    "tasks": ("tasks", "Task"),
}
FROM_DATA = frozenset({"size", "defects", "products", "steps"})
"""Constructor arguments that the data and the table give; a spec may not."""
REQUIRED: Any = object()


@dataclass(frozen=True)
class Argument:
    """One keyword-only constructor argument, as written in the source."""

    name: str
    annotation: str
    default: Any = REQUIRED


@dataclass(frozen=True)
class Entry:
    """One named thing, as far as its source tells.

    Attributes:
        facts: class attributes with literal values, e.g. `revision`.
        arguments: what a table may set.
    """

    kind: str
    name: str
    module: str
    cls: str
    doc: str
    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.doc.strip().splitlines()[0] if self.doc.strip() else ""

    def load(self) -> Any:
        """Import the module and give its class."""
        return getattr(importlib.import_module(self.module), self.cls)

    def check(self, given: Mapping[str, Any], where: str) -> None:
        """Check arguments of a table against the constructor's signature.

        Raises:
            UserError: an argument is unknown or of the wrong type; names `where`, key and what was expected.
        """
        for key, value in given.items():
            if key not in self.arguments:
                raise UserError(
                    f"{where}.{key}: {self.name} has no argument {key!r}; {nearest(key, self.arguments)}"
                )
            problem = _type_problem(self.arguments[key].annotation, value)
            if problem:
                raise UserError(f"{where}.{key}: {problem}")


def _type_problem(annotation: str, value: Any) -> str:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    known = {**vars(typing), **vars(collections.abc)}
    try:
        expected = eval(annotation, known)
    except NameError:  # a type of the module's own: its constructor checks it
        return ""
    try:
        TypeAdapter(expected, config=ConfigDict(strict=False)).validate_python(
            value, strict=not isinstance(value, list)
        )
    except ValidationError as error:
        return f"expected {annotation}, found {value!r} ({error.errors()[0]['msg'].lower()})"
    return ""


def _literal(node: ast.expr) -> Any:
    """Evaluate a literal; `frozenset({...})` and `dict(...)` of literals count as such."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "frozenset":
            return frozenset(ast.literal_eval(node.args[0])) if node.args else frozenset()
        if node.func.id == "MappingProxyType":
            return ast.literal_eval(node.args[0])
    return ast.literal_eval(node)


def _read(kind: str, name: str, module: str, path: Path) -> Entry | None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    base = KINDS[kind][1]
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        if base not in {getattr(b, "id", getattr(b, "attr", "")) for b in node.bases}:
            continue
        facts: dict[str, Any] = {}
        arguments: dict[str, Argument] = {}
        for item in node.body:
            target = None
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                target = item.target.id
            elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                target = item.targets[0].id
            value = getattr(item, "value", None)
            if target and value is not None:
                try:
                    facts[target] = _literal(value)
                except ValueError:
                    continue
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                for argument, default in zip(
                    item.args.kwonlyargs, item.args.kw_defaults, strict=True
                ):
                    if argument.arg in FROM_DATA:
                        continue
                    try:
                        literal = REQUIRED if default is None else _literal(default)
                    except ValueError:
                        literal = ast.unparse(default) if default else REQUIRED
                    arguments[argument.arg] = Argument(
                        name=argument.arg,
                        annotation=ast.unparse(argument.annotation)
                        if argument.annotation
                        else "Any",
                        default=literal,
                    )
        return Entry(
            kind=kind,
            name=name,
            module=module,
            cls=node.name,
            doc=ast.get_docstring(node) or "",
            path=path,
            facts=facts,
            arguments=arguments,
        )
    return None


@cache
def entries(kind: Kind) -> Mapping[str, Entry]:
    """List what there is of a kind by name: the files of its folder, then installed packages'.

    Raises:
        UserError: an installed package advertises a name that is taken or a module without such a class.
    """
    folder, base = KINDS[kind]
    found: dict[str, Entry] = {}
    for path in sorted((PACKAGE / folder).glob("*.py")):
        if path.stem in {"__init__", "base"}:
            continue
        entry = _read(kind, path.stem, f"defectbench.{folder}.{path.stem}", path)
        if entry:
            found[path.stem] = entry
    for point in entry_points(group=f"defectbench.{kind}"):
        spec = importlib.util.find_spec(point.value)
        source = Path(spec.origin) if spec and spec.origin else None
        entry = _read(kind, point.name, point.value, source) if source else None
        if entry is None:
            raise UserError(
                f"entry point defectbench.{kind}: {point.name} = {point.value} holds no class "
                f"derived from {base}; mend or uninstall that package"
            )
        if point.name in found:
            raise UserError(
                f"entry point defectbench.{kind}: {point.name} is taken; rename it in {point.value}"
            )
        found[point.name] = entry
    return found


def find(kind: Kind, name: str, where: str = "") -> Entry:
    """Look a name up.

    Raises:
        UserError: there is none of that name; the message gives the nearest and lists all.
    """
    known = entries(kind)
    if name not in known:
        at = f"{where}: " if where else ""
        raise UserError(f"{at}no {kind.removesuffix('s')} {name!r}; {nearest(name, known)}")
    return known[name]


def tables_folder() -> Path:
    """Give the folder of table specs: the checkout's `benchmarks/`, or the one inside the wheel."""
    checkout = PACKAGE.parent / "benchmarks"
    return checkout if (checkout / "published.csv").is_file() else PACKAGE / "_benchmarks"


def tables() -> Mapping[str, Path]:
    """List the table specs by name, e.g. `dcdgan_c/table5`."""
    folder = tables_folder()
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(folder.glob("*/*.yaml"))}


def find_table(name: str) -> Path:
    """Find a table by name, or by the path of a YAML file.

    Raises:
        UserError: there is none; the message gives the nearest.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"{path}: no such file; give a table's name or a YAML file")
        return path
    known = tables()
    if name not in known:
        raise UserError(f"no table {name!r}; {nearest(name, known)}")
    return known[name]


ABILITIES: Mapping[str, str] = {
    "normal": "start from a given normal image",
    "mask": "place the defect inside a given mask or box",
    "several": "draw several defects into one image",
    "reference": "take the defect from a reference image",
    "style": "take shape and style of a defect from two images, or draw a style",
    "interpolation": "interpolate between labels",
    "restoration": "restore a defective image to a normal one",
}
"""What a generator may be asked for besides a label, by the word for it in `reads` and `takes`."""


def is_able(entry: Entry, ability: str) -> bool:
    """Whether a generator can be asked for one of `ABILITIES`."""
    facts = entry.facts
    return ability in facts.get("reads", ()) or ability in facts.get("takes", ())


def title(entry: Entry) -> str:
    """Say how a generator is printed where it meets a number: its class fact `title`, or its name."""
    return str(entry.facts.get("title") or entry.name)


def abilities(entry: Entry) -> list[str]:
    """Say what a generator can be asked for besides a label, from its class facts."""
    found = []
    for ability, words in ABILITIES.items():
        if is_able(entry, ability):
            needed = " (it must be given one)" if ability in entry.facts.get("reads", ()) else ""
            found.append(words + needed)
    source = entry.facts.get("mask_source", "none")
    if source == "watershed":
        found.append("have what it draws blended into any normal image, of another product too")
    if source != "none":
        found.append(f"return a mask ({source})")
    return found


def check_ability(entry: Entry, ability: str, option: str) -> None:
    """Refuse what a generator cannot do.

    Raises:
        UserError: names option, generator, ability, and the generators that have it.
    """
    if not is_able(entry, ability):
        having = [e.name for e in entries("generators").values() if is_able(e, ability)]
        raise UserError(
            f"{option}: {entry.name} cannot {ABILITIES[ability]}; those that can: "
            f"{', '.join(having) or '(none)'}"
        )


SIZE_FACTS = ("least_size", "multiple_of", "power_of_two")
"""Class facts of a generator that say which images it takes."""


def check_size(name: str, facts: Mapping[str, Any], size: int) -> None:
    """Refuse images of a size that a generator's networks cannot take.

    Args:
        name: of the generator.
        facts: its class facts; those of `SIZE_FACTS` that it does not state have their defaults.
        size: side of the images, pixels.

    Raises:
        UserError: names generator and size, and says which sizes go.
    """
    least, step = int(facts.get("least_size", 8)), int(facts.get("multiple_of", 1))
    doubling = bool(facts.get("power_of_two", False))
    if size < least or size % step or (doubling and size & (size - 1)):
        kind = "a power of two" if doubling else f"a multiple of {step}" if step > 1 else "a number"
        raise UserError(f"{name}: size is {size}; wants {kind}, at least {least}, e.g. 64 or 128")


def check_batch(name: str, facts: Mapping[str, Any], batch: int, devices: int = 1) -> None:
    """Refuse a batch that leaves a device too few images.

    Args:
        name: of the generator.
        facts: its class facts; `least_batch` is 1 if it does not state it.
        batch: images per step, on all devices together.
        devices: how many share a step.

    Raises:
        UserError: names generator and batch, and says which batches go.
    """
    least = int(facts.get("least_batch", 1))
    if batch % devices or batch // devices < least:
        shared = f" on {devices} devices" if devices > 1 else ""
        step = f"a multiple of {devices}, " if devices > 1 else ""
        raise UserError(f"{name}: batch is {batch}{shared}; wants {step}at least {least * devices}")


def metric_summaries() -> dict[str, str]:
    """List metrics: the scores of every task, and the set metrics of `metrics/`; name and what it is."""
    found: dict[str, str] = {}
    for task, entry in entries("tasks").items():
        for metric, direction in entry.facts.get("better", {}).items():
            found[metric] = f"{task} score, {direction} is better"
    catalogue = PACKAGE / "metrics" / "parts" / "catalogue.py"
    if catalogue.is_file():
        module = importlib.import_module("defectbench.metrics.parts.catalogue")
        found |= dict(module.SUMMARIES)
    return found
