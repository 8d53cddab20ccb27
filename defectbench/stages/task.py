"""The task stage: train a downstream model on an arm, and test it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.plan.job import Job
from defectbench.rng import derive
from defectbench.stages.context import Context
from defectbench.stages.select import told_funnel
from defectbench.store.jobs import Store


def train_and_test(job: Job, folder: Path, context: Context) -> dict[str, Any]:
    """Train a downstream task on an arm and test it once."""
    from defectbench.data.cache.own_masks import own_masks
    from defectbench.data.cache.prepare import Prepared
    from defectbench.data.streams.arms import training_set
    from defectbench.data.streams.module import DefectData, ImageSet, Stream
    from defectbench.data.streams.restored import open_restored
    from defectbench.machine import Machine
    from defectbench.stages.checkpoints import WEIGHTS, save_task
    from defectbench.stages.evaluation import plain, train_task
    from defectbench.stages.fit_checks import check_task
    from defectbench.stages.prepare import scan_images
    from defectbench.stages.training import initialised

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    synthetic = restored = None
    if "synthetic" in job.parents:
        made = store.folder(job.parents["synthetic"])
        synthetic, restored = Prepared.open(made / "cache"), open_restored(made)
    held = None
    if "held" in job.parents:
        held = Prepared.open(store.folder(job.parents["held"]) / "cache")
    cls = names.find("tasks", spec["task"]).load()
    check_task(spec["task"], cls.needs, real)
    chosen = training_set(
        spec["arm"],
        real,
        synthetic,
        needs_masks=bool(cls.needs & {"mask", "boxes"}),
        held_back=held,
        per_defect=spec.get("per_defect"),
        normals=spec["normals"],
        ratio=spec["ratio"],
        seed=spec["seed"],
        restored=restored,
    )
    with_normals = None if spec["normals"] else True  # None: every row, defective or not
    tested = real.rows(split="test", defective=with_normals)
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
        test=lambda: ImageSet.of(real, tested),
        evaluate_every=spec["evaluate_every"],
        select=spec["select"],
        machine=Machine(**{**context.machine, "devices": 1}),
        on_progress=context.progress,
    )
    own: dict[str, float] = {}
    if spec.get("score_size") == "own":
        data_job = Job.from_json(store.result(job.parents["data"]) or {})
        manifest = scan_images(data_job.spec, store.folder(data_job.id), context)
        rule = data_job.spec.get("masks", "nearest")
        own = task.own_scores(own_masks(real, tested, manifest, rule))
    if spec["arm"] == "raw" and "mask" in cls.needs:
        save_task(task, spec["task"], folder / WEIGHTS)  # mask scores look through it
    for name in ("last.ckpt", "best.pt"):
        (folder / name).unlink(missing_ok=True)
    return {
        "metrics": plain({**found.test, **own}),
        "details": {score: plain(by_class) for score, by_class in found.details.items()},
        "reasons": {**found.reasons, **(task.reasons if own else {})},
        "remarks": [*found.remarks, *_told_images(job, store), *_told_funnel(job, store)],
        "validation": plain(found.validation),
        "chosen_step": found.step,
        "inspector": task.describe(),
        "better": json.loads(json.dumps({**cls.better, **(cls.better_own if own else {})})),
        "parameters": sum(weight.numel() for weight in task.parameters()),
        "counts": {
            "real": chosen.n_real,
            "synthetic": chosen.n_synthetic,
            "left_out": chosen.left_out,
            **({"restored": chosen.n_restored} if chosen.n_restored else {}),
            "test": len(tested),
        },
    }


def _told_images(job: Job, store: Store) -> list[str]:
    """Say what was odd about the real images when they were prepared, e.g. masks without a pixel at this size."""
    made = store.result(job.parents["data"])
    return list(made.get("remarks", [])) if made else []


def _told_funnel(job: Job, store: Store) -> list[str]:
    """Say how many synthetic images their rules left, if there were rules."""
    made = store.result(job.parents["synthetic"]) if "synthetic" in job.parents else None
    funnel = made.get("funnel") if made else None
    return [f"synthetic images: {told_funnel(dict(funnel))}"] if funnel else []
