"""Train a downstream task under the fair protocol: fixed steps, checkpoint chosen on validation data, one look at the test."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from defectbench.data.streams.module import DefectData, ImageSet, batches, tensor_tree
from defectbench.machine import Machine
from defectbench.stages.checkpoints import save_plain
from defectbench.stages.training import (
    CURVES,
    LAST,
    STATE,
    Diverged,
    Reached,
    append_curve,
    load_or_set_aside,
    read_curve,
    read_reached,
    restore_files,
    save_last,
    seed_step,
    train,
)
from defectbench.tasks.base import Task

BEST = "best.pt"


@dataclass(frozen=True)
class Inspection:
    """What an evaluation found.

    Attributes:
        test: scores on the test images.
        details: what they are for each class, by score and class.
        reasons: why some of them are NaN, by score.
        remarks: what is odd about the images, one line each.
        validation: scores on the validation images at the chosen step.
        step: the chosen step; 0 of a task that does not learn by steps.
    """

    test: Mapping[str, float]
    details: Mapping[str, Mapping[str, float]]
    reasons: Mapping[str, str]
    remarks: Sequence[str]
    validation: Mapping[str, float]
    step: int


def measure(task: Task, images: ImageSet, batch: int) -> None:
    """Show all images to the task, in evaluation mode, without gradients or padding."""
    training = task.training
    task.eval()
    with torch.no_grad():
        for part in batches(images, batch):
            task.measure(tensor_tree(part, lambda t: t.to(task.device)))
    task.train(training)


class Watch(Callback):
    """Clock, seeds, validation and checkpoints of a task's training.

    Args:
        folder: where `last.ckpt` and `best.pt` are kept.
        seed: seed of the training.
        validation: images that choose the checkpoint; none means the last step is taken.
        every: steps between looks at the validation images.
        batch: images per evaluation batch.
        select: "best" on validation, or "last".
        on_progress: called with (step, steps).
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        validation: ImageSet,
        every: int,
        batch: int,
        select: str,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.folder, self.seed, self.validation = folder, seed, validation
        self.every, self.batch, self.select, self.on_progress = every, batch, select, on_progress

    @property
    def state_key(self) -> str:
        """Where a checkpoint keeps `state_dict`."""
        return STATE

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps beside the weights: the curves up to it, and the step of the best one."""
        best = load_or_set_aside(self.folder / BEST)
        return {"curve": read_curve(self.folder), "best": best and int(best["step"])}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Reseed for this step."""
        seed_step(self.seed, 0, pl_module.clock.step, trainer.global_rank)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count; look at the validation images when it is time."""
        task: Task = pl_module
        task.clock.tick(1)
        step = task.clock.step
        if step % self.every and not task.clock.finished:
            return
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise Diverged(f"task loss became {loss} after {step} steps")
        row: dict[str, float | int] = {"stage": 0, "step": step, "images": step, "train_loss": loss}
        if self.select == "best" and len(self.validation):
            with torch.random.fork_rng():
                measure(task, self.validation, self.batch)
                task.calibrate()
                scores = task.scores()
            row |= {f"validation_{name}": value for name, value in scores.items()}
            self._keep_best(task, scores, step)
        append_curve(self.folder / CURVES, row)
        save_last(trainer, self.folder)
        if self.on_progress:
            self.on_progress(step, task.clock.budget)

    def _keep_best(self, task: Task, scores: Mapping[str, float], step: int) -> None:
        value = scores[task.monitor]
        best_path = self.folder / BEST
        if best_path.exists():
            best = torch.load(best_path, map_location="cpu", weights_only=True, mmap=True)
            sign = 1 if task.mode == "max" else -1
            if math.isnan(value) or not sign * value > sign * best["value"]:
                return
        save_plain({"value": value, "step": step, "state_dict": task.state_dict()}, best_path)


def train_task(
    task: Task,
    data: DefectData,
    folder: Path,
    *,
    steps: int,
    validation: ImageSet,
    test: Callable[[], ImageSet],
    evaluate_every: int,
    select: str,
    machine: Machine | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Train a task and test it once.

    Args:
        task: freshly built.
        data: one stream named "train".
        folder: where checkpoints, curves and pictures are kept; a killed training goes on from there.
        steps: optimiser steps; none are made with a task that does not learn by steps.
        validation: images that choose checkpoint and thresholds.
        test: gives the test images; called once, after the last choice is made.
        evaluate_every: steps between looks at the validation images.
        select: "best" on validation or "last".
        machine: device and precision.
        on_progress: called with (step, steps).

    Raises:
        Diverged: the loss is not finite.
    """
    machine = machine or Machine()
    folder.mkdir(parents=True, exist_ok=True)
    if task.by_steps:
        step = _by_steps(
            task, data, folder, steps, validation, evaluate_every, select, machine, on_progress
        )
    else:
        step = 0
        task.to("cuda" if machine.on_cuda else "cpu")
        images = batches(data.streams["train"].images, max(data.batch, 16))
        task.learn((tensor_tree(part, lambda t: t.to(task.device)) for part in images), data.seed)
    if machine.on_cuda:
        task.to("cuda")
    found: dict[str, float] = {}
    if len(validation):
        measure(task, validation, max(data.batch, 16))
        task.calibrate()
        found = task.scores()
    tested = test()
    measure(task, tested, max(data.batch, 16))
    scores = task.scores()
    details = task.details(folder)
    remarks = remarks_on(data.streams["train"].images, tested, task.defects, data.batch)
    return Inspection(scores, details, dict(task.reasons), remarks, found, step)


def _by_steps(
    task: Task,
    data: DefectData,
    folder: Path,
    steps: int,
    validation: ImageSet,
    evaluate_every: int,
    select: str,
    machine: Machine,
    on_progress: Callable[[int, int], None] | None,
) -> int:
    """Train by optimiser steps, going on from `last.ckpt` if there is one; give the chosen step, whose state the task has."""
    last = folder / LAST
    reached = _reached(folder)
    restore_files(folder, reached)
    task.clock.enter(0, steps)
    if reached and reached.step >= steps:
        content = torch.load(last, map_location="cpu", weights_only=True)
        task.load_state_dict(content["state_dict"])
    else:
        data.begin("task", frozenset({"train"}), steps, lambda: task.clock.step)
        data.workers = machine.loader_workers
        watch = Watch(
            folder,
            seed=data.seed,
            validation=validation,
            every=evaluate_every,
            batch=max(data.batch, 16),
            select=select,
            on_progress=on_progress,
        )
        train(task, data, machine, watch, last if reached else None)
    step = steps
    if select == "best" and (folder / BEST).exists():
        best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
        task.load_state_dict(best["state_dict"])
        step = int(best["step"])
    return step


def _reached(folder: Path) -> Reached | None:
    """Read how far a training had come; without the best checkpoint that it had found, it begins anew."""
    reached = read_reached(folder)
    lost = reached is not None and reached.best is not None
    if lost and load_or_set_aside(folder / BEST) is not None:
        return reached
    if lost:
        (folder / LAST).unlink(missing_ok=True)
        reached = None
    if reached is None:
        (folder / BEST).unlink(missing_ok=True)
    return reached


def remarks_on(train: ImageSet, test: ImageSet, defects: Sequence[str], batch: int) -> list[str]:
    """Say what is odd about a task's images: a defect without an image, all of one class, fewer images than a batch."""
    said = []
    for side, images in (("training", train), ("test", test)):
        shown = images.defects > 0  # (N, K)
        absent = [
            name
            for name, there in zip(defects, np.asarray(shown.any(axis=0)), strict=True)
            if not there
        ]
        if absent:
            said.append(f"no {side} image shows {', '.join(absent)}")
        if len(np.unique(shown, axis=0)) == 1:
            said.append(f"all {side} images are of one class")
    if len(train) < batch:
        said.append(f"batches of {batch} repeat the training images, which are {len(train)}")
    return said


def plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Turn scores into plain JSON values; NaN, an undefined score, becomes None."""
    content = {k: None if math.isnan(v) else round(float(v), 8) for k, v in scores.items()}
    return dict(json.loads(json.dumps(content)))
