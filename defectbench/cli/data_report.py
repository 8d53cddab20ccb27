"""The report of `data check`: a table for people, fields for programs, a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from defectbench.cli.app import console
from defectbench.config import UserError

if TYPE_CHECKING:
    from defectbench.data.manifest import Manifest
    from defectbench.datasets.base import Dataset
    from defectbench.single.checking import Report

TALL = 40
"""Groups of images (product and defect types) from which on a contact sheet has smaller tiles."""


def write_sheet(manifest: Manifest, path: Path) -> Path:
    """Write a contact sheet; the suffix says the format.

    Raises:
        UserError: an image cannot be decoded.
    """
    from PIL import Image

    from defectbench.data.files.decoding import BadFile
    from defectbench.single.checking import contact_sheet

    kinds = manifest.table.groupby(["product", "defects"]).ngroups
    try:
        pixels = contact_sheet(manifest, size=160 if kinds < TALL else 96)
    except BadFile as error:
        raise UserError(f"{manifest.root}: {error}; check it without --quick") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _use(dataset: Dataset) -> str:
    return {True: "allowed", False: "not allowed", None: "unclear"}[dataset.licence.commercial]


def report_fields(
    name: str, dataset: Dataset, report: Report, sheet: Path | None
) -> dict[str, Any]:
    """Return the report as fields, for programs."""
    counts = []
    for count in report.counts:
        product, split, defect = count.kind.rsplit("/", 2)
        kind = {"product": product, "split": split, "defect": defect}
        counts.append({**kind, "found": count.found, "expected": count.expected})
    return {
        "dataset": name,
        "title": report.title,
        "root": str(report.root),
        "usable": report.usable,
        "stand_in": report.manifest.stand_in if report.manifest else None,
        "images": len(report.manifest) if report.manifest else None,
        "licence": dataset.licence.name,
        "commercial_use": dataset.licence.commercial,
        "mask_rule": dataset.mask_rule,
        "counts": counts,
        "notes": list(report.notes),
        "problems": list(report.problems),
        "sheet": str(sheet) if sheet else None,
    }


def print_report(dataset: Dataset, report: Report, sheet: Path | None) -> None:
    """Print the report for people; the caller reports the problems on standard error."""
    from rich.markup import escape
    from rich.table import Table

    console.print(f"{report.title} at {report.root}", style="bold", markup=False, soft_wrap=True)
    for title, text in (
        ("licence", dataset.licence.name),
        ("commercial use", _use(dataset)),
        ("mask", dataset.mask_rule),
        ("cite", dataset.citation),
    ):
        console.print(f"{title}: {text}", markup=False, soft_wrap=True)
    if report.manifest is not None:
        drawn = report.manifest.stand_in
        table = Table("product", "split", "defect")
        for title in ("found", "published", "difference"):
            table.add_column(title, justify="right")
        for count in report.counts:
            published = "" if count.expected is None else str(count.expected)
            differs = count.differs and not drawn
            change = f"{count.found - (count.expected or 0):+d}" if differs else ""
            style = "yellow" if differs else None
            table.add_row(
                *map(escape, count.kind.rsplit("/", 2)),
                str(count.found),
                published,
                change,
                style=style,
            )
        console.print(table)
        console.print(f"{len(report.manifest)} images")
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    if sheet is not None:
        console.print(f"contact sheet: {sheet}", markup=False, soft_wrap=True)
    if report.usable:
        console.print("no broken files", style="green")
