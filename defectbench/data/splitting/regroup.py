"""Defect types put together to coarser classes by a YAML file, as DT-GAN does; see `regroup_dt_gan.yaml`, which is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from defectbench.config import UserError, UserErrors, load_yaml, nearest
from defectbench.data.files.boxes import rename_boxes
from defectbench.data.manifest import BOXES, Manifest

DT_GAN: Final = Path(__file__).with_name("regroup_dt_gan.yaml")
SKIP: Final = "skip"
"""Stands for a type that fits no group: its images are left out."""


@dataclass(frozen=True)
class Regrouping:
    """Which group each defect type belongs to.

    Attributes:
        groups: names of the groups; they become the defects of the manifest.
        datasets: group, or `skip`, by dataset, product and type.
        status: whose mapping it is, e.g. `"ours"`.
        path: where it was read.
    """

    groups: tuple[str, ...]
    datasets: Mapping[str, Mapping[str, Mapping[str, str]]]
    status: str
    path: Path


def load_regrouping(path: Path = DT_GAN) -> Regrouping:
    """Read a mapping: keys `status`, `groups` (a list of names) and `datasets` (dataset, product, type: group or `skip`).

    Raises:
        UserErrors: all mistakes in the file.
        UserError: the file cannot be read.
    """
    content = load_yaml(path)
    problems = [
        f"{name}: no such key; {nearest(name, ('status', 'groups', 'datasets'))}"
        for name in sorted({*content} - {"status", "groups", "datasets"})
    ]
    groups = content.get("groups")
    if not isinstance(groups, list) or not groups or not all(isinstance(g, str) for g in groups):
        raise UserErrors(str(path), [*problems, f"groups: wants a list of names, found {groups!r}"])
    datasets: dict[str, dict[str, dict[str, str]]] = {}
    for dataset, products in _mapping(content, "datasets", problems):
        datasets[dataset] = {}
        for product, types in _mapping({dataset: products}, dataset, problems):
            at = f"{dataset}.{product}"
            datasets[dataset][product] = {}
            for defect, group in _mapping({at: types}, at, problems):
                if group not in (*groups, SKIP):
                    problems.append(
                        f"{at}.{defect}: {group!r}; wants one of {', '.join(groups)}, {SKIP}"
                    )
                datasets[dataset][product][defect] = str(group)
    if problems:
        raise UserErrors(str(path), problems)
    return Regrouping(tuple(groups), datasets, str(content.get("status", "not said")), path)


def regroup(manifest: Manifest, regrouping: Regrouping | None = None) -> Manifest:
    """Replace the defects of a manifest by their groups.

    Groups exclude one another: an image whose defects belong to several, or to none, is left out. Products that are not
    listed, or of which no type is kept, are left out with their normal images.

    Args:
        manifest: a dataset that the mapping lists.
        regrouping: the mapping; `regroup_dt_gan.yaml` by default.

    Raises:
        UserError: the mapping does not list the dataset, lacks a type that occurs, or nothing is left.
    """
    regrouping = regrouping or load_regrouping()
    if manifest.dataset not in regrouping.datasets:
        raise UserError(
            f"{regrouping.path}: does not list dataset {manifest.dataset!r}; "
            f"{nearest(manifest.dataset, regrouping.datasets)}"
        )
    listed = {
        product: types
        for product, types in regrouping.datasets[manifest.dataset].items()
        if any(group != SKIP for group in types.values())
    }
    products = tuple(product for product in manifest.products if product in listed)
    table = manifest.table[manifest.table["product"].isin(products)].copy()
    missing = sorted(
        {
            f"{manifest.dataset}.{product}.{defect}"
            for product, defects in zip(table["product"], table["defects"], strict=True)
            for defect in defects
            if defect not in listed[product]
        }
    )
    if missing:
        raise UserErrors(
            f"{regrouping.path}: lacks types that occur",
            [f"{name}: give it a group or {SKIP}" for name in missing],
        )
    groups = [
        {listed[product][defect] for defect in defects}
        for product, defects in zip(table["product"], table["defects"], strict=True)
    ]
    kept = [len(found) == 0 or (len(found) == 1 and SKIP not in found) for found in groups]
    table["defects"] = [tuple(found) for found in groups]
    if manifest.has_boxes:
        table[BOXES] = [
            rename_boxes(text, {k: None if v == SKIP else v for k, v in listed[product].items()})
            for product, text in zip(table["product"], table[BOXES], strict=True)
        ]
    table = table[kept].reset_index(drop=True)
    if not len(table):
        raise UserError(f"{regrouping.path}: leaves no image of {manifest.dataset}; keep some type")
    return replace(manifest, table=table, defects=regrouping.groups, products=products)


def _mapping(content: Mapping[str, Any], name: str, problems: list[str]) -> list[tuple[str, Any]]:
    """List the items of a mapping under a key; anything else is a problem."""
    value = content.get(name)
    if not isinstance(value, dict):
        problems.append(f"{name}: wants a mapping, found {value!r}")
        return []
    return [(str(k), v) for k, v in value.items()]
