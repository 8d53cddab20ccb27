"""What Lightning and our loop cost over the same networks and losses in a bare loop: at most 5 % (StarGAN, DCDGANc).

Both sides train the same module from the same batches; the bare side has no Trainer, no callbacks, no clock, and steps
plain optimisers. They take turns, a few steps each, and what counts is the processor time of this process, which has one
thread: on a machine that others use too, wall time says more about them.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.performance._turns import print_ratio
from defectbench import names
from defectbench.data.cache.prepare import prepare
from defectbench.data.splitting.splits import split
from defectbench.data.streams.module import DefectData, ImageSet, Stream, View
from defectbench.machine import Machine
from defectbench.stages.training import Loop, initialised, make_trainer, quiet_lightning
from defectbench.standin import write_standin
from defectbench.standin.order import Order

CASES = {
    "star_gan": {"base": 8, "blocks": 2, "critic_base": 8, "n_critic": 1},
    "dcdgan_c": {"base": 8, "blocks": 2},
}
BATCH, STEPS, ROUNDS = 8, 12, 9


class BareTurns:
    """The same turns with plain optimisers and no Trainer."""

    def __init__(self, module, players, optimizers):
        self.module, self.players = module, players
        self.optimizers = dict(zip(players, optimizers, strict=True))

    def set_lr(self, player, lr):
        for group in self.optimizers[player].param_groups:
            group["lr"] = lr

    def _of(self, *players):
        return [p for n in players for g in self.optimizers[n].param_groups for p in g["params"]]

    @contextmanager
    def __call__(self, *players):
        others = self._of(*(n for n in self.optimizers if n not in players))
        for p in others:
            p.requires_grad_(False)
        for n in players:
            self.optimizers[n].zero_grad(set_to_none=True)
        yield self
        for n in players:
            self.optimizers[n].step()
        for p in others:
            p.requires_grad_(True)

    def backward(self, loss):
        loss.backward()

    @contextmanager
    def holding(self, *players):
        held = self._of(*players)
        before = [None if p.grad is None else p.grad.clone() for p in held]
        yield
        for p, gradient in zip(held, before, strict=True):
            p.grad = gradient


def build(name, prepared, arguments):
    cls = names.find("generators", name).load()
    return initialised(
        0,
        lambda: cls(
            size=prepared.size, defects=prepared.defects, products=prepared.products, **arguments
        ),
    )


def data_of(prepared):
    def rows(defective):
        return ImageSet.of(prepared, prepared.rows(split="train", defective=defective))

    view = View("contents", 0, 1)
    streams = [
        Stream(rows(True), "defect", view, ("flip",), "defect"),
        Stream(rows(False), "normal", augment=("flip",)),
    ]
    return DefectData(streams, batch=BATCH, seed=0)


def bare(name, prepared, arguments):
    """Give a function that trains `STEPS` steps in a bare loop and returns processor seconds per step."""
    module = build(name, prepared, arguments).train()
    optimizers = module.configure_optimizers()
    module.turn = BareTurns(module, module.turn.players, optimizers)
    data = data_of(prepared)
    module.clock.enter(0, 10**9)
    data.begin("train", module.streams, 10**9, lambda: 0)

    def run():
        started = time.process_time()
        for _ in range(STEPS):
            torch.manual_seed(module.clock.step)
            module.training_step(data.at(module.clock.step), module.clock.step)
            module.clock.tick(BATCH)
        return (time.process_time() - started) / STEPS

    return run


def lightning(name, prepared, arguments):
    """The same through the Trainer and our loop."""
    module = build(name, prepared, arguments)
    data = data_of(prepared)
    folder = Path(tempfile.mkdtemp())
    marks: list[float] = []

    class Marks(Loop):
        def on_train_batch_start(self, *arguments):
            marks.append(time.process_time())
            super().on_train_batch_start(*arguments)

    def run():
        marks.clear()
        module.clock.enter(module.clock.stage, 10**9)
        first = module.clock.step
        data.begin("train", module.streams, first + STEPS + 2, lambda: module.clock.step)
        with quiet_lightning():
            loop = Marks(folder, seed=0, images=BATCH, checkpoint_every=10**9)
            make_trainer(Machine("cpu"), [loop], max_epochs=1).fit(module, datamodule=data)
        return (marks[-1] - marks[1]) / (len(marks) - 2)  # whole steps, without the start of a fit

    return run


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    dataset = names.find("datasets", "mvtec_ad").load()()
    root = write_standin(
        "mvtec_ad",
        folder / "raw",
        Order(size=64, normals=24, defective=12, seed=0, products=["wood"]),
    )
    manifest = split(dataset.scan(root, ["wood"]), "one_third")
    prepared = prepare(manifest, folder / "cache", size=64)
    for name, arguments in CASES.items():
        print_ratio(
            name, bare(name, prepared, arguments), lightning(name, prepared, arguments), ROUNDS
        )


if __name__ == "__main__":
    main()
