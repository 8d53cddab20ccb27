"""KolektorSDD2 and KolektorSDD as published, and each trap of their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserErrors
from defectbench.datasets.kolektor_sdd import KolektorSDD
from defectbench.datasets.kolektor_sdd2 import KolektorSDD2
from tests.trees import noise, save, spot

POISON = b"cos\nsystem\n(S'touch unpickled'\ntR."  # runs a command if anything unpickles it


@pytest.fixture
def ksdd2(tmp_path: Path) -> Path:
    """Sizes that differ, masks that are all zero, both copies, a pickle."""
    root = tmp_path / "kolektor_sdd2"
    for split, first in (("train", 10000), ("test", 20000)):
        for index in range(3):
            stem, height = first + index, 60 + index
            save(root / split / f"{stem}.png", noise(stem, height, 23))
            mask = spot(height, 23) if index == 1 else np.zeros((height, 23), np.uint8)
            save(root / split / f"{stem}_GT.png", mask)
    for name in ("10001", "10001_GT"):
        body = (root / f"train/{name}.png").read_bytes()
        (root / f"train/{name} (copy).png").write_bytes(body)
    (root / "split_weakly_246.pyb").write_bytes(POISON)
    return root


def test_ksdd2_is_read_as_published(ksdd2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ksdd2)
    manifest = KolektorSDD2().scan(ksdd2)
    table = manifest.table.set_index("id")
    assert len(table) == 6  # neither copy, no mask taken for an image
    assert manifest.mask_threshold == 1
    assert table.loc["train/10001", "defects"] == ("defect",)
    assert table.loc["train/10000", "defects"] == ()
    assert table.loc["train/10000", "mask"] == "train/10000_GT.png"
    assert set(table["split"]) == {"train", "test"}
    assert not (ksdd2 / "unpickled").exists()
    assert KolektorSDD2().scan(ksdd2.parent).root == ksdd2  # a folder around it


def test_ksdd2_tells_every_problem(ksdd2: Path) -> None:
    (ksdd2 / "train/10000_GT.png").unlink()
    (ksdd2 / "test/20002.png").unlink()
    save(ksdd2 / "test/20001_GT.png", spot(10, 23))
    (ksdd2 / "test/20000_GT.png").write_bytes(b"")
    with pytest.raises(UserErrors) as told:
        KolektorSDD2().scan(ksdd2)
    for part in (
        "10000.png: has no mask",
        "20002_GT.png: has no image",
        "20001_GT.png: is 23x10 pixels",
        "20000_GT.png: is empty",
    ):
        assert part in str(told.value)


@pytest.fixture
def ksdd(tmp_path: Path) -> Path:
    """Two items of eight and seven parts, JPEG images and BMP masks; and the part that the authors leave out."""
    root = tmp_path / "kolektor_sdd"
    for item, parts in (("kos01", 8), ("kos21", 8), ("kos33", 7)):
        for part in range(parts):
            save(root / item / f"Part{part}.jpg", noise(part, 62, 25, channels=1))
            mask = np.zeros((62, 25), np.uint8)
            if part == 3:
                mask[10:20, 5:9] = 255
                mask[12, 9] = 255
            save(root / item / f"Part{part}_label.bmp", mask)
    (root / "split.pyb").write_bytes(POISON)
    return root


def test_ksdd_is_read_as_published(ksdd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ksdd)
    manifest = KolektorSDD().scan(ksdd)
    table = manifest.table.set_index("id")
    assert len(table) == 23
    assert table.loc["kos21/Part7", "defects"] == ()
    assert table.loc["kos33/Part3", "defects"] == ("defect",)
    assert table.loc["kos33/Part3", "mask"] == "kos33/Part3_label.bmp"
    assert set(table["group"]) == {"kos01", "kos21", "kos33"}
    assert set(table["split"]) == {""}
    assert set(table["release"]) == {"fine"}
    assert not (ksdd / "unpickled").exists()


def test_ksdd_knows_the_release_with_boxes(ksdd: Path) -> None:
    for path in ksdd.rglob("Part3_label.bmp"):
        with Image.open(path) as image:
            mask = np.array(image)
        mask[12, 9] = 0
        save(path, mask)
    assert set(KolektorSDD().scan(ksdd).table["release"]) == {"boxes"}


def test_ksdd_tells_every_problem(ksdd: Path) -> None:
    (ksdd / "kos01/Part0_label.bmp").unlink()
    (ksdd / "kos01/Part1.jpg").unlink()
    save(ksdd / "kos01/Part2_label.bmp", spot())
    with pytest.raises(UserErrors) as told:
        KolektorSDD().scan(ksdd)
    for part in ("Part0.jpg: has no mask", "Part1_label.bmp: has no image", "is 24x24 pixels"):
        assert part in str(told.value)
