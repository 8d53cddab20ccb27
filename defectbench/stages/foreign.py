"""The foreign stage: read a folder of images and masks that another program made, as if a generator had made them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from defectbench.config import UserError, nearest
from defectbench.plan.job import Job
from defectbench.stages.context import Context, JobFailed


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
