"""A sweep file: tables x seeds x changed keys, as one table per case; imports no torch.

Every combination of `vary` and every mapping of `cases` is a case of each table. A key is a path into the preset
(`fit.images`, `task.ratio`, `arguments.dcdgan_c.base`), or into the table where the preset has no such key (`dataset`,
`products`, `split`).
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from defectbench import names
from defectbench.config import UserError, UserErrors, load_yaml, nearest
from defectbench.spec.loading import as_tuples, load_table, whole_content
from defectbench.spec.table import (
    FitSpec,
    Preset,
    SampleSpec,
    StandInSpec,
    TableSpec,
    TaskSpec,
    ViewSpec,
)

PARTS: Mapping[str, type[BaseModel]] = {
    "stand_in": StandInSpec,
    "view": ViewSpec,
    "fit": FitSpec,
    "sample": SampleSpec,
    "task": TaskSpec,
}
NOT_VARIED = {"presets", "paper", "table", "title", "seeds"}


class SweepSpec(BaseModel):
    """What a sweep file holds.

    Attributes:
        title: for people.
        tables: names, or YAML files.
        preset: of all of them.
        seeds: in place of the preset's; none for those.
        vary: the values of each key; every combination is a case.
        cases: further cases, by their keys and values.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: str = ""
    tables: tuple[str, ...] = Field(min_length=1)
    preset: str = "smoke"
    seeds: tuple[int, ...] = ()
    vary: Mapping[str, tuple[Any, ...]] = Field(default_factory=dict)
    cases: tuple[Mapping[str, Any], ...] = ()

    @property
    def keys(self) -> list[str]:
        """Give every key that some case changes, in the file's order."""
        return list(dict.fromkeys([*self.vary, *(key for case in self.cases for key in case)]))

    def values(self) -> list[dict[str, Any]]:
        """Give the keys and values of each case; one without any if nothing is varied."""
        combinations = [
            dict(zip(self.vary, chosen, strict=True))
            for chosen in itertools.product(*self.vary.values())
        ]
        if self.cases and not self.vary:
            combinations = []
        return [*combinations, *map(dict, self.cases)]


@dataclass(frozen=True)
class Case:
    """One table of a sweep.

    Attributes:
        of: name of the table that was changed.
        values: what was changed, by key.
        content: the changed table.
    """

    of: str
    values: Mapping[str, Any]
    content: Mapping[str, Any]

    def value(self, key: str) -> Any:
        """Give the value of a key, changed or not; None where the table leaves it to its default."""
        (preset,) = self.content["presets"].values()
        steps = key.split(".")
        found: Any = preset if steps[0] in Preset.model_fields else self.content
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        return found

    @property
    def stem(self) -> str:
        """Name of its files, the same however many other cases there are."""
        return str(self.content["table"])


def load_sweep(path: Path) -> SweepSpec:
    """Read a sweep file.

    Raises:
        UserError: a key or value is not as expected.
    """
    content = as_tuples(load_yaml(path))
    try:
        spec = SweepSpec.model_validate(content)
    except ValidationError as error:
        raise UserErrors(f"{path}: not a sweep", [_problem(e) for e in error.errors()]) from None
    for key, values in spec.vary.items():
        if not values:
            raise UserError(f"{path}: vary.{key}: found no value; give at least one")
    for where in (*(f"vary.{key}" for key in spec.vary), *_places(spec.cases)):
        _check_key(path, where)
    return spec


def _places(cases: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    for number, case in enumerate(cases):
        yield from (f"cases.{number}.{key}" for key in case)


def _check_key(path: Path, where: str) -> None:
    """Refuse a key that neither presets nor tables have."""
    steps = where.split(".")[2 if where.startswith("cases.") else 1 :]
    known = {*Preset.model_fields, *TableSpec.model_fields} - NOT_VARIED
    if steps[0] not in known:
        cure = "give `seeds` and `preset` at the top; " if steps[0] in {"seeds", "presets"} else ""
        raise UserError(f"{path}: {where}: not a key to vary; {cure}{nearest(steps[0], known)}")
    part = PARTS.get(steps[0])
    if part and len(steps) > 1 and steps[1] not in part.model_fields:
        raise UserError(f"{path}: {where}: unknown key; {nearest(steps[1], part.model_fields)}")


def _problem(error: Mapping[str, Any]) -> str:
    steps = [str(step) for step in error["loc"]]
    key = ".".join(steps)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(steps[0], SweepSpec.model_fields)}"
    if error["type"] == "missing":
        return f"{key}: missing key; add it"
    return f"{key}: found {error['input']!r}; {str(error['msg']).lower()}"


def expand(spec: SweepSpec, name: str, path: Path) -> list[Case]:
    """Make the tables of a sweep.

    Args:
        spec: the sweep.
        name: its name, which the results of its tables go by.
        path: its file, for messages.

    Raises:
        UserError: a table or preset does not exist, or a key leads nowhere.
    """
    found: dict[str, Case] = {}
    for table in spec.tables:
        place = names.find_table(table)
        of = load_table(place).name
        content = whole_content(place)
        if spec.preset not in content["presets"]:
            raise UserError(
                f"{path}: preset: {of} has no {spec.preset!r}; {nearest(spec.preset, content['presets'])}"
            )
        for values in spec.values():
            case = _case(spec, name, of, content, values, path)
            found.setdefault(case.stem, case)
    return list(found.values())


def _case(
    spec: SweepSpec,
    name: str,
    of: str,
    table: Mapping[str, Any],
    values: Mapping[str, Any],
    path: Path,
) -> Case:
    content = copy.deepcopy(dict(table))
    preset = content["presets"][spec.preset]
    if spec.seeds:
        preset["seeds"] = list(spec.seeds)
    for key, value in values.items():
        steps = key.split(".")
        within = preset if steps[0] in Preset.model_fields else content
        for number, step in enumerate(steps[:-1]):
            within = within.setdefault(step, {})
            if not isinstance(within, dict):
                raise UserError(
                    f"{path}: {key}: {'.'.join(steps[: number + 1])} of {of} is {within!r} and has no keys"
                )
        within[steps[-1]] = json.loads(json.dumps(value))
    told = ", ".join(f"{key} {value}" for key, value in values.items())
    text = json.dumps([values, spec.seeds], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    content |= {
        "title": f"{content['title']}: {told}" if told else content["title"],
        "paper": f"sweep_{name}",
        "table": f"{of.replace('/', '_')}_{digest}",
        "presets": {spec.preset: preset},
    }
    return Case(of, dict(values), content)
