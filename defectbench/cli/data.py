"""Commands on datasets: data check, data standin, data prepare, data fetch, and export. None of them imports torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from defectbench import names
from defectbench.cli.app import app, console, errors
from defectbench.cli.data_report import print_report, report_fields, write_sheet
from defectbench.cli.tables import AsJson, DataRoot, Unlabelled, say
from defectbench.config import UserError, UserErrors
from defectbench.files import keep_out

if TYPE_CHECKING:
    from defectbench.data.manifest import Manifest
    from defectbench.datasets.base import Dataset

data_app = typer.Typer(
    help="Datasets: check files, render stand-ins, make an image cache, download.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(data_app, name="data")

SHEETS = {".png", ".jpg", ".jpeg"}

Name = Annotated[str, typer.Argument(help="Name of a dataset (`defectbench list datasets`).")]
Products = Annotated[
    list[str] | None,
    typer.Option("--product", metavar="P", help="Only this product; may be repeated."),
]
Rule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Split rule: official, one_third, fraction(test=0.4), few_shot(5), k_fold(5, 0), … (docs/datasets.md). "
        "Without it the images keep the publisher's split.",
    ),
]


class Progress(Protocol):
    """Signature of the callback that shows progress."""

    def __call__(self, done: int, total: int | None, /) -> None:
        """Show `done` of `total` images or bytes."""


@data_app.command()
def check(
    name: Name,
    data: DataRoot = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Contact sheet to write, with masks outlined (.png, .jpg)."
        ),
    ] = None,
    product: Products = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Read file headers only; do not decode images.")
    ] = False,
    unlabelled: Unlabelled = "",
    as_json: AsJson = False,
) -> None:
    """Check a dataset: list every broken file, and compare the numbers of images with the published ones.

    Numbers that differ from the published ones are reported, but are not errors. The command writes only the sheet.

    Examples:

    `defectbench data check mtd --data /datasets`

    `defectbench data check mvtec_ad --data /datasets --product wood --sheet wood.png --json`
    """
    from defectbench.single.checking import check as check_dataset

    dataset = _dataset(name, unlabelled)
    folder = _find(dataset, data)
    if sheet is not None:
        if sheet.suffix.lower() not in SHEETS:
            raise UserError(
                f"--sheet {sheet}: unknown file type; expected a name that ends in {', '.join(sorted(SHEETS))}"
            )
        keep_out(sheet, folder, "--sheet")
    with _bar("decoding", quiet=as_json) as progress:
        report = check_dataset(dataset, folder, product, deep=not quick, progress=progress)
    written = None
    if sheet is not None and report.manifest is not None and report.usable:
        written = write_sheet(report.manifest, sheet)
    if as_json:
        typer.echo(json.dumps(report_fields(name, dataset, report, written)))
    else:
        print_report(dataset, report, written)
    if not report.usable:
        count = len(report.problems)
        title = f"{dataset.title} at {folder}: {count} problem{'s' if count > 1 else ''}"
        raise UserErrors(title, report.problems)


@data_app.command()
def standin(
    name: Name,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Data root; the stand-in is rendered into DIR/NAME.")
    ],
    size: Annotated[int, typer.Option(help="Side of the images, pixels.")] = 256,
    normals: Annotated[int, typer.Option(help="Normal training images per product.")] = 24,
    defective: Annotated[int, typer.Option(help="Defective images per defect type.")] = 8,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same bytes.")] = 0,
    product: Products = None,
    as_json: AsJson = False,
) -> None:
    """Render a stand-in of a dataset, in the official layout with the official quirks.

    Examples:

    `defectbench data standin mtd --out standins`

    `defectbench data standin mvtec_ad --out standins --product wood --product carpet --size 128`
    """
    from defectbench.standin import write_standin
    from defectbench.standin.order import Order

    dataset = _dataset(name)
    folder = out / dataset.folder
    with errors.status(f"rendering {folder}"):
        order = Order(size=size, normals=normals, defective=defective, seed=seed, products=product)
        write_standin(name, folder, order)
        images = len(dataset.scan(folder))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "images": images}))
        return
    console.print(f"{folder}: {images} images, rendered", markup=False, soft_wrap=True)
    say(f"look at it with: defectbench data check {name} --data {out} --sheet {name}.png")


@data_app.command()
def prepare(
    name: Name,
    size: Annotated[int, typer.Option(help="Side of the decoded images, pixels.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the image cache; for nothing else.")
    ],
    data: DataRoot = None,
    crop: Annotated[
        int | None, typer.Option(help="Side of patches that are cut first, source pixels.")
    ] = None,
    split: Rule = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    product: Products = None,
    masks: Annotated[
        str, typer.Option(help="How masks are shrunk: area (no region disappears) or nearest.")
    ] = "area",
    unlabelled: Unlabelled = "",
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Worker processes; default: one per core; 0: this process."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decode a dataset once into an image cache; resume where an earlier run was stopped.

    If a source file was changed, added or removed, the cache is made again.

    Example: `defectbench data prepare mvtec_ad --data /datasets --product wood --size 256 --split one_third --out cache/wood`
    """
    from defectbench.data.cache.prepare import CHUNK
    from defectbench.data.cache.prepare import prepare as decode
    from defectbench.data.cache.prepared import told_vanished
    from defectbench.machine import cores

    dataset = _dataset(name, unlabelled)
    folder = _find(dataset, data)
    keep_out(out, folder, "--out")
    manifest = _split(dataset.scan(folder, product), split, seed)
    if workers is None:
        useful = min(cores()[0], -(-len(manifest) // CHUNK))
        workers = useful if useful > 1 else 0
    before = _stamp(out / "prepared.json")
    with _bar("decoding", quiet=as_json) as progress:
        prepared = decode(
            manifest,
            out,
            size=size,
            crop=crop,
            masks=masks,  # type: ignore[arg-type]  # checked there
            workers=workers,
            progress=progress,
            memo=out.with_name(f"{out.name}.digests.json"),
        )
    made = _stamp(out / "prepared.json") != before
    remarks = [*manifest.remarks, *told_vanished(prepared)]
    counts = {
        part: {
            kind: len(prepared.rows(split=part, defective=kind == "defective"))
            for kind in ("normal", "defective")
        }
        for part in sorted(set(prepared.table["split"]))
    }
    if as_json:
        told: dict[str, object] = {
            "folder": str(out),
            "made": made,
            "images": len(prepared.table),
            "size": size,
        }
        told |= {"stand_in": prepared.stand_in, "splits": counts, "remarks": remarks}
        typer.echo(json.dumps(told))
        return
    done = f"decoded at {size} pixels" if made else "nothing to do, they are decoded already"
    console.print(f"{out}: {len(prepared.table)} images; {done}", markup=False, soft_wrap=True)
    for part, numbers in counts.items():
        said = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
        console.print(f"  {part or 'without a split (see --split)'}: {said}", markup=False)
    for line in remarks:
        say(line)


@data_app.command()
def fetch(
    name: Name,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Data root; the dataset is written to DIR/NAME.")
    ],
    url: Annotated[
        str | None,
        typer.Option(help="URL of a mirror; for several archives, of the folder that holds them."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 to check instead of the known one.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the archives in DIR/.downloads.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a dataset that needs no registration form; resume where an earlier run was stopped.

    For other datasets, print the manual steps.

    Example: `defectbench data fetch mtd --out /datasets`
    """
    from defectbench.data.download.fetch import SOURCES
    from defectbench.data.download.fetch import fetch as download

    dataset = _dataset(name)
    if name in SOURCES:
        say(f"{dataset.title}. Licence: {dataset.licence.name}. {SOURCES[name].note}")
    with _bar("downloading", quiet=as_json, of_bytes=True) as progress:
        folder = download(name, out, url=url, sha256=sha256, keep_archives=keep, progress=progress)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder)}))
        return
    console.print(f"{folder}: complete", markup=False, soft_wrap=True)
    say(f"check it with: defectbench data check {name} --data {out}")


@app.command("export")
def export_images(
    manifest: Annotated[
        str,
        typer.Argument(
            help="Folder or manifest.csv that a sample job wrote, or the name of a dataset."
        ),
    ],
    to: Annotated[
        str, typer.Option(help="Format: mvtec, yolo, yolo-seg, coco, image-folder or huggingface.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the export.")],
    data: DataRoot = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the manifest's paths start from; default: the manifest's folder."
        ),
    ] = None,
    split: Rule = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    product: Products = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Meaning of a class: defect (default), product_defect or single."),
    ] = None,
    min_area: Annotated[
        int | None, typer.Option(help="Smallest region in pixels (yolo, coco).")
    ] = None,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Write polygons instead of run lengths (coco).")
    ] = False,
    holes: Annotated[
        str | None, typer.Option(help="Holes in polygons: bridge (default, keeps them) or fill.")
    ] = None,
    unlabelled: Unlabelled = "",
    as_json: AsJson = False,
) -> None:
    """Write images and labels, synthetic or real, in a format that other tools read.

    Examples:

    `defectbench export results/jobs/…/ --to yolo-seg --out yolo`

    `defectbench export mvtec_ad --data /datasets --product wood --split one_third --to coco --out wood_coco`
    """
    from defectbench.data.export import export

    chosen = _split(_images(manifest, data, root, product, out, unlabelled), split, seed)
    with _bar("writing", quiet=as_json) as progress:
        done = export(
            chosen,
            to,
            out,
            classes=classes,  # type: ignore[arg-type]  # checked there
            min_area=min_area,
            polygons=polygons or None,
            holes=holes,  # type: ignore[arg-type]
            progress=progress,
        )
    if as_json:
        told = {"folder": str(done.folder), "format": to, "images": done.images}
        typer.echo(json.dumps({**told, "notes": done.notes}))
        return
    console.print(f"{done.folder}: {done.images} images as {to}", markup=False, soft_wrap=True)
    for note in done.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)


def _dataset(name: str, unlabelled: str = "") -> Dataset:
    from defectbench.datasets.base import open_dataset

    return open_dataset(name, unlabelled)


def _find(dataset: Dataset, data: Path | None) -> Path:
    """Find a dataset's folder: below the data root by its name, or the root itself."""
    from defectbench.data.files.scanning import child

    if data is None:
        raise UserError(
            f"--data is missing: the folder that holds {dataset.folder}/, or {dataset.folder}/ itself "
            "(or set DEFECTBENCH_DATA)"
        )
    if not data.exists():
        raise UserError(
            f"{data}: no such folder; --data names the folder that holds {dataset.folder}/, or "
            f"{dataset.folder}/ itself"
        )
    if not data.is_dir():
        return data
    inside = dataset.find(data)
    if inside is not None:
        return inside
    others = [name for name in names.entries("datasets") if child(data, name) is not None]
    if others and dataset.products:  # a data root, not a dataset
        raise UserError(
            f"{data}: holds {', '.join(others)} but no {dataset.folder}/. {dataset.obtain}"
        )
    return data


def _split(manifest: Manifest, rule: str | None, seed: int) -> Manifest:
    """Apply a rule, and report its warnings in a line each."""
    if rule is None:
        return manifest
    from defectbench.data.splitting.splits import split

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = split(manifest, rule, seed)
    for warning in caught:
        say(f"warning: {warning.message}")
    return done


def _images(
    name: str,
    data: Path | None,
    root: Path | None,
    products: Sequence[str] | None,
    out: Path,
    unlabelled: str,
) -> Manifest:
    """Load a manifest from its files, or scan a dataset."""
    from defectbench.data.manifest import Manifest

    path = Path(name)
    known = names.entries("datasets")
    if name in known and not (path / "manifest.csv").is_file():
        dataset = _dataset(name, unlabelled)
        folder = _find(dataset, data)
        keep_out(out, folder, "--out")
        return dataset.scan(folder, products)
    if not path.exists():
        raise UserError(
            f"{name}: no such file, folder or dataset; expected a folder that a sample job wrote, or one of "
            f"{', '.join(known)}"
        )
    if root is not None and not root.is_dir():
        raise UserError(f"--root {root}: no such folder; give the one that the paths start from")
    manifest = Manifest.load(path, root)
    return manifest.of_products(*products) if products else manifest


@contextmanager
def _bar(what: str, *, quiet: bool, of_bytes: bool = False) -> Iterator[Progress]:
    """Show progress on standard error, if that is a terminal."""
    from rich import progress as rich

    amount = rich.DownloadColumn() if of_bytes else rich.MofNCompleteColumn()
    columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), amount]
    off = quiet or not errors.is_terminal
    with rich.Progress(
        *columns, rich.TimeRemainingColumn(), console=errors, transient=True, disable=off
    ) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int | None, /) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a mark that changes whenever the file is written."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
