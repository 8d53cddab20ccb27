"""Commands that show what is there: list, show, doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from defectbench import names
from defectbench.cli.app import app, console
from defectbench.cli.tables import AsJson, DataRoot
from defectbench.config import UserError, nearest


def _known(kind: str) -> dict[str, str]:
    """Name and first line of everything of a kind."""
    if kind == "tables":
        from defectbench.config import load_yaml

        return {
            name: str(load_yaml(path).get("title", "")) for name, path in names.tables().items()
        }
    if kind == "metrics":
        from defectbench.names import metric_summaries

        return metric_summaries()
    if kind in names.KINDS:
        return {name: entry.summary for name, entry in names.entries(kind).items()}
    raise UserError(f"cannot list {kind!r}; {nearest(kind, [*names.KINDS, 'metrics', 'tables'])}")


@app.command(name="list")
def list_names(
    kind: Annotated[
        str, typer.Argument(help="What to list: generators, datasets, tasks, metrics or tables.")
    ],
    as_json: AsJson = False,
) -> None:
    """List the names of a kind, with a line about each.

    Example: `defectbench list generators`
    """
    found = _known(kind)
    if as_json:
        typer.echo(json.dumps(found))
        return
    width = max((len(name) for name in found), default=0)
    for name, summary in found.items():
        console.print(f"{name:<{width}}  {summary}", markup=False, soft_wrap=True)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a generator, dataset, task, metric or table, or the file of a synthetic image."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show a name's abilities, arguments, source and licence, or the origin of a synthetic image.

    Examples: `defectbench show star_gan`, `defectbench show results/jobs/…/images/000003.png`
    """
    told = _describe(name)
    if as_json:
        typer.echo(json.dumps(told, default=str))
        return
    for key, value in told.items():
        if isinstance(value, dict):
            console.print(f"{key}:", markup=False)
            for inner, text in value.items():
                console.print(f"  {inner}: {text}", markup=False, soft_wrap=True)
        elif isinstance(value, list):
            console.print(f"{key}:", markup=False)
            for text in value:
                console.print(f"  - {text}", markup=False, soft_wrap=True)
        else:
            console.print(f"{key}: {value}", markup=False, soft_wrap=True)


def _describe(name: str) -> dict[str, Any]:
    if Path(name).suffix.lower() in {".png", ".jpg", ".jpeg"} or Path(name).is_file():
        return _image_provenance(Path(name))
    for kind in names.KINDS:
        found = names.entries(kind)
        if name in found:
            return _entry(found[name])
    if name in names.tables():
        from defectbench.spec.loading import load_table

        spec = load_table(names.tables()[name])
        return {
            "table": name,
            "title": spec.title,
            "images": [
                f"{key}: {images.dataset or spec.dataset}/{images.product}, split {images.split or spec.split}"
                for key, images in spec.images.items()
            ],
            "methods": {k: m.generator for k, m in spec.methods.items()},
            "models": {k: m.task for k, m in spec.models.items()},
            "presets": {k: p.about for k, p in spec.presets.items()},
        }
    metrics = _known("metrics")
    if name in metrics:
        return {"metric": name, "about": metrics[name]}
    everything = [*names.tables(), *metrics]
    for kind in names.KINDS:
        everything += list(names.entries(kind))
    raise UserError(f"no {name!r}; {nearest(name, everything)}")


def _entry(entry: names.Entry) -> dict[str, Any]:
    told: dict[str, Any] = {entry.kind.removesuffix("s"): entry.name, "about": entry.summary}
    hidden = {"tiny", "counts"}
    for key, value in entry.facts.items():
        if key in hidden or key.startswith("_"):
            continue
        shown = ", ".join(sorted(map(str, value))) if isinstance(value, frozenset) else value
        told[key.replace("_", " ")] = shown
    if entry.kind == "datasets":
        dataset = entry.load()
        told["licence"] = dataset.licence.name
        told["commercial use"] = {True: "allowed", False: "not allowed", None: "unclear"}[
            dataset.licence.commercial
        ]
    if entry.kind == "generators":
        told["it can"] = names.abilities(entry) or ["generate by label only"]
    if entry.arguments:
        told["arguments"] = {
            a.name: f"{a.annotation}" + ("" if a.default is names.REQUIRED else f" = {a.default!r}")
            for a in entry.arguments.values()
        }
    return told


def _image_provenance(path: Path) -> dict[str, Any]:
    """Find a synthetic image in the manifest beside it."""
    import csv

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    for folder in path.resolve().parents[:3]:
        manifest = folder / "manifest.csv"
        if not manifest.is_file():
            continue
        relative = path.resolve().relative_to(folder).as_posix()
        with manifest.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if relative in {row["image"], row["mask"]}:
                    return {k: v for k, v in row.items() if v}
        raise UserError(f"{path}: not in {manifest}; is it one of the images that the job wrote?")
    raise UserError(
        f"{path}: no manifest.csv beside it or above; only images that defectbench wrote can be shown"
    )


@app.command()
def doctor(data: DataRoot = None, as_json: AsJson = False) -> None:
    """Report versions, devices, pretrained weights and datasets of this machine.

    Example: `DEFECTBENCH_DATA=/datasets defectbench doctor`
    """
    import torch

    from defectbench.store.provenance import versions

    told: dict[str, Any] = {"versions": versions(), "executable": sys.executable}
    devices = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    told["devices"] = {"cpu": f"{torch.get_num_threads()} threads", **devices}
    told["weights"] = _weights()
    told["datasets"] = {}
    for name, entry in names.entries("datasets").items():
        folder = str(entry.facts.get("folder", name))
        root = data / folder if data else None
        found = root is not None and root.is_dir()
        told["datasets"][name] = (
            str(root) if found else f"missing ({'in ' + str(data) if data else 'no --data'})"
        )
    if as_json:
        typer.echo(json.dumps(told))
        return
    for key, value in told.items():
        if isinstance(value, dict):
            console.print(f"[bold]{key}[/]")
            for inner, text in value.items():
                console.print(f"  {inner}: {text}", markup=False, soft_wrap=True)
        elif isinstance(value, list):
            console.print(f"{key}:", markup=False)
            for text in value:
                console.print(f"  - {text}", markup=False, soft_wrap=True)
        else:
            console.print(f"[bold]{key}[/] {value}")


def _weights() -> dict[str, str]:
    """Return the place of each file of pretrained weights, or where it is published."""
    from defectbench.features.weights import KNOWN as OF_METRICS
    from defectbench.nn.pretrained import KNOWN as OF_BACKBONES
    from defectbench.nn.weights import whereabouts

    return dict(whereabouts((*OF_BACKBONES, *OF_METRICS)))
