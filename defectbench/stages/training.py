"""The training loops: the only place where Lightning's Trainer is built.

A generator's fit stops on images seen, checkpoints by images seen, reseeds before every step from (seed, stage, step,
rank) and can be killed at any moment: resumed from `last.ckpt` it ends with bitwise the same weights.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from defectbench import names
from defectbench.data.streams.module import DefectData
from defectbench.files import replacing, set_aside, write_text
from defectbench.generators.base import Generator
from defectbench.machine import Machine
from defectbench.rng import derive
from defectbench.stages import lifeline
from defectbench.stages.checkpoints import NOT_A_CHECKPOINT
from defectbench.stages.surroundings import alone, environment_of, leave_signals

CURVES = "losses.csv"
LAST = "last.ckpt"
GRIDS = "grid-*.png"
STATE = "defectbench"
"""Key under which `last.ckpt` keeps what is not in the module: see `Loop.state_dict`."""


class Diverged(Exception):
    """A loss or a weight became NaN or infinite; the job fails with this reason, others go on."""


class Short(Exception):
    """A training ended before its clock reached its budget; another try may not."""


def seed_step(seed: int, stage: int, step: int, rank: int) -> None:
    """Set torch's global generators for one step; what the step draws depends on nothing else.

    `torch.manual_seed` would do the same, but for every kind of device that is absent it keeps the seed and the stack
    for later: a millisecond a step, and memory that grows.
    """
    derived = derive(seed, "step", stage, step, rank)
    torch.default_generator.manual_seed(derived)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(derived)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(derived)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice on matters that are settled here (workers, loggers, srun)."""
    import logging

    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        from lightning.fabric.utilities.warnings import PossibleUserWarning

        warnings.filterwarnings("ignore", category=PossibleUserWarning)
        # https://github.com/Lightning-AI/pytorch-lightning/issues/21299: LeafSpec deprecation inside lightning
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def make_trainer(machine: Machine, callbacks: list[Callback], **options: Any) -> Trainer:
    """Build a Trainer that does nothing of its own: no logger, no bar, no checkpoints, no sanity check, no signals.

    Build and use it inside `alone`, so that no cluster and no variable of Lightning's changes it.

    Args:
        machine: devices and precision.
        callbacks: ours.
        options: further arguments of `lightning.Trainer`.
    """
    if machine.on_cuda:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    many = machine.devices > 1
    with alone(ranks=many):
        trainer = _trainer(machine, many, callbacks, options)
    leave_signals(trainer)
    return trainer


def _trainer(
    machine: Machine, many: bool, callbacks: list[Callback], options: Mapping[str, Any]
) -> Trainer:
    return Trainer(
        accelerator="gpu" if machine.on_cuda else "cpu",
        devices=machine.devices // machine.nodes,
        num_nodes=machine.nodes,
        strategy="ddp_find_unused_parameters_true" if many else "auto",
        plugins=[environment_of(machine.devices)],  # whatever cluster this machine is of
        precision=machine.resolved_precision(),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **options,
    )


def train(
    module: Any, data: DefectData, machine: Machine, callback: Callback, resume: Path | None
) -> None:
    """Train a module until its clock reaches its budget, whatever scheduler or launcher is around.

    Args:
        module: a generator or task whose clock has been entered.
        data: its streams.
        machine: devices and precision.
        callback: ours.
        resume: a `last.ckpt` to go on from.

    Raises:
        Short: the training ended before its budget.
    """
    keeps = isinstance(callback, Loop) and machine.devices == 1
    with quiet_lightning(), alone(ranks=machine.devices > 1), lifeline.at_a_step(keeps):
        trainer = make_trainer(machine, [callback], max_epochs=1)
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    clock = module.clock
    if not clock.finished:
        unit = "images" if isinstance(module, Generator) else "steps"
        raise Short(
            f"training ended after {clock.images} of {clock.budget} {unit} (stage {clock.stage}); "
            "nothing is recorded of it, run it again"
        )


class Loop(Callback):
    """Clock, seeds, curves, checkpoints and the watch for divergence of a generator's fit.

    Args:
        folder: where curves and `last.ckpt` are written.
        seed: seed of the fit.
        images: images per step over all ranks.
        checkpoint_every: images between checkpoints.
        curve_every: steps between lines of the curves.
        on_progress: called with (images seen, budget) at every line.
        on_checkpoint: called with the module after each checkpoint, on rank 0.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        images: int,
        checkpoint_every: int,
        curve_every: int = 10,
        on_progress: Callable[[int, int], None] | None = None,
        on_checkpoint: Callable[[Generator], None] | None = None,
        tensorboard: bool = False,
    ) -> None:
        self.folder, self.seed, self.images = folder, seed, images
        self.checkpoint_every, self.curve_every = checkpoint_every, curve_every
        self.on_progress, self.on_checkpoint = on_progress, on_checkpoint
        self._writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    @property
    def state_key(self) -> str:
        """Where a checkpoint keeps `state_dict`."""
        return STATE

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps beside the weights: curves and pictures up to it."""
        pictures = {
            path.name: torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
            for path in sorted(self.folder.glob(GRIDS))
        }
        return {"curve": read_curve(self.folder), "pictures": pictures}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Reseed for this step."""
        clock = pl_module.clock
        seed_step(self.seed, clock.stage, clock.step, trainer.global_rank)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, write the curves, checkpoint."""
        module: Generator = pl_module
        clock = module.clock
        clock.tick(self.images)
        before = clock.images - self.images
        if clock.step % self.curve_every == 0 or clock.finished:
            self._write_curves(trainer, module)
        due = before // self.checkpoint_every != clock.images // self.checkpoint_every
        if due or clock.finished:
            if self.on_checkpoint and trainer.is_global_zero:
                with torch.random.fork_rng():
                    self.on_checkpoint(module)
            save_last(trainer, self.folder)  # last: what it makes needless has been done
        if lifeline.asked():
            save_last(trainer, self.folder)
            raise lifeline.Halted

    def _write_curves(self, trainer: Trainer, module: Generator) -> None:
        values = {name: float(value) for name, value in module.losses.items()}
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            raise Diverged(
                f"{', '.join(wrong)} became {values[wrong[0]]} after {module.clock.images} images"
            )
        if not trainer.is_global_zero:
            return
        clock = module.clock
        if self.on_progress:
            self.on_progress(clock.images, clock.budget)
        row = {"stage": clock.stage, "step": clock.step, "images": clock.images, **values}
        append_curve(self.folder / CURVES, row)
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name.replace("_", "/", 1), value, clock.images)


def append_curve(path: Path, row: dict[str, float | int]) -> None:
    """Append a line to a CSV of losses, long form: stage, step, images, loss, value.

    A resumed fit writes the lines of steps that it repeats again: `restore_files` drops them.
    """
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(["stage", "step", "images", "loss", "value"])
        for name, value in row.items():
            if name not in {"stage", "step", "images"}:
                writer.writerow([row["stage"], row["step"], row["images"], name, f"{value:.6g}"])


def read_curve(folder: Path) -> str:
    """Give the losses written so far; "" if there are none."""
    path = folder / CURVES
    return path.read_text(encoding="utf-8") if path.exists() else ""


def save_last(trainer: Trainer, folder: Path) -> None:
    """Write `last.ckpt` whole or not at all: a kill leaves the old one."""
    if not trainer.is_global_zero:
        trainer.save_checkpoint(folder / LAST)  # takes part; the first process alone writes
        return
    with replacing(folder / LAST) as temporary:
        trainer.save_checkpoint(temporary)


@dataclass(frozen=True)
class Reached:
    """How far a training had come at its last checkpoint.

    Attributes:
        stage: of the clock.
        step: of the clock.
        images: of the clock.
        curve: the losses up to there; None if the checkpoint does not say them.
        best: step of the best checkpoint of a task so far; None where there was none.
        pictures: bytes of the pictures drawn up to there, (n,) uint8 by name.
    """

    stage: int
    step: int
    images: int
    curve: str | None
    best: int | None = None
    pictures: Mapping[str, torch.Tensor] = field(default_factory=dict)


def read_reached(folder: Path) -> Reached | None:
    """Read how far a training had come; a damaged `last.ckpt` is set aside, and the training begins anew.

    Args:
        folder: of the job.

    Returns:
        None if there is no checkpoint to go on from.
    """
    content = load_or_set_aside(folder / LAST)
    if content is None:
        return None
    clock = content["state_dict"]["clock._extra_state"]
    kept = content.get("callbacks", {}).get(STATE, {})
    return Reached(
        stage=clock["stage"],
        step=clock["step"],
        images=clock["images"],
        curve=kept.get("curve"),
        best=kept.get("best"),
        pictures=kept.get("pictures", {}),
    )


def load_or_set_aside(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint of ours, its tensors memory-mapped; one that is damaged is set aside.

    Returns:
        None if there is none, or none that can be read.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        content["state_dict"]
    except NOT_A_CHECKPOINT as why:
        set_aside(path, f"{path.stat().st_size} bytes, {why}")
        return None
    return dict(content)


def restore_files(folder: Path, reached: Reached | None) -> None:
    """Put losses and pictures as they were at the last checkpoint: without later steps, and whole if they were torn."""
    known = reached.pictures if reached else {}
    for path in folder.glob(GRIDS):
        if path.name not in known:
            path.unlink()
    for name, kept in known.items():
        path, content = folder / name, kept.numpy().tobytes()
        if path.exists() and path.read_bytes() != content:
            set_aside(path, f"{path.stat().st_size} bytes, it had {len(content)}")
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
    if reached is None or reached.curve == "":
        (folder / CURVES).unlink(missing_ok=True)
    elif reached.curve is not None:
        write_text(folder / CURVES, reached.curve)


def initialised(seed: int, build: Callable[[], Any]) -> Any:
    """Build a module with weights drawn from the seed, leaving the global generators as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "init"))
        return build()


def check_finite(module: torch.nn.Module) -> None:
    """Refuse a module with a weight that is NaN or infinite.

    Raises:
        Diverged: names the weight.
    """
    for name, value in module.state_dict().items():
        if torch.is_tensor(value) and value.is_floating_point() and not value.isfinite().all():
            raise Diverged(f"weight {name} is not finite after training")


def fit_generator(
    generator: Generator,
    data: DefectData,
    folder: Path,
    *,
    images: int,
    stages: int | None = None,
    machine: Machine | None = None,
    checkpoint_every: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_checkpoint: Callable[[Generator], None] | None = None,
    tensorboard: bool = False,
) -> Generator:
    """Train a generator for a budget of images, through all its stages; go on from `last.ckpt` if there is one.

    Args:
        generator: freshly built; `data.seed` is the seed of the fit.
        data: its streams.
        folder: where `last.ckpt` and `losses.csv` are kept.
        images: budget, images seen over all stages (a generator's `stages` divides it).
        stages: how many of its first stages are trained; all by default.
        machine: devices and precision.
        checkpoint_every: images between checkpoints; a quarter of a stage by default.
        on_progress: called with (images seen, budget of the stage).
        on_checkpoint: called with the module after each checkpoint.
        tensorboard: also write TensorBoard event files.

    Returns:
        the trained generator.

    Raises:
        Diverged: a loss or weight is not finite.
        UserError: the batch does not suit the generator or the devices.
    """
    machine = machine or Machine()
    names.check_batch(
        generator.called, {"least_batch": generator.least_batch}, data.batch, machine.devices
    )
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / LAST
    reached = read_reached(folder)
    if machine.leads:
        restore_files(folder, reached)
    plan = generator.stages(images)[:stages]
    for number, stage in enumerate(plan):
        if reached and (number < reached.stage):
            continue
        steps = math.ceil(stage.images / data.batch)
        generator.clock.enter(number, steps * data.batch)
        generator.enter(stage)
        resume = None
        if reached and number == reached.stage:
            if reached.images >= generator.clock.budget:
                content = torch.load(last, map_location="cpu", weights_only=True)
                generator.load_state_dict(content["state_dict"])
                if number == len(plan) - 1 and on_checkpoint and machine.leads:
                    with torch.random.fork_rng():
                        on_checkpoint(generator)  # what it finds is part of the result
                continue
            resume = last
        data.begin(stage.name, stage.streams, steps, lambda: generator.clock.step)
        data.workers = machine.loader_workers
        loop = Loop(
            folder,
            seed=data.seed,
            images=data.batch,
            checkpoint_every=checkpoint_every or max(stage.images // 4, data.batch),
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            tensorboard=tensorboard,
        )
        if machine.on_cuda:
            generator.to(memory_format=torch.channels_last)
        train(generator, data, machine, loop, resume)
    check_finite(generator)
    generator.eval()
    return generator
