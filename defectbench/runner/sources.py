"""Where the images of a table come from: real datasets below a data root, or their stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from defectbench import names
from defectbench.config import UserError
from defectbench.datasets.base import open_dataset
from defectbench.files import keep_out
from defectbench.plan.plan import Source
from defectbench.spec.loading import load_table
from defectbench.spec.table import TableSpec

Say = Callable[[str], None]


def find_sources(
    spec: TableSpec, preset: str, data: Path | None, cache: Path, say: Say, unlabelled: str = ""
) -> dict[str, Source]:
    """Look for each dataset of a table."""
    if unlabelled and not any(
        names.find("datasets", name).load().own_images for name in spec.datasets
    ):
        raise UserError(
            f"--unlabelled {unlabelled}: {spec.name} has no `dataset: folder`, and of others it is known which images are "
            "good; leave it out"
        )
    return {
        name: find_source(spec, name, preset, data, cache, say, unlabelled)
        for name in spec.datasets
    }


def find_source(
    spec: TableSpec,
    name: str,
    preset: str,
    data: Path | None,
    cache: Path,
    say: Say,
    unlabelled: str = "",
) -> Source:
    """Look for the real dataset below a data root; fall back to its stand-in where the preset allows.

    Of a dataset that is there in part, the products that it lacks are drawn.

    Raises:
        UserError: the root does not exist, or real data are needed and missing.
    """
    own = names.find("datasets", name).load().own_images
    dataset = open_dataset(name, unlabelled if own else "")
    folder, title = dataset.folder, dataset.title
    chosen = spec.preset(preset)
    if data is not None and not data.exists():
        raise UserError(f"{data}: no such folder; --data names the folder that holds {folder}/")
    root = dataset.find(data) if data is not None else None
    if root is not None:
        from defectbench.data.files.digests import data_digest

        if root.is_dir():
            keep_out(cache.parent, root)
        products = {
            subset.product
            for subset in spec.images.values()
            if (subset.dataset or spec.dataset) == name
        }
        lacking: set[str] = set()
        if chosen.stand_in is not None and not own:
            lacking = products - set(dataset.there(root))
        if lacking:
            say(f"{title}: no {', '.join(sorted(lacking))} in {root}, drawing its stand-in")
        scanned = {product: dataset.scan(root, [product]) for product in sorted(products - lacking)}
        for line in dict.fromkeys(line for m in scanned.values() for line in m.remarks):
            say(f"{title}: {line}")
        return Source(
            stand_in=False,
            root=root,
            digests={p: data_digest(m, cache / "digests.json") for p, m in scanned.items()},
            defects={p: m.defects for p, m in scanned.items()},
            without_normals=frozenset(
                p for p, m in scanned.items() if m.table["defects"].map(len).all()
            ),
            drawn=frozenset(lacking),
            unlabelled=dataset.unlabelled,
        )
    if chosen.stand_in is None:
        at = f"{data / folder} does not exist" if data else "no --data was given"
        raise UserError(
            f"{spec.name} {preset}: needs the real {title}, and {at}; put it in ROOT/{folder} and give --data ROOT "
            f"(how to get it: defectbench show {name})"
        )
    say(f"{title}: not found{f' in {data}' if data else ''}, drawing its stand-in")
    return Source(stand_in=True)


def check_data_used(tables: Sequence[str], preset: str, data: Path | None) -> None:
    """Refuse a data root in which no dataset of any of the tables is found: they would all be drawn instead.

    Raises:
        UserError: names the folders that were looked for.
    """
    if data is None or not data.exists():
        return
    specs = [load_table(names.find_table(table)) for table in tables]
    if any(spec.preset(preset).stand_in is None for spec in specs):
        return  # it says itself what it needs
    wanted = {name for spec in specs for name in spec.datasets}
    datasets = {name: names.find("datasets", name).load()() for name in sorted(wanted)}
    if any(dataset.find(data) is not None for dataset in datasets.values()):
        return
    folders = ", ".join(f"{dataset.folder}/ ({name})" for name, dataset in datasets.items())
    raise UserError(
        f"--data {data}: not used; no dataset of {', '.join(tables)} is there; expected {folders}; leave --data (or "
        "DEFECTBENCH_DATA) out to train on stand-ins. Your own images need a table with `dataset: folder`"
    )
