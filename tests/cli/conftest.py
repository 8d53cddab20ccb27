"""Draws the tiny trees that the commands are given."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.data.manifest import Manifest
from defectbench.datasets.mvtec_ad import MVTecAD


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write an array as an image, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def spot(side: int = 24) -> np.ndarray:
    """Draw a mask with one square spot."""
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[6:16, 8:18] = 255
    return mask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root that holds MVTec AD's wood, very small: 6 + 2 normal images, 4 holes, 3 scratches."""
    rng = np.random.default_rng(0)

    def noise() -> np.ndarray:
        return rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)

    root = tmp_path / "data"
    wood = root / "mvtec_ad" / "wood"
    for part, count in (("train", 6), ("test", 2)):
        for i in range(count):
            save(wood / f"{part}/good/{i:03d}.png", noise())
    for defect, count in (("hole", 4), ("scratch", 3)):
        for i in range(count):
            save(wood / f"test/{defect}/{i:03d}.png", noise())
            save(wood / f"ground_truth/{defect}/{i:03d}_mask.png", spot())
    (wood / "license.txt").write_text("as published\n")
    return root


@pytest.fixture
def synthetic(data: Path, tmp_path: Path) -> Path:
    """What a sample job leaves: images, masks and a manifest of them, with provenance."""
    real = MVTecAD().scan(data / "mvtec_ad")
    table = real.table[real.defective].reset_index(drop=True)
    job = tmp_path / "job"
    for column in ("image", "mask"):
        moved = []
        for number, name in enumerate(table[column]):
            moved.append(f"{column}s/{number:06d}.png")
            with Image.open(real.root / name) as image:
                save(job / moved[-1], np.array(image))
        table[column] = moved
    table["id"] = [f"job/{number:06d}" for number in range(len(table))]
    table["group"], table["split"], table["source"] = table["id"], "train", "job"
    table["mask_source"] = "generated"
    table["seed"], table["label"] = "7", [names[0] for names in table["defects"]]
    table["normal"], table["reference"] = "wood/train/good/000", ""
    Manifest(table, job, "mvtec_ad", real.defects, real.products, 128).save(job)
    return job


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    """Hash every file of a tree and note when it was changed; folders count as well."""
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(root.rglob("*"))
    }
