"""Tiny trees in published layouts, and the real data where there is any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import noise, save, write_category


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
    given = os.environ.get("DEFECTBENCH_DATA")
    roots = [Path(given)] if given else []
    roots.append(Path(__file__).parents[3] / "shared" / "data")
    for root in roots:
        if (root / "mtd" / "MT_Free").is_dir():
            return root / "mtd"
    pytest.skip("no real MTD images; DEFECTBENCH_DATA names a folder that holds mtd/")
