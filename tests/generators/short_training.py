"""Trains a generator for a few steps on drawn batches, as the fit does, without data on disk."""

from __future__ import annotations

import warnings

import torch
from lightning import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch.utils.data import DataLoader

from defectbench.batch import Batch, Request, TrainBatch

DEFECTS = ("hole", "scratch", "stain")
PRODUCTS = ("wood", "tile")


def draw_batch(
    count: int = 4, size: int = 32, *, seed: int = 0, defective: bool = True, contents: bool = False
) -> Batch:
    """Draw images with a bright box as the defect; class and product are seen in its colour and the background's."""
    rng = torch.Generator().manual_seed(seed)
    kinds, product = torch.arange(count) % len(DEFECTS), torch.arange(count) % len(PRODUCTS)
    background = (product.float() * 0.4 - 0.5)[:, None, None, None]
    image = background + 0.1 * torch.randn(count, 3, size, size, generator=rng)
    if contents:
        image = torch.full_like(image, -1.0)
    mask = torch.zeros(count, 1, size, size)
    if defective:
        corner = torch.randint(size // 8, size // 2, (count, 2), generator=rng)
        for row, (y, x) in enumerate(corner.tolist()):
            mask[row, :, y : y + size // 4, x : x + size // 4] = 1
        colour = torch.eye(3)[kinds][..., None, None] - 0.2  # (B, 3, 1, 1)
        image = torch.where(mask.bool(), colour, image)
    labels = torch.eye(len(DEFECTS))[kinds] * defective
    return Batch(
        image=image.clamp(-1, 1),
        mask=mask,
        defects=labels,
        product=product,
        synthetic=torch.zeros(count, dtype=torch.bool),
    )


def train_batch(streams, *, seed: int = 0, contents: bool = False, **options) -> TrainBatch:
    """Draw one batch of the streams that a generator wants."""
    batch: TrainBatch = {}
    if "defect" in streams:
        batch["defect"] = draw_batch(seed=seed, contents=contents, **options)
    if "normal" in streams:
        batch["normal"] = draw_batch(seed=seed + 1, defective=False, contents=contents, **options)
    return batch


class _Steps(Callback):
    """Seeds before and counts after every step, and gathers the losses."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer, module, batch, step):
        torch.manual_seed(step)

    def on_train_batch_end(self, trainer, module, outputs, batch, step):
        module.clock.tick(len(next(iter(batch.values()))["image"]))
        self.losses.append({name: float(value) for name, value in module.losses.items()})


def train(module, steps: int, *, precision: str = "32-true", batch=None) -> list[dict[str, float]]:
    """Train on one batch repeated, and give the losses of each step."""
    batch = batch or train_batch(module.streams)
    module.clock.budget = steps * 4
    counter = _Steps()
    trainer = Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[counter],
        plugins=[LightningEnvironment()],  # whatever scheduler the machine has
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers
        trainer.fit(module, DataLoader([batch] * steps, batch_size=None))
    return counter.losses


def moved(before: dict[str, torch.Tensor], module) -> list[str]:
    """Name the trainable parameters that stayed where they were."""
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and torch.equal(before[name], parameter)
    ]


def build(generator, seed: int = 0, size: int = 32, **arguments):
    """Build a generator at its tiny arguments, over which the given ones win."""
    torch.manual_seed(seed)
    options = {**generator.tiny, **arguments}
    return generator(size=size, defects=DEFECTS, products=PRODUCTS, **options)


def check_trains(module, *, steps: int = 3, precision: str = "32-true", batch=None) -> None:
    """Every trainable weight moves and stays finite."""
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    train(module, steps, precision=precision, batch=batch)
    assert moved(before, module) == []
    assert all(p.isfinite().all() for p in module.parameters())


def sample(module, request, seed: int = 0):
    """Synthesise as the sample stage does: evaluation mode, no gradients."""
    with torch.no_grad():
        return module.eval().synthesise(request, torch.Generator().manual_seed(seed))


def asked(**more) -> Request:
    """Ask for four images of the three defects in turn, on normal images; `more` wins."""
    batch = draw_batch(defective=False)
    labels = torch.eye(3)[torch.arange(4) % 3]
    return Request(
        **{"defects": labels, "product": batch["product"], "normal": batch["image"], **more}
    )


def millions(network) -> float:
    """Count the parameters of a network, in millions."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def trainable(module) -> set[str]:
    """Name the parameters that are not frozen."""
    return {name for name, p in module.named_parameters() if p.requires_grad}


def learned(module, stage: int, steps: int = 2, precision: str = "32-true") -> set[str]:
    """Train a stage for a few steps, and name the weights that moved; all must stay finite."""
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    named = module.stages(1000)[stage]
    module.clock.enter(stage, 1000)
    module.enter(named)
    train(module.train(), steps, precision=precision, batch=train_batch(named.streams))
    assert all(p.isfinite().all() for p in module.parameters())
    return trainable(module) - set(moved(before, module))


def request_of(batch: Batch) -> Request:
    """Ask for images like these: the same labels, products and masks, with these images as references."""
    return Request(
        defects=batch["defects"], product=batch["product"], mask=batch["mask"], reference=batch
    )
