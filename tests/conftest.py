"""Shared fixtures: a small decoded cache of drawn images, and one thread for everything."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_OFFLINE", "1")
# Commands in tests train on stand-ins; real data are for the tests that ask for them (fixtures `data_root`, `real_mtd`).
if _given := os.environ.pop("DEFECTBENCH_DATA", ""):
    os.environ["DEFECTBENCH_TEST_DATA"] = _given

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from defectbench import cli
from defectbench.data.cache.prepared import Prepared
from defectbench.data.manifest import Manifest
from tests.running import finished, table  # noqa: F401  (fixtures)
from tests.trees import mvtec, real_mtd  # noqa: F401  (fixtures)

REPOSITORY = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of minutes come first, so that no worker ends alone with one."""

    def minutes(item: pytest.Item) -> float:
        marker = item.get_closest_marker("slow")
        return float(marker.kwargs.get("minutes", 0)) if marker else 0.0

    items.sort(key=minutes, reverse=True)


IMAGE_OPEN = Image.open


@pytest.fixture(autouse=True)
def _pillows_own_open():
    """Tests that import ultralytics themselves leave its wrapper of `Image.open` behind."""
    Image.open = IMAGE_OPEN


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Sums depend on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real datasets; tests with the marker `data` are skipped where there is none."""
    root = Path(os.environ.get("DEFECTBENCH_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "mtd").is_dir():
        pytest.skip("no real dataset: set DEFECTBENCH_DATA")
    return root


def draw_tree(
    folder: Path, *, size: int = 40, count: int = 8, defects: tuple[str, ...] = ("bright", "dark")
) -> Manifest:
    """Write tiny images with a bright or a dark square each, masks and a manifest; three splits."""
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, n in (("train", count), ("val", count // 2), ("test", count // 2)):
        for kind in (*defects, ""):
            for i in range(n):
                image = rng.normal(120, 12, (size, size, 3)).clip(0, 255)
                mask = np.zeros((size, size), np.uint8)
                if kind:
                    side = int(rng.integers(size // 4, size // 2))
                    y, x = rng.integers(2, size - side - 2, 2)
                    mask[y : y + side, x : x + side] = 255
                    image[mask > 0] = rng.normal(
                        230 if kind == "bright" else 25, 8, ((mask > 0).sum(), 3)
                    ).clip(0, 255)
                name = f"{split}-{kind or 'good'}-{i}"
                Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{name}.png")
                Image.fromarray(mask).save(folder / "images" / f"{name}_mask.png")
                rows.append(
                    {
                        "id": name,
                        "image": f"images/{name}.png",
                        "mask": f"images/{name}_mask.png" if kind else "",
                        "product": "plate",
                        "defects": (kind,) if kind else (),
                        "split": split,
                        "group": name,
                        "source": "real",
                        "mask_source": "annotation" if kind else "none",
                    }
                )
    return Manifest(
        table=pd.DataFrame(rows).sort_values("id").reset_index(drop=True),
        root=folder,
        dataset="squares",
        defects=defects,
        products=("plate",),
        stand_in=True,
    )


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A decoded cache at 32 px: bright and dark squares on noise."""
    from defectbench.data.cache.prepare import prepare

    folder = tmp_path_factory.mktemp("squares")
    return prepare(draw_tree(folder / "raw"), folder / "cache", size=32)


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `defectbench ARGUMENTS...` through its front door."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DEFECTBENCH_DATA", raising=False)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")

    def go(*arguments: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["defectbench", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        else:
            code = 0
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return Outcome(code, told.out, told.err)

    return go
