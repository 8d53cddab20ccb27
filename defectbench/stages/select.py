"""Images that no generator of this run made: mixtures, filtered sets, replayed training images, foreign folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defectbench.config import UserError, nearest
from defectbench.plan.job import Job
from defectbench.rng import numpy_rng
from defectbench.stages.context import Context, JobFailed

if TYPE_CHECKING:
    from defectbench.data.cache.prepared import Prepared, Rows


def select(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Choose among the images of the parents `from:NN` and gather them in one cache.

    Returns:
        counts, and the funnel: how many images came in, how many each rule dropped, how many are left.

    Raises:
        NothingToAdd: no image is left.
    """
    from defectbench.data.cache.gathering import gather
    from defectbench.data.cache.prepared import Prepared
    from defectbench.data.streams.arms import NothingToAdd

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    roles = sorted(role for role in job.parents if role.startswith("from:"))
    made = [Prepared.open(store.folder(job.parents[role]) / "cache") for role in roles]
    if spec["rule"] == "mix":
        parts, funnel = mix(made, spec["counts"], spec["seed"])
    elif spec["rule"] == "replay":
        return _replay(real, spec, folder)
    else:
        from defectbench.stages.filtering import Judge, keep

        judge = Judge(real, spec["rules"], _inspector(job, context))
        rows, funnel = keep(made[0], judge)
        parts = [(made[0], rows)]
    parts = [(cache, rows) for cache, rows in parts if len(rows)]
    if not parts:
        told = told_funnel(funnel)
        raise NothingToAdd(f"no synthetic image is left ({told})")
    cache = gather(parts, folder / "cache")
    invalid = int(cache.table["mask_source"].isin(["invalid", "none"]).sum())
    return {
        "counts": {"images": len(cache), "without_mask": invalid},
        "funnel": list(funnel.items()),
    }


def _replay(real: Prepared, spec: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Gather training images of each defect again, at random with replacement, as the generator `memoriser` does.

    Whatever is annotated comes along: masks, and boxes, which no generator makes.
    """
    from defectbench.data.cache.gathering import gather

    chosen: list[int] = []
    for defect, count in spec["counts"].items():
        rows = real.rows(split="train", defect=defect)
        if len(rows):
            rng = numpy_rng(spec["seed"], "replay", defect)
            chosen += [int(row) for row in rng.choice(rows, count)]
    labels = [names[0] if names else "" for names in real.table["defects"]]
    named = replace(real, table=real.table.assign(label=labels, normal=""))
    cache = gather([(named, np.array(chosen, dtype=np.int64))], folder / "cache")
    without = int((cache.table["mask_pixels"] == 0).sum())
    return {"counts": {"images": len(cache), "without_mask": without}}


def told_funnel(funnel: Mapping[str, int]) -> str:
    """Write a funnel in one line, e.g. "60 drawn, 4 without a mask, 56 kept"."""
    return ", ".join(f"{number} {what}" for what, number in funnel.items())


def mix(
    made: Sequence[Prepared], counts: Mapping[str, int], seed: int
) -> tuple[list[tuple[Prepared, Rows]], dict[str, int]]:
    """Take an equal share of each defect from each of several sets, in all as many as one of them was asked for.

    Args:
        made: the sets; where a count does not divide evenly the first ones give one more.
        counts: images per defect of the mixture.
        seed: chooses the images.

    Returns:
        each set with its rows, ascending; and a funnel with the number taken from each.
    """
    parts: list[tuple[Prepared, Rows]] = []
    for number, cache in enumerate(made):
        chosen: list[int] = []
        for defect, count in counts.items():
            share = count // len(made) + (number < count % len(made))
            rows = np.flatnonzero((cache.table["label"] == defect).to_numpy())
            order = numpy_rng(seed, "mix", str(number), defect).permutation(rows)
            chosen += [int(row) for row in order[:share]]
        parts.append((cache, np.array(sorted(chosen), dtype=np.int64)))
    funnel = {"offered": sum(len(cache) for cache in made)}
    funnel |= {f"from member {i + 1}": len(rows) for i, (_, rows) in enumerate(parts)}
    return parts, funnel


def _inspector(job: Job, context: Context) -> Any:
    """Open the segmentation model that was trained on the real images alone; None where no rule looks through it."""
    if "inspector" not in job.parents:
        return None
    from defectbench.machine import Machine
    from defectbench.stages.checkpoints import load_task
    from defectbench.stages.inspector import Inspector

    device = "cuda" if Machine(**context.machine).on_cuda else "cpu"
    return Inspector(load_task(context.store.folder(job.parents["inspector"])), device)


def read_foreign(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Decode `images/DEFECT/NAME` and `masks/DEFECT/NAME` of a foreign folder beside the real images of a row.

    Without a folder `masks` the images have no masks, and serve tasks that need none. Images in a folder `good` are left
    out.

    Raises:
        UserError: a folder names no defect of the row, or files are not as expected.
        JobFailed: the folder is not known to this run.
    """
    from defectbench.data.cache.prepare import prepare
    from defectbench.data.cache.prepared import Prepared
    from defectbench.datasets.folder import Folder

    digest = job.spec["digest"]
    if digest not in context.foreign:
        raise JobFailed(
            f"the foreign folder with the digest {digest[:12]} is not named; give --foreign again"
        )
    root = context.foreign[digest]
    real = Prepared.open(context.store.folder(job.parents["data"]) / "cache")
    if len(real.products) != 1:
        raise UserError(
            f"{root}: a foreign folder serves one product, found {', '.join(real.products)}"
        )
    found = Folder().scan(root)
    table = found.table[found.table["defects"].map(len) > 0].reset_index(drop=True)
    for names in table["defects"]:
        for name in names:
            if name not in real.defects:
                raise UserError(
                    f"{root}: images/{name}: no defect {name!r}; {nearest(name, real.defects)}"
                )
    if not len(table):
        raise UserError(
            f"{root}: shows no defect; expected images/DEFECT/ with the names {', '.join(real.defects)}"
        )
    columns: dict[str, Any] = {
        "product": real.products[0],
        "split": "train",
        "source": job.id,
        "id": job.id + "/" + table["id"],
        "group": job.id + "/" + table["id"],
        "label": [names[0] for names in table["defects"]],
        "seed": "",
        "normal": "",
        "reference": "",
        "mask_of": "",
    }
    manifest = replace(
        found,
        table=table.assign(**columns),
        dataset=real.dataset,
        defects=real.defects,
        products=real.products,
        stand_in=real.stand_in,
    )
    cache = prepare(manifest, folder / "cache", size=real.size)
    sources = Counter(cache.table["mask_source"])
    without = sources["invalid"] + sources["none"]
    return {
        "counts": {"images": len(cache), "without_mask": without},
        "mask_sources": dict(sorted(sources.items())),
        "labels": dict(sorted(Counter(cache.table["label"]).items())),
    }
