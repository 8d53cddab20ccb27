"""Plans synthetic images that no generator makes: mixtures, filtered sets, replayed training images, foreign folders.

Also says which cells cannot be had, before anything runs, e.g. because a dataset has no normal images.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from defectbench import names
from defectbench.config import UserError
from defectbench.data.files.scanning import GOOD
from defectbench.plan.job import Job
from defectbench.spec.table import FILTER, FOREIGN, MIX, NOT_IMPLEMENTED, REPLAY, EntrySpec, Method

if TYPE_CHECKING:
    from defectbench.plan.planner import Planner

DERIVED_REVISION = 1
"""Raised when a mixture, a filter or the reading of a foreign folder would give other images."""
NEEDS_NORMALS = "needs normal images"
KNOWS_NO_TYPES = "knows no defect types"


def synthetic(
    planner: Planner, row: str, entry: EntrySpec, seed: int
) -> tuple[str, dict[str, str]]:
    """Add the job that gives an entry's synthetic images for a row, and the fits behind it.

    Returns:
        id of the job, whose folder holds a `cache`, and ids of the fits by role.
    """
    method = planner.spec.methods[entry.method]
    if method.generator == FOREIGN:
        return _foreign(planner, row, entry, seed), {}
    if method.generator not in {MIX, FILTER, REPLAY}:
        return planner.sample(row, entry, seed)
    parents = {"data": planner.prepare(row, entry, seed)}
    fits: dict[str, str] = {}
    for number, member in enumerate(method.of):
        alike = entry.model_copy(update={"method": member, "label": ""})
        parents[f"from:{number:02d}"], found = synthetic(planner, row, alike, seed)
        fits |= {f"{number:02d}:{role}": job for role, job in found.items()}
    spec = {
        "rule": method.generator,
        "rules": None,
        "counts": planner.counts(row, entry),
        "revision": DERIVED_REVISION,
        "threads": planner.preset.threads,
        "seed": seed,
    }
    if method.rules:
        spec["rules"] = method.rules.model_dump()
        if method.rules.confidence is not None:
            parents["inspector"] = _inspector(planner, row, entry, seed)
    label = f"{method.generator} {entry.label or entry.method} {row} seed {seed}"
    return planner.add(Job("select", spec, parents, label)), fits


def _inspector(planner: Planner, row: str, entry: EntrySpec, seed: int) -> str:
    """Name the job that trains the table's first segmentation model on the entry's real images alone.

    Raises:
        UserError: the table has no such model.
    """
    raw = EntrySpec(arm="raw", swap=entry.swap, real=entry.real)
    for model, told in planner.spec.models.items():
        if told.task == "segmentation":
            jobs = planner.task_cell(row, raw, model).jobs
            return jobs[planner.preset.seeds.index(seed)]
    raise UserError(
        f"{planner.spec.name}: methods.{entry.method}.rules.confidence: looks through a segmentation model trained on real "
        "images, and the table has none; add one under models, or set confidence: null"
    )


def _foreign(planner: Planner, row: str, entry: EntrySpec, seed: int) -> str:
    """Add the job that reads a foreign folder."""
    template = planner.spec.methods[entry.method].folder
    folder = Path(template.replace("{seed}", str(seed)).replace("{subset}", row))
    digest = folder_digest(folder, f"{planner.spec.name}: methods.{entry.method}.folder")
    planner.foreign[digest] = folder
    spec = {"digest": digest, "revision": DERIVED_REVISION}
    parents = {"data": planner.prepare(row, entry, seed)}
    label = f"read {entry.label or entry.method} {row} seed {seed}"
    return planner.add(Job("foreign", spec, parents, label))


def folder_digest(folder: Path, where: str) -> str:
    """Hash names and bytes of all files below a folder: SHA-256, hexadecimal.

    Args:
        folder: the folder.
        where: what to call it in an error.

    Raises:
        UserError: there is no such folder, or it holds no file.
    """
    if not folder.is_dir():
        raise UserError(
            f"{where}: {folder}: no such folder; expected a folder that holds images/DEFECT/ and masks/DEFECT/"
        )
    whole = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise UserError(
            f"{where}: {folder}: holds no file; expected images/DEFECT/ and masks/DEFECT/"
        )
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def lacking(planner: Planner, row: str, entry: EntrySpec, model: str = "") -> str:
    """Say why an entry cannot have a cell on a row, from what is known before anything runs.

    Args:
        planner: the planner.
        row: name of the row.
        entry: the column.
        model: the downstream model; empty for scores of the images.

    Returns:
        the reason; empty if nothing is in the way.
    """
    method = planner.spec.methods.get(entry.method)
    if method is None:
        return ""
    if method.generator == NOT_IMPLEMENTED:
        return "not implemented"
    if method.generator == FOREIGN:
        return "" if method.folder else f"needs a folder: --foreign {entry.method}=FOLDER"
    if method.generator == REPLAY:
        return ""
    if method.of:
        members = (entry.model_copy(update={"method": member}) for member in method.of)
        return next((why for each in members if (why := lacking(planner, row, each, model))), "")
    return _unable(planner, row, entry, model)


def _unable(planner: Planner, row: str, entry: EntrySpec, model: str) -> str:
    """Say why a generator cannot serve a row; empty if it can."""
    method = planner.spec.methods[entry.method]
    facts = names.find("generators", method.generator).facts
    if not facts.get("draws_labels", True) and model and _learns_types(planner, model):
        return KNOWS_NO_TYPES
    if _needs_normals(planner, method, entry.method):
        members_of = planner.spec.pools.get(entry.pool, (entry.pool,) if entry.pool else (row,))
        where = {entry.swap.get(name, name) for name in (row, *members_of)}
        if not all(_has_normals(planner, name) for name in where):
            return NEEDS_NORMALS
    return ""


def _learns_types(planner: Planner, model: str) -> bool:
    """Whether a downstream model tells defect types apart: all tasks but those on masks alone."""
    needs = names.find("tasks", planner.spec.models[model].task).facts.get("needs", frozenset())
    return bool(needs != {"mask"})


def _needs_normals(planner: Planner, method: Method, name: str) -> bool:
    """Whether a generator learns from normal images, starts from them, or draws contents that are blended into them."""
    facts = names.find("generators", method.generator).facts
    if "normal" in facts.get("streams", frozenset()) | facts.get("reads", frozenset()):
        return True
    contents = planner.view(name, facts).name == "contents"
    return contents and planner.preset.composite != "none"


def _has_normals(planner: Planner, name: str) -> bool:
    """Whether a subset's product has normal images, as the images or the dataset's published counts say."""
    subset = planner.spec.images[name]
    dataset = planner.dataset_of(subset)
    if subset.product in planner.sources[dataset].without_normals:
        return False
    counted = [
        key for key in planner.datasets[dataset].counts if key.startswith(f"{subset.product}/")
    ]
    return not counted or any(key.endswith(f"/{GOOD}") for key in counted)
