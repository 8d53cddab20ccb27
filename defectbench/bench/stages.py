"""What each stage does: prepare, fit, sample, score, task. The only place where seeds and threads become global state."""

from __future__ import annotations

import json
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.bench.job import Job
from defectbench.bench.provenance import provenance
from defectbench.bench.store import Store
from defectbench.config import UserError
from defectbench.files import tell_damage
from defectbench.rng import derive

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Context:
    """What a job may use besides its spec; none of it changes a result.

    Attributes:
        store: where results lie.
        data_root: folder that holds the real datasets.
        machine: devices and precision, as keyword arguments of `training.Machine`.
        tensorboard: whether fits also write TensorBoard files.
        progress: called with (done, of).
    """

    store: Store
    data_root: Path | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    progress: Progress | None = None


class JobFailed(Exception):
    """A job cannot give a result, for a reason that another try would meet again."""


def execute(job: Job, context: Context) -> None:
    """Do a job and write its result or its failure; afterwards one of the two exists.

    Raises:
        UserError: the disk is full or cannot be written, or the device is not there; nothing finished is lost.
    """
    from defectbench.bench.machine import uses_cuda
    from defectbench.bench.training import Diverged
    from defectbench.data.arms import NothingToAdd

    uses_cuda(str(context.machine.get("accelerator", "auto")))  # no job's fault if it is not there
    store = context.store
    with store.claim(job) as mine:
        if not mine:
            return
        folder = store.folder(job.id)
        started = time.time()
        try:
            with _threads(int(job.spec.get("threads", 1))):
                result = STAGES[job.stage](job, folder, context)
            seconds = time.time() - started
            whence = provenance(context.machine, started, seconds)
            store.finish(job, {**job.to_json(), **result, "provenance": whence})
        except (Diverged, JobFailed, UserError) as error:
            undefined = isinstance(error, NothingToAdd)
            store.fail(job, " ".join(str(error).split()), repeats=True, undefined=undefined)
        except OSError as error:
            raise disk_error(error, folder) from None
        except Exception as error:
            (folder / "error.log").write_text(traceback.format_exc())
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            store.fail(job, reason, repeats=False)


def disk_error(error: OSError, folder: Path) -> UserError:
    """Say what a failing disk means for the run."""
    return UserError(
        f"{error.filename or folder}: {error.strerror or error}; free space or mend rights and run again: "
        "finished jobs are kept and the running one goes on from its last checkpoint"
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Fix the number of CPU threads: sums are added in an order that depends on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _prepare(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Draw or find the images, split them, and decode them once; or put several such caches together."""
    from defectbench.data.leaks import leaks
    from defectbench.data.prepare import prepare
    from defectbench.data.splits import at_most, split
    from defectbench.data.windows import MIN_DEFECT

    spec = job.spec
    if "pool" in spec:
        return _pool(job, folder, context)
    dataset = names.find("datasets", spec["dataset"]).load()()
    product = spec["product"]
    if "stand_in" in spec:
        drawn = dict(spec["stand_in"])
        drawn["seed"] = derive(drawn["seed"], "stand-in", product)
        _drop_torn_standin(folder / "raw")
        root = dataset.standin(folder / "raw", products=[product], **drawn)
    else:
        found = dataset.find(context.data_root) if context.data_root else None
        if found is None:
            raise UserError(f"{spec['dataset']}: give the folder that holds it with --data ROOT")
        root = found
    manifest = replace(dataset.scan(root, [product]), stand_in="stand_in" in spec)
    wanted = tuple(spec["defects"])
    if spec["regroup"]:
        manifest = _regrouped(manifest, spec)
    known = manifest.table["defects"].map(lambda found: set(found) <= set(wanted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what a rule warns of is found and told below
        manifest = split(replace(manifest.where(known), defects=wanted), spec["split"])
    if spec["limit"]:
        manifest = at_most(manifest, spec["limit"])
    prepared = prepare(
        manifest,
        folder / "cache",
        size=spec["size"],
        crop=spec["crop"],
        normals_per_image=spec["normals_per_image"],
        least_defect=spec.get("least_defect", MIN_DEFECT),
        progress=context.progress,
    )
    counts = _counts(prepared)
    if not counts["test_defective"]:
        raise JobFailed(
            f"{spec['dataset']}/{product}: the split leaves {counts}; the test needs defects"
        )
    leaking = sorted({(leak.first, leak.second) for leak in leaks(manifest, look=False)})
    return {
        "counts": counts,
        "stand_in": manifest.stand_in,
        "leaks": {"pairs": len(leaking), "first": list(leaking[0]) if leaking else []},
    }


def _drop_torn_standin(raw: Path) -> None:
    """Delete a stand-in of this job whose marker was cut short: drawing refuses folders that hold something else."""
    from defectbench.data.scanning import STANDIN_MARKER

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
    from defectbench.data.regroup import DT_GAN, Regrouping, regroup

    types = {spec["dataset"]: {spec["product"]: dict(spec["regroup"])}}
    named = replace(manifest, dataset=spec["dataset"])
    return regroup(named, Regrouping(tuple(spec["defects"]), types, "of the table", DT_GAN))


def _pool(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Put the caches of several products together."""
    from defectbench.data.pooling import pool
    from defectbench.data.prepared import Prepared

    members = {
        name: Prepared.open(context.store.folder(job.parents[f"{i:02d}"]) / "cache")
        for i, name in enumerate(job.spec["pool"])
    }
    prepared = pool(members, folder / "cache")
    return {"counts": _counts(prepared), "stand_in": prepared.stand_in}


def _fit(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a generator."""
    from defectbench.bench.fitting import fit

    return fit(job, folder, context)


def _task(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a downstream task on an arm and test it once."""
    from defectbench.bench.evaluation import plain, train_task
    from defectbench.bench.inspector import WEIGHTS, save_task
    from defectbench.bench.training import Machine, initialised
    from defectbench.data.arms import training_set
    from defectbench.data.module import DefectData, ImageSet, Stream
    from defectbench.data.prepare import Prepared

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    synthetic = None
    if "synthetic" in job.parents:
        synthetic = Prepared.open(store.folder(job.parents["synthetic"]) / "cache")
    cls = names.find("tasks", spec["task"]).load()
    chosen = training_set(
        spec["arm"],
        real,
        synthetic,
        needs_masks=bool(cls.needs & {"mask", "boxes"}),
        normals=spec["normals"],
        ratio=spec["ratio"],
        seed=spec["seed"],
    )
    with_normals = None if spec["normals"] else True  # None: every row, defective or not
    task = initialised(
        spec["seed"],
        lambda: cls(
            size=real.images.shape[1],
            defects=real.defects,
            products=real.products,
            steps=spec["steps"],
            **spec["arguments"],
        ),
    )
    augment = (*chosen.augment, *spec["augment"])
    data = DefectData(
        [Stream(chosen.images, "train", augment=augment, balance=spec["balance"])],
        batch=spec["batch"],
        seed=derive(spec["seed"], "task"),
    )
    found = train_task(
        task,
        data,
        folder,
        steps=spec["steps"],
        validation=chosen.validation,
        test=lambda: ImageSet.of(real, real.rows(split="test", defective=with_normals)),
        evaluate_every=spec["evaluate_every"],
        select=spec["select"],
        machine=Machine(**{**context.machine, "devices": 1}),
        on_progress=context.progress,
    )
    if spec["arm"] == "raw" and "mask" in cls.needs:
        save_task(task, spec["task"], folder / WEIGHTS)  # mask scores look through it
    for name in ("last.ckpt", "best.pt"):
        (folder / name).unlink(missing_ok=True)
    return {
        "metrics": plain(found.test),
        "details": {score: plain(by_class) for score, by_class in found.details.items()},
        "reasons": dict(found.reasons),
        "remarks": list(found.remarks),
        "validation": plain(found.validation),
        "chosen_step": found.step,
        "better": json.loads(json.dumps(dict(cls.better))),
        "counts": {
            "real": chosen.n_real,
            "synthetic": chosen.n_synthetic,
            "left_out": chosen.left_out,
            "test": len(real.rows(split="test", defective=with_normals)),
        },
    }


def _sample(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Make synthetic images."""
    from defectbench.bench.sampling import sample

    return sample(job, folder, context)


def _score(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Score synthetic images."""
    from defectbench.bench.scoring import score

    return score(job, folder, context)


STAGES: Mapping[str, Callable[[Job, Path, Context], dict[str, Any]]] = {
    "prepare": _prepare,
    "fit": _fit,
    "sample": _sample,
    "score": _score,
    "task": _task,
}
