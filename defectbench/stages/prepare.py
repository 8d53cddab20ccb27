"""The prepare stage: find or draw the images of a product, split them, and decode them once."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defectbench.config import UserError
from defectbench.files import tell_damage
from defectbench.plan.job import Job
from defectbench.rng import derive
from defectbench.stages.context import Context, JobFailed

if TYPE_CHECKING:
    from defectbench.data.manifest import Manifest


def prepare_images(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Draw or find the images, split them, and decode them once; or put several such caches together."""
    from defectbench.data.cache.prepare import prepare
    from defectbench.data.cache.prepared import told_vanished
    from defectbench.data.cache.windows import MIN_DEFECT
    from defectbench.data.files.leaks import leaks
    from defectbench.data.splitting.splits import at_most, ignores_groups, split
    from defectbench.datasets.base import open_dataset
    from defectbench.standin import write_standin
    from defectbench.standin.order import Order

    spec = job.spec
    if "pool" in spec:
        return _pool(job, folder, context)
    own = open_dataset(spec["dataset"], spec.get("unlabelled", "")).own_images
    if "stand_in" in spec:
        drawn = dict(spec["stand_in"])
        drawn["seed"] = derive(drawn["seed"], "stand-in", spec["product"])
        _drop_torn_standin(folder / "raw")
        order = Order(products=[spec["product"]], **drawn)
        write_standin(spec["dataset"], folder / "raw", order)
    manifest = scan_images(spec, folder, context)
    wanted = tuple(spec["defects"])
    if spec["regroup"]:
        manifest = _regrouped(manifest, spec)
    known = manifest.table["defects"].map(lambda found: set(found) <= set(wanted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what a rule warns of is found and told below
        manifest = split(
            replace(manifest.where(known), defects=wanted), spec["split"], **_split_seeds(spec)
        )
    if spec["limit"]:
        taken_by = _split_seeds(spec).get("validation_seed", 0)
        by_image = "draw" in spec or ignores_groups(spec["split"])
        manifest = at_most(manifest, spec["limit"], taken_by, by_image=by_image)
    prepared = prepare(
        manifest,
        folder / "cache",
        size=spec["size"],
        crop=spec["crop"],
        normals_per_image=spec["normals_per_image"],
        least_defect=spec.get("least_defect", MIN_DEFECT),
        masks=spec.get("masks", "nearest"),
        progress=context.progress,
    )
    counts = _counts(prepared)
    if not counts["test_defective"]:
        raise JobFailed(
            f"{spec['dataset']}/{spec['product']}: the split leaves {counts}; the test needs defects"
        )
    # nobody has looked at a user's own images for photographs of one part
    pairs = leaks(manifest, look=own)
    leaking = sorted({(leak.first, leak.second) for leak in pairs})
    return {
        "counts": counts,
        "stand_in": manifest.stand_in,
        "leaks": {"pairs": len(leaking), "first": list(leaking[0]) if leaking else []},
        "remarks": [*manifest.remarks, *told_vanished(prepared)],
    }


def scan_images(spec: Mapping[str, Any], folder: Path, context: Context) -> Manifest:
    """List the images of a product: the real ones, or those that the job in `folder` has drawn.

    Raises:
        UserError: they are not there, or not as their dataset publishes them.
    """
    from defectbench.datasets.base import open_dataset

    dataset = open_dataset(spec["dataset"], spec.get("unlabelled", ""))
    root: Path | None = folder / "raw"
    if "stand_in" not in spec:
        root = dataset.find(context.data_root) if context.data_root else None
    if root is None:
        raise UserError(f"{spec['dataset']}: give the folder that holds it with --data ROOT")
    return replace(dataset.scan(root, [spec["product"]]), stand_in="stand_in" in spec)


def _split_seeds(spec: Mapping[str, Any]) -> dict[str, int]:
    """Give the seeds of a split: none, where all seeds of a table share it.

    With `train_per_seed` the test images stay; which others train, and in which order `real: N` takes them, follows from
    the seed. With `split_per_seed` the test images do too.
    """
    if "draw" not in spec:
        return {}
    seed = derive(spec["draw"]["seed"], "draw")
    seeds = {"validation_seed": seed}
    return seeds if spec["draw"]["anew"] == "train_per_seed" else {"seed": seed, **seeds}


def _drop_torn_standin(raw: Path) -> None:
    """Delete a stand-in of this job whose marker was cut short: drawing refuses folders that hold something else."""
    from defectbench.data.files.scanning import STANDIN_MARKER

    marker = raw / STANDIN_MARKER
    try:
        json.loads(marker.read_text())
    except (OSError, ValueError):
        if raw.exists():
            tell_damage(marker, "no marker of a stand-in", f"{raw.name}/ is drawn again")
            shutil.rmtree(raw)


def _counts(prepared: Any) -> dict[str, int]:
    return {
        f"{part}_{kind}": len(prepared.rows(split=part, defective=defective))
        for part in ("train", "val", "test")
        for kind, defective in (("defective", True), ("normal", False))
    }


def _regrouped(manifest: Any, spec: Mapping[str, Any]) -> Any:
    """Replace a dataset's defects by the coarser classes that the table's mapping gives."""
    from defectbench.data.splitting.regroup import DT_GAN, Regrouping, regroup

    types = {spec["dataset"]: {spec["product"]: dict(spec["regroup"])}}
    named = replace(manifest, dataset=spec["dataset"])
    return regroup(named, Regrouping(tuple(spec["defects"]), types, "of the table", DT_GAN))


def _pool(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Put the caches of several products together."""
    from defectbench.data.cache.pooling import pool
    from defectbench.data.cache.prepared import Prepared, told_vanished

    members = {
        name: Prepared.open(context.store.folder(job.parents[f"{i:02d}"]) / "cache")
        for i, name in enumerate(job.spec["pool"])
    }
    prepared = pool(members, folder / "cache")
    remarks = told_vanished(prepared)
    return {"counts": _counts(prepared), "stand_in": prepared.stand_in, "remarks": remarks}
