"""What each stage does: prepare, fit, sample, task. The only place where seeds and threads become global state."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from defectbench import names
from defectbench.bench.job import Job
from defectbench.bench.provenance import provenance
from defectbench.bench.store import Store
from defectbench.config import UserError
from defectbench.rng import derive

Progress = Callable[[int, int], None]
LARGEST_DEFECT = 0.6
"""Share of the image above which watershed has found no defect but the whole picture."""


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
        UserError: the disk is full or cannot be written; nothing finished is lost.
    """
    from defectbench.bench.training import Diverged

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
            store.fail(job, " ".join(str(error).split()), repeats=True)
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
    """Draw or find the images, split them, and decode them once."""
    from defectbench.data.prepare import prepare
    from defectbench.data.splits import split

    spec = job.spec
    dataset = names.find("datasets", spec["dataset"]).load()()
    product = spec["product"]
    if "stand_in" in spec:
        drawn = dict(spec["stand_in"])
        drawn["seed"] = derive(drawn["seed"], "stand-in", product)
        root = dataset.standin(folder / "raw", products=[product], **drawn)
    elif context.data_root is None:
        raise UserError(f"{spec['dataset']}: give the folder that holds it with --data ROOT")
    else:
        root = context.data_root / dataset.folder
    manifest = replace(dataset.scan(root, [product]), stand_in="stand_in" in spec)
    wanted = tuple(spec["defects"])
    known = manifest.table["defects"].map(lambda found: set(found) <= set(wanted))
    manifest = split(replace(manifest.where(known), defects=wanted), spec["split"])
    prepared = prepare(
        manifest,
        folder / "cache",
        size=spec["size"],
        crop=spec["crop"],
        normals_per_image=spec["normals_per_image"],
        progress=context.progress,
    )
    counts = {
        f"{part}_{kind}": len(prepared.rows(split=part, defective=defective))
        for part in ("train", "val", "test")
        for kind, defective in (("defective", True), ("normal", False))
    }
    if not counts["train_defective"] or not counts["test_defective"]:
        raise JobFailed(
            f"{spec['dataset']}/{product}: the split leaves {counts}; both train and test need defects"
        )
    return {"counts": counts, "stand_in": manifest.stand_in}


def _fit(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a generator."""
    from defectbench.bench.training import (
        Machine,
        check_finite,
        fit_generator,
        initialised,
        save_generator,
    )
    from defectbench.data.module import DefectData, ImageSet, Stream, View, contents_background
    from defectbench.data.prepare import Prepared

    spec = job.spec
    prepared = Prepared.open(context.store.folder(job.parents["data"]) / "cache")
    entry = names.find("generators", spec["generator"])
    cls = entry.load()
    if cls.stand_ins_only and not prepared.stand_in:
        raise JobFailed(
            f"{entry.name} knows only the process that draws stand-ins; these images are real"
        )
    rows = prepared.rows(split="train", defective=True, defect=spec.get("defect"))
    if not len(rows):
        raise JobFailed(
            f"{prepared.dataset}: no training image of {spec.get('defect') or 'any defect'}"
        )
    defects = ImageSet.of(prepared, rows)
    normals = ImageSet.of(prepared, prepared.rows(split="train", defective=False))
    view = View(
        **spec["view"] | {"background": _background(spec["view"], defects, contents_background)}
    )
    generator = initialised(
        spec["seed"],
        lambda: cls(
            size=prepared.images.shape[1],
            defects=prepared.defects,
            products=prepared.products,
            **spec["arguments"],
        ),
    )
    streams = [Stream(defects, "defect", view, tuple(spec["augment"]), spec["balance"])]
    if len(normals):
        streams.append(Stream(normals, "normal", View(), tuple(spec["augment"])))
    elif "normal" in cls.streams:
        raise JobFailed(
            f"{entry.name} learns from normal images too, and there are none in training"
        )
    data = DefectData(streams, batch=spec["batch"], seed=derive(spec["seed"], "fit"))
    last = folder / "last.ckpt"
    if not last.exists():
        some = normals.subset(np.arange(min(len(normals), 1000))) if len(normals) else defects
        generator.observe(view.apply(defects.all()), some.all())
    machine = Machine(**context.machine)
    generator = fit_generator(
        generator,
        data,
        folder,
        images=spec["images"],
        machine=machine,
        on_progress=context.progress,
        on_checkpoint=lambda g: _checkpoint_grid(g, prepared, view, folder, spec),
        tensorboard=context.tensorboard,
    )
    check_finite(generator)
    seen = {"name": view.name, "background": view.background, "dilate": view.dilate}
    save_generator(generator, entry.name, folder / "generator.ckpt", seen)
    last.unlink(missing_ok=True)
    return {
        "view": seen,
        "counts": {"defective": len(defects), "normal": len(normals)},
        "parameters": sum(p.numel() for p in generator.parameters()),
    }


def _background(view: Mapping[str, Any], defects: Any, choose: Callable[[Any], int]) -> int:
    if view["background"] != "auto":
        return int(view["background"])
    return choose(defects) if view["name"] == "contents" else 0


def _checkpoint_grid(
    generator: Any, prepared: Any, view: Any, folder: Path, spec: Mapping[str, Any]
) -> None:
    """Draw a grid of samples beside the log, one row per defect."""
    from PIL import Image

    from defectbench.batch import to_uint8
    from defectbench.data.synthetic import requests
    from defectbench.imaging.grid import grid
    from defectbench.rng import torch_rng

    training = generator.training
    generator.eval()
    counts = {spec["defect"]: 6} if spec.get("defect") else dict.fromkeys(prepared.defects, 6)
    images: list[npt.NDArray[np.uint8]] = []
    for asked in requests(
        prepared,
        counts,
        reads=generator.reads,
        view=view,
        batch=6,
        seed=derive(spec["seed"], "grid"),
    ):
        sample = synthesise(generator, asked.request, torch_rng(spec["seed"], "grid", asked.index))
        images.extend(to_uint8(sample["image"]).permute(0, 2, 3, 1).cpu().numpy())
    generator.train(training)
    Image.fromarray(grid(images, columns=6)).save(folder / f"grid-{generator.clock.images:09d}.png")


def synthesise(generator: Any, request: Any, rng: Any) -> Any:
    """Ask a generator, on its device, without gradients."""
    import torch

    from defectbench.data.module import tensor_tree

    with torch.no_grad():
        return generator.synthesise(tensor_tree(request, lambda t: t.to(generator.device)), rng)


def _sample(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Make synthetic images with masks, composite them if asked, and write them with where each came from."""
    from defectbench.bench.loading import load_generator
    from defectbench.data.module import View
    from defectbench.data.prepare import Prepared, prepare
    from defectbench.data.synthetic import requests, synthetic_manifest, write_images
    from defectbench.rng import torch_rng

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    rows: list[dict[str, Any]] = []
    done, total = 0, sum(spec["counts"].values())
    for role, fit in sorted(job.parents.items()):
        if not role.startswith("fit"):
            continue
        fitted = store.result(fit)
        if fitted is None:
            raise JobFailed(f"its fit {fit} has no result")
        generator = load_generator(store.folder(fit) / "generator.ckpt")
        view = View(**fitted["view"])
        _, _, only = role.partition(":")
        counts = {only: spec["counts"][only]} if only else spec["counts"]
        composite = spec["composite"] if view.name == "contents" else "none"
        for asked in requests(
            real,
            counts,
            reads=generator.reads,
            view=view,
            batch=spec["batch"],
            seed=derive(spec["seed"], "sample", only),
            needs_normals=composite != "none",
        ):
            rng = torch_rng(spec["seed"], "sample", only, asked.index)
            made = finish_sample(
                synthesise(generator, asked.request, rng),
                asked.normals,
                view,
                composite,
                generator.mask_source,
            )
            paths = write_images(folder, len(rows), made.images, made.masks)
            rows.extend(
                {"image": image, "mask": mask if ok else "", "mask_source": source, **whence}
                for (image, mask), ok, source, whence in zip(
                    paths, made.valid, made.sources, asked.provenance, strict=True
                )
            )
            done += len(made.images)
            if context.progress:
                context.progress(done, total)
    manifest = synthetic_manifest(folder, rows, real, job.id)
    manifest.save(folder)
    prepare(manifest, folder / "cache", size=real.images.shape[1])
    _sample_grid(folder, manifest)
    invalid = sum(row["mask_source"] in {"invalid", "none"} for row in rows)
    return {"counts": {"images": len(rows), "without_mask": invalid}}


@dataclass(frozen=True)
class Made:
    """Finished synthetic images.

    Attributes:
        images: (B, H, W, 3) uint8.
        masks: (B, H, W) bool, or None.
        valid: (B,) bool: whether the mask may be used.
        sources: (B,) mask source of each.
    """

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_] | None
    valid: list[bool]
    sources: list[str]


def finish_sample(
    sample: Any, normals: npt.NDArray[np.uint8], view: Any, composite: str, mask_source: str
) -> Made:
    """Turn what a generator returned into full images with masks.

    Contents are masked by watershed, blended into their normals and the mask refined (DCDGANc section 2.3); full
    images keep the generator's own mask.
    """
    from defectbench.batch import to_uint8
    from defectbench.imaging.blending import (
        alpha_blend,
        improved_poisson_blend,
        poisson_blend,
        refine_mask,
    )
    from defectbench.imaging.watershed import content_mask

    images = to_uint8(sample["image"]).permute(0, 2, 3, 1).cpu().numpy()
    count = len(images)
    if composite == "none":
        if "mask" not in sample:
            return Made(images, None, [False] * count, ["none"] * count)
        masks = sample["mask"][:, 0].bool().cpu().numpy()
        valid = masks.reshape(count, -1).any(1)
        if "valid" in sample:
            valid &= sample["valid"].cpu().numpy()
        return Made(
            images, masks, valid.tolist(), [mask_source if ok else "invalid" for ok in valid]
        )
    side = images.shape[1]
    smallest = max(4, round(25 * (side / 256) ** 2))  # facts, section 4: 25 px at 256 px
    boundary = 5 * side / 256  # section 2.3: 5 pixels, at 256 px
    blends: Mapping[str, Callable[..., npt.NDArray[np.uint8]]] = {
        "improved_poisson": partial(improved_poisson_blend, boundary=boundary),
        "alpha": partial(alpha_blend, boundary=boundary),
        "poisson": poisson_blend,
    }
    out, masks = np.empty_like(images), np.zeros(images.shape[:3], dtype=bool)
    for i in range(count):
        raw = content_mask(images[i], view.background, min_area=smallest)
        out[i] = normals[i]
        if raw.any():
            out[i] = blends[composite](images[i], normals[i], raw)
            masks[i] = refine_mask(out[i], normals[i], raw)
    share = masks.reshape(count, -1).mean(1)
    valid = ((share > 0) & (share < LARGEST_DEFECT)).tolist()
    return Made(out, masks, valid, ["watershed" if ok else "invalid" for ok in valid])


def _sample_grid(folder: Path, manifest: Any) -> None:
    """Draw `samples.png`: a few images of each defect with their masks outlined."""
    from PIL import Image

    from defectbench.imaging.grid import grid
    from defectbench.imaging.masks import outline

    pictures, labels = [], []
    for defect in manifest.defects:
        rows = manifest.table[manifest.table["label"] == defect].head(8)
        for row in rows.itertuples():
            image = np.asarray(Image.open(folder / row.image))
            if row.mask:
                mask = np.asarray(Image.open(folder / row.mask)) > 127
                image = outline(image, mask, (255, 40, 40))
            pictures.append(image)
            labels.append(defect if len(pictures) % 8 == 1 else "")
    Image.fromarray(grid(pictures, columns=8)).save(folder / "samples.png")


def _task(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a downstream task on an arm and test it once."""
    from defectbench.bench.evaluation import plain, train_task
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
        [Stream(chosen.images, "train", augment=augment)],
        batch=spec["batch"],
        seed=derive(spec["seed"], "task"),
    )
    with_normals = None if spec["normals"] else True  # None: every row, defective or not
    found = train_task(
        task,
        data,
        folder,
        steps=spec["steps"],
        validation=ImageSet.of(real, real.rows(split="val", defective=with_normals)),
        test=lambda: ImageSet.of(real, real.rows(split="test", defective=with_normals)),
        evaluate_every=spec["evaluate_every"],
        select=spec["select"],
        machine=Machine(**context.machine),
        on_progress=context.progress,
    )
    for name in ("last.ckpt", "best.pt"):
        (folder / name).unlink(missing_ok=True)
    return {
        "metrics": plain(found.test),
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


STAGES: Mapping[str, Callable[[Job, Path, Context], dict[str, Any]]] = {
    "prepare": _prepare,
    "fit": _fit,
    "sample": _sample,
    "task": _task,
}
