"""Manifests out again, in the formats that other tools read: `export(manifest, "coco", folder)`.

Each format is a module with its rules in its docstring. An export is a folder of its own, complete or absent: it is
written under a temporary name and renamed. It never holds links to the user's files, for some readers rewrite images.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from defectbench.config import UserError, nearest
from defectbench.data.export import coco, huggingface, image_folder, mvtec, yolo
from defectbench.data.export.items import Classes, Holes, Item, Options, Writer, items_of
from defectbench.data.licence import Licence
from defectbench.data.manifest import Manifest

Write = Callable[[Writer, list[Item]], dict[str, Any]]


@dataclass(frozen=True)
class Format:
    """How one format is written, and which options it reads."""

    write: Write
    options: frozenset[str]


FORMATS: Final[Mapping[str, Format]] = {
    "mvtec": Format(mvtec.write, frozenset()),
    "yolo": Format(yolo.write_detect, frozenset({"classes", "min_area"})),
    "yolo-seg": Format(yolo.write_segment, frozenset({"classes", "min_area", "holes"})),
    "coco": Format(coco.write, frozenset({"classes", "min_area", "holes", "polygons"})),
    "image-folder": Format(image_folder.write, frozenset({"classes"})),
    "huggingface": Format(huggingface.write, frozenset({"classes"})),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        images: number of images.
        notes: what the user must know: licence, images left out, splits and classes that a reader may mistake.
    """

    folder: Path
    images: int
    notes: tuple[str, ...]


def export(
    manifest: Manifest,
    to: str,
    out: Path,
    *,
    classes: Classes | None = None,
    min_area: int | None = None,
    polygons: bool | None = None,
    holes: Holes | None = None,
    licence: Licence | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the images of a manifest, real or synthetic, with their labels.

    Images without a split are exported as `train`. Regions are 8-connected components of the binary mask. An image with
    several defects and one mask gets the class `a+b`.

    Args:
        manifest: what to export.
        to: a name of `FORMATS`.
        out: folder to make; it must not exist, or be empty.
        classes: what a class is: `"defect"` (default), `"product_defect"`, or `"single"`: one class, `defect`.
        min_area: pixels of the smallest region exported; 1 by default.
        polygons: COCO only: polygons instead of run lengths.
        holes: in polygons, `"bridge"` (default) keeps holes by a line of no width that leads to them; `"fill"` fills them.
        licence: what to say of the licence; by default what the dataset's adapter says.
        progress: called with images done and images in all.

    Raises:
        UserError: no such format; an option that it does not read; the folder is not empty; nothing can be written.
        UserErrors: images or masks that cannot be used, all of them.
    """
    if to not in FORMATS:
        raise UserError(f"no export format {to!r}; {nearest(to, FORMATS)}")
    given = {"classes": classes, "min_area": min_area, "polygons": polygons, "holes": holes}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in FORMATS[to].options:
            raise UserError(
                f"format {to!r} has no option {name!r}; {nearest(name, FORMATS[to].options)}"
            )
    for name, allowed in (("classes", get_args(Classes)), ("holes", get_args(Holes))):
        if chosen.get(name, allowed[0]) not in allowed:
            raise UserError(f"{name} is {chosen[name]!r}; wants one of {', '.join(allowed)}")
    options = Options(**chosen)
    if options.min_area < 1:
        raise UserError(f"min_area is {options.min_area}; wants 1 pixel or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not empty; give a new folder")
    licence = licence or _licence_of(manifest)
    partial = out.absolute().parent / f".{out.name}.partial"
    if partial.exists():
        shutil.rmtree(partial)  # ours, of an interrupted export
    partial.mkdir(parents=True)
    try:
        notes = [*_terms(manifest, licence), *manifest.remarks]
        writer = Writer(manifest, partial, options, licence.name, notes, progress)
        rules = FORMATS[to].write(writer, items_of(manifest, options.classes))
        writer.finish(to, rules)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(out, writer.written, tuple(writer.notes))


def _licence_of(manifest: Manifest) -> Licence:
    """Ask the adapter of the manifest's dataset; a dataset that nobody knows has no licence that we know of."""
    from defectbench.names import entries, find

    if manifest.dataset not in entries("datasets"):
        return Licence("not known", None)
    licence = find("datasets", manifest.dataset).load().licence
    return licence if isinstance(licence, Licence) else Licence("not known", None)


def _terms(manifest: Manifest, licence: Licence) -> list[str]:
    """Say what the licence means for who takes these images along."""
    if manifest.stand_in:
        return [f"Stand-ins drawn by defectbench: these are not images of {manifest.dataset}."]
    if licence.commercial is True:
        return [f"Licence of {manifest.dataset}: {licence.name}; it goes with images made from it."]
    use = "no commercial use" if licence.commercial is False else "commercial use is unclear"
    return [
        f"Licence of {manifest.dataset}: {licence.name}; {use}. This holds for synthetic images made from it as well."
    ]
