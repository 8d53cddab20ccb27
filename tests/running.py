"""A table small enough to run in seconds, and ways to run it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defectbench.executors.inline import Inline
from defectbench.runner.run import Options, run_table

TABLE = """
title: Tiny
paper: tiny
table: "1"
dataset: mvtec_ad
products: [wood]
defects: {wood: [hole, liquid]}
split: one_third
methods:
  DCDGANc: {generator: dcdgan_c}
  Memoriser: {generator: memoriser}
models:
  U-Net: {task: segmentation}
entries:
  - {arm: raw}
  - {arm: enlarge, method: DCDGANc}
  - {arm: enlarge, method: Memoriser}
metrics: [pixel_auc, pixel_f1]
scores:
  replicates: 50
  metrics:
    - kd_vgg16_random_s0
    - density_coverage_k5_vgg16_random_s0
    - memorisation_vgg16_random_s0
    - lpips_alex_random_s0_pairwise
    - ic_lpips_dfmgan_lpips_alex_random_s0
    - mask_iou_raw_segmentation
    - without_predicted_defect_raw_segmentation
    - background_l1
    - background_lpips_alex_random_s0
    - change_inside
    - without_visible_change
presets:
  smoke:
    about: seconds
    stand_in: {size: 48, normals: 6, defective: 9}
    size: 32
    seeds: [0, 1]
    view: {name: contents, background: auto, dilate: 1}
    composite: improved_poisson
    fit: {images: 48, batch: 4, augment: [flip], balance: defect}
    sample: {per_defect: 4, batch: 4}
    task: {steps: 6, batch: 4, evaluate_every: 3, select: best}
    arguments:
      dcdgan_c: {base: 4, blocks: 1}
      segmentation: {encoder: tu-resnet10t, encoder_depth: 3, encoder_width: 0.25, decoder_channels: [16, 8, 8]}
  real:
    about: wants real data
    size: 32
    seeds: [0]
    fit: {images: 8, batch: 4}
    sample: {per_defect: 1}
    task: {steps: 1, batch: 1, evaluate_every: 1}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The YAML file of the tiny table."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TABLE)
    return path


def command(*arguments: object) -> list[str]:
    """The command line as a user types it."""
    return [sys.executable, "-m", "defectbench", *map(str, arguments)]


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    """Ask again and again until the answer is not empty; starved machines are slow."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


class Quiet:
    """A board that tells nobody."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def run_here(table: object, out: Path) -> None:
    """Run a table in this process, job after job."""
    outcome = run_table(str(table), Options(out=out), Inline(), Quiet(), lambda _: None)  # type: ignore[arg-type]
    assert not outcome.failed


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of the tiny table, run once, inline."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TABLE)
    run_here(folder / "tiny.yaml", folder / "out")
    return folder / "out"
