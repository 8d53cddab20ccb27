"""Draws and writes the tiny trees that the tests of the data package read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write an array as an image, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def load(path: Path) -> np.ndarray:
    """Read an image as it is stored."""
    with Image.open(path) as image:
        return np.array(image)


def noise(seed: int, height: int = 24, width: int = 24, channels: int = 3) -> np.ndarray:
    """Draw an image that resembles no other."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def spot(height: int = 24, width: int = 24, value: int = 255) -> np.ndarray:
    """Draw a mask with one square spot."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[4:10, 6:12] = value
    return mask


def write_category(
    folder: Path,
    defects: dict[str, int],
    train: int = 4,
    test: int = 2,
    channels: int = 3,
    side: int = 24,
) -> Path:
    """Write one category as MVTec AD has it, each image its own noise."""
    seed = [sum(folder.name.encode()) * 1000]

    def draw() -> np.ndarray:
        seed[0] += 1
        return noise(seed[0], side, side, channels)

    for i in range(train):
        save(folder / f"train/good/{i:03d}.png", draw())
    for i in range(test):
        save(folder / f"test/good/{i:03d}.png", draw())
    for defect, count in defects.items():
        for i in range(count):
            save(folder / f"test/{defect}/{i:03d}.png", draw())
            save(folder / f"ground_truth/{defect}/{i:03d}_mask.png", spot(side, side))
    (folder / "license.txt").write_text("as published\n")
    return folder


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """A tree with an RGB category, a grey one and a preview that is no sample."""
    root = tmp_path / "mvtec_ad"
    write_category(root / "wood", {"hole": 3, "scratch": 4, "combined": 2})
    write_category(root / "grid", {"bent": 3, "glue": 2}, channels=1)
    save(root / "wood" / "preview.png", noise(1))
    return root


@pytest.fixture(scope="session")
def real_mtd() -> Path:
    """The real Magnetic Tile images; skips where there are none."""
    given = os.environ.get("DEFECTBENCH_TEST_DATA")
    roots = [Path(given)] if given else []
    roots.append(Path(__file__).parents[2] / "shared" / "data")
    for root in roots:
        if (root / "mtd" / "MT_Free").is_dir():
            return root / "mtd"
    pytest.skip("no real MTD images; DEFECTBENCH_DATA names a folder that holds mtd/")
