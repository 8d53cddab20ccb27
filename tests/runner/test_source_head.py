"""The source head, through arms and loop of the benchmark: features forget what only synthetic images carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from defectbench.data.cache.prepare import prepare
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.arms import training_set
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.stages.evaluation import train_task
from defectbench.stages.training import initialised
from defectbench.tasks.classification import Classification
from tests.conftest import draw_tree

SIZE = 32
CHECKS = 50  # grey values either way of the checkerboard


def real_images(folder: Path) -> Prepared:
    """Bright and dark squares, and plates without any."""
    return prepare(draw_tree(folder / "real", size=SIZE, count=80), folder / "cache", size=SIZE)


def watermarked(real: Prepared, folder: Path) -> Prepared:
    """The same images as a generator would give them that leaves a checkerboard, as transposed convolutions do."""
    manifest = draw_tree(folder / "synthetic", size=SIZE, count=80)
    table = manifest.table.assign(source="watermarker", split="train")
    cache = prepare(replace(manifest, table=table), folder / "synthetic cache", size=SIZE)
    images = np.load(cache.folder / "images.npy")
    at = np.arange(SIZE)
    checks = CHECKS * (1 - 2 * ((at[:, None] // 2 + at // 2) % 2))[..., None]
    np.save(
        cache.folder / "images.npy", (images.astype(int) + checks).clip(0, 255).astype(np.uint8)
    )
    assert cache.defects == real.defects
    return Prepared.open(cache.folder)


def trained(real: Prepared, synthetic: Prepared, folder: Path, head: str) -> Classification:
    """Train on both as a table does."""
    steps = 300
    task: Classification = initialised(
        0,
        lambda: Classification(
            size=SIZE,
            defects=real.defects,
            products=real.products,
            steps=steps,
            model="resnet10t",
            width=0.25,
            norm="batch",
            source_strength=3.0,
            source_head=head,  # type: ignore[arg-type]
            optimizer="sgd",
            lr=0.02,
            schedule="constant",
            warmup=0.0,
        ),
    )
    chosen = training_set("enlarge", real, synthetic, needs_masks=False, normals=80)
    found = train_task(
        task,
        DefectData([Stream(chosen.images, "train")], batch=16, seed=0),
        folder,
        steps=steps,
        validation=ImageSet.of(real, real.rows(split="val")),
        test=lambda: ImageSet.of(real, real.rows(split="test")),
        evaluate_every=steps,
        select="last",
    )
    assert found.test["accuracy"] > 0.9, "it still tells the defects apart"
    return task.eval()


def probed(task: Classification, real: Prepared, synthetic: Prepared) -> float:
    """Fit a logistic regression on frozen features, real against synthetic; its accuracy on images it has not seen."""

    def features(images: ImageSet) -> Tensor:
        with torch.no_grad():
            found: Tensor = task.network(images.all()["image"])
        return found.double()

    sides = [
        features(ImageSet.of(cache, cache.rows(defective=True))) for cache in (real, synthetic)
    ]
    count = min(map(len, sides))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    x = torch.stack([side[order] for side in sides])  # (2, N, F)
    x = (x - x.mean((0, 1))) / (x.std((0, 1)) + 1e-6)
    y = torch.tensor([0.0, 1.0]).double().view(2, 1).expand(2, count)
    half = count // 2
    weights = torch.zeros(x.shape[2], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            x[:, :half] @ weights + bias, y[:, :half]
        )
        loss = loss + 1e-4 * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        right = (x[:, half:] @ weights + bias > 0) == (y[:, half:] > 0)
    return float(right.double().mean())


@pytest.mark.slow
def test_a_probe_for_the_watermark_falls_towards_chance_with_the_source_head(tmp_path: Path):
    real = real_images(tmp_path)
    synthetic = watermarked(real, tmp_path)
    found = {
        head: probed(trained(real, synthetic, tmp_path / head, head), real, synthetic)
        for head in ("none", "ganin")
    }
    assert found["none"] > 0.9
    assert found["ganin"] < 0.75
