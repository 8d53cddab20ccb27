"""Draws the tiny trees that the commands are given."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from defectbench.data.manifest import Manifest
from defectbench.datasets.mvtec_ad import MVTecAD
from tests.trees import load, save, write_category


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root that holds MVTec AD's wood, very small: 6 + 2 normal images, 4 holes, 3 scratches."""
    root = tmp_path / "data"
    write_category(root / "mvtec_ad" / "wood", {"hole": 4, "scratch": 3}, train=6)
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
            save(job / moved[-1], load(real.root / name))
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
