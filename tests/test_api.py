"""The Python API does what the command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import defectbench
from defectbench.config import UserError
from defectbench.generators.star_gan import StarGan
from defectbench.stages.checkpoints import save_generator
from tests.generators.short_training import DEFECTS, build
from tests.trees import noise, save

METRICS = ("fd_vgg16_random_s0", "kd_vgg16_random_s0")


def stack(first: int, count: int) -> np.ndarray:
    return np.stack([noise(first + i, 32, 32) for i in range(count)])


def test_import_brings_no_torch():
    code = "import sys, defectbench; assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = defectbench.scores


def test_arrays_tensors_and_folders_give_the_same_scores(tmp_path: Path):
    real, fake = stack(0, 6), stack(100, 6)
    for i, image in enumerate(fake):
        save(tmp_path / "fake" / f"{i:03d}.png", image)
    tensor = torch.from_numpy(real).permute(0, 3, 1, 2).float() / 127.5 - 1
    arrays = defectbench.score(real, fake, metrics=METRICS, replicates=0)
    others = defectbench.score(tensor, tmp_path / "fake", metrics=METRICS, replicates=0)
    assert set(METRICS) <= set(arrays["name"])
    pd.testing.assert_frame_equal(arrays, others)


def test_an_array_of_another_kind_is_refused():
    with pytest.raises(UserError, match="expected uint8"):
        defectbench.score(stack(0, 3).astype(np.float64), stack(1, 3))


def test_a_finished_table_is_read_as_numbers(finished: Path):
    table = defectbench.load_table(
        next(p for p in (finished / "tiny").glob("*.smoke.csv") if ".gain" not in p.name)
    )
    assert table["mean"].dtype == float
    assert set(table["method"]) >= {"DCDGANc", "Memoriser"}


def test_running_a_finished_table_does_nothing(finished: Path):
    (done,) = defectbench.run(finished.parent / "tiny.yaml", out=finished)
    assert done.outcome.done == 0
    assert not done.failed
    assert len(done.table)
    assert {"gain", "ci_low", "ci_high"} <= set(done.gains.columns)


def test_a_fitted_generator_samples_from_arrays(tmp_path: Path):
    module = build(StarGan)
    save_generator(module, "star_gan", tmp_path / "generator.ckpt", {}, DEFECTS)
    fitted = defectbench.load_generator(tmp_path / "generator.ckpt")
    normal = stack(3, 2)
    normal = np.repeat(np.repeat(normal, fitted.size // 32 or 1, 1), fitted.size // 32 or 1, 2)
    first = fitted.sample(fitted.defects[0], normal=normal, count=3, seed=5)
    again = fitted.sample(fitted.defects[0], normal=normal, count=3, seed=5)
    assert first.images.shape == (3, fitted.size, fitted.size, 3)
    assert first.masks.dtype == bool
    np.testing.assert_array_equal(first.images, again.images)
    with pytest.raises(UserError, match="normal"):
        fitted.sample(fitted.defects[0])
