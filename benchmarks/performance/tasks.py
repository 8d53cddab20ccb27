"""What Lightning and our loop cost over the same network and loss in a bare loop, per downstream task: at most 5 %.

Both sides train the same network from the same batches. The bare side calls the library's network and loss with targets
made beforehand (classes, boxes) and steps a plain optimiser: no Trainer, callbacks, clock, schedule or targets from
masks. They take turns, a few steps each, so that a stall of the machine meets both, and processor time is counted, for the
same reason. The configurations are those of the smoke presets, batch included: the shorter the step, the more the loop weighs.
A frozen classifier's step at 64 px is the shortest, and the milliseconds that Lightning takes whatever the network show there.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from benchmarks.performance._turns import print_ratio
from defectbench import names
from defectbench.batch import Batch
from defectbench.data.streams.module import ImageSet
from defectbench.machine import Machine
from defectbench.stages.evaluation import Watch
from defectbench.stages.training import initialised, make_trainer, quiet_lightning

SIZE, STEPS, ROUNDS = 64, 10, 21
SECONDS_STEPS = 300  # a usual training of the house tables
RESNET = {"encoder": "tu-resnet10t", "encoder_width": 0.5}
BATCH = {"segmentation": 8, "classification": 16, "detection": 8}
SEEING = {"weights": "imagenet"}
CASES = {
    "segmentation, U-Net": (
        "segmentation",
        {**RESNET, "encoder_depth": 3, "decoder_channels": [32, 16, 8]},
    ),
    "segmentation, Res": (
        "segmentation",
        {**RESNET, "architecture": "res", "encoder_depth": 4, "decoder_channels": [64, 32]},
    ),
    "classification": (
        "classification",
        {"model": "resnet10t", "width": 0.5},
    ),
    "detection, RetinaNet": (
        "detection",
        {"model": "retinanet", "backbone": "resnet10t", "width": 0.25, "channels": 32},
    ),
    "detection, YOLO11n": ("detection", {"model": "yolo11n"}),
    "segmentation, U-Net on Lite0": ("segmentation", SEEING),
    "segmentation, FPN on Lite0": ("segmentation", {**SEEING, "architecture": "fpn"}),
    "classification, Lite0 frozen": ("classification", SEEING),
    "classification, Lite0": ("classification", {**SEEING, "encoder_rate": 0.3}),
    "detection, FCOS on Lite0": ("detection", {**SEEING, "model": "fcos"}),
}


def batches(size: int) -> list[Batch]:
    """Make batches of `size` images: noise with one bright square per image."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(STEPS + 2):
        image = rng.normal(0, 0.2, (size, 3, SIZE, SIZE)).astype(np.float32)
        mask = np.zeros((size, 1, SIZE, SIZE), np.float32)
        for row in range(size):
            y, x, side = rng.integers(4, 40, 3)
            mask[row, 0, y : y + side // 2 + 4, x : x + side // 2 + 4] = 1
        made.append(
            Batch(
                image=torch.from_numpy((image + 0.5 * mask).clip(-1, 1)),
                mask=torch.from_numpy(mask),
                defects=torch.eye(2)[torch.arange(size) % 2],
                product=torch.zeros(size, dtype=torch.long),
                synthetic=torch.arange(size) % 4 == 0,
            )
        )
    return made


def build(name, arguments):
    cls = names.find("tasks", name).load()
    return initialised(
        0,
        lambda: cls(size=SIZE, defects=("a", "b"), products=("p",), steps=10**6, **arguments),
    )


def library_loss(name, task, batch):
    """Give a function that computes the loss by the library's network and loss alone, targets ready."""
    image, mask = task.treatment.lay_out(batch["image"]), batch["mask"]
    if name == "detection":
        boxes = task.targets(batch)
        return lambda: task.detector.loss(image, boxes)
    if name == "classification":
        classes = task.targets(batch).argmax(1)
        return lambda: F.cross_entropy(task.head(task.network(image)), classes)

    def segmentation():
        logits = task.network(image)
        return F.binary_cross_entropy_with_logits(logits, mask) + task.dice(logits, mask)

    return segmentation


def bare(name, arguments, data):
    """Give a function that trains in a bare loop and returns seconds per step."""
    task = build(name, arguments).train()
    optimiser = task.configure_optimizers()["optimizer"]
    losses = [library_loss(name, task, batch) for batch in data[:STEPS]]

    def run():
        started = time.process_time()
        for make in losses:
            loss = make()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return (time.process_time() - started) / STEPS

    return run


def lightning(name, arguments, data):
    """The same through the Trainer and our loop, schedule included."""
    task = build(name, arguments)
    folder = Path(tempfile.mkdtemp())
    loader = DataLoader(data, batch_size=None)
    marks: list[float] = []

    class Marks(Watch):
        def on_train_batch_start(self, *arguments):
            marks.append(time.process_time())
            super().on_train_batch_start(*arguments)

    def run():
        marks.clear()
        task.clock.enter(0, 10**9)
        with quiet_lightning():
            watch = Marks(
                folder,
                seed=0,
                validation=ImageSet(parts=()),
                every=10**9,
                batch=BATCH[name],
                select="last",
            )
            make_trainer(Machine("cpu"), [watch], max_epochs=1).fit(task, loader)
        return (marks[-1] - marks[1]) / (len(marks) - 2)  # whole steps, without the start of a fit

    return run


def print_seconds() -> None:
    """Say how long a usual training of a pretrained U-Net takes, in processor seconds of one thread."""
    data = batches(16)
    train = lightning("segmentation", SEEING, data)
    train()
    step = min(train() for _ in range(3))
    print(
        f"segmentation, U-Net on Lite0, {SIZE} px, {SECONDS_STEPS} steps of 16: {SECONDS_STEPS * step:.0f} s",
        flush=True,
    )


def main() -> None:
    torch.set_num_threads(1)
    print_seconds()
    for label, (name, arguments) in CASES.items():
        data = batches(BATCH[name])
        print_ratio(label, bare(name, arguments, data), lightning(name, arguments, data), ROUNDS)


if __name__ == "__main__":
    main()
