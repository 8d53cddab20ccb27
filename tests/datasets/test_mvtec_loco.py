"""MVTec LOCO as published, and each trap of its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserErrors
from defectbench.data.cache.prepare import prepare
from defectbench.data.export import export
from defectbench.data.files.decoding import BadFile
from defectbench.data.files.digests import source_digest
from defectbench.data.files.mask_parts import decode_merged, mask_files
from defectbench.datasets.mvtec_loco import MVTecLOCO
from defectbench.single.checking import check
from tests.trees import noise, save, spot


@pytest.fixture
def loco(tmp_path: Path) -> Path:
    root = tmp_path / "mvtec_loco"
    bag = root / "screw_bag"
    for place in ("train/good/000", "train/good/001", "validation/good/000", "test/good/000"):
        save(bag / f"{place}.png", noise(len(place)))
    for stem in ("000", "001"):
        save(bag / f"test/logical_anomalies/{stem}.png", noise(int(stem) + 50))
    save(bag / "test/structural_anomalies/000.png", noise(60))
    # two masks of one image, values 236 and 255, overlapping by a pixel
    first, second = np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
    first[2:6, 2:6] = 236
    second[5:9, 5:9] = 255
    truth = bag / "ground_truth"
    save(truth / "logical_anomalies/000/000.png", first)
    save(truth / "logical_anomalies/000/001.png", second)
    save(truth / "logical_anomalies/001/000.png", spot(value=240))
    save(truth / "structural_anomalies/000/000.png", spot())
    (root / "screw_bag/defects_config.json").write_text("[]")
    return root


def test_masks_in_several_files_are_merged(loco: Path) -> None:
    manifest = MVTecLOCO().scan(loco)
    table = manifest.table.set_index("id")
    assert manifest.mask_threshold == 1
    row = table.loc["screw_bag/test/logical_anomalies/000"]
    mask = decode_merged(loco / row["mask"], manifest.mask_threshold)
    assert int(mask.sum()) == 16 + 16 - 1
    assert row["mask_source"] == "annotation"
    assert table.loc["screw_bag/test/logical_anomalies/001", "mask"].endswith("001/000.png")
    assert int(
        decode_merged(loco / table.loc["screw_bag/test/logical_anomalies/001", "mask"], 1).sum()
    )


def test_splits_and_types_come_from_folders(loco: Path) -> None:
    table = MVTecLOCO().scan(loco).table.set_index("id")
    assert table.loc["screw_bag/validation/good/000", "split"] == "val"
    assert table.loc["screw_bag/test/structural_anomalies/000", "defects"] == (
        "structural_anomalies",
    )
    assert len(table) == 7


def test_every_problem_is_told(loco: Path) -> None:
    truth = loco / "screw_bag/ground_truth"
    save(truth / "logical_anomalies/000/001.png", spot(24, 30))
    (truth / "logical_anomalies/001/000.png").unlink()
    (truth / "structural_anomalies/000").rename(truth / "structural_anomalies/007")
    (loco / "screw_bag/validation/good/000.png").unlink()
    with pytest.raises(UserErrors) as told:
        MVTecLOCO().scan(loco)
    text = str(told.value)
    for part in (
        "001.png: is 30x24 pixels",
        "001: holds no mask",
        "000.png: has no mask; expected",
        "007: has no image of its name",
        "validation/good: holds no image",
    ):
        assert part in text


def test_merged_masks_are_exported(loco: Path, tmp_path: Path) -> None:
    done = export(MVTecLOCO().scan(loco), "mvtec", tmp_path / "out")
    with Image.open(done.folder / "screw_bag/ground_truth/logical_anomalies/000_mask.png") as mask:
        assert int((np.asarray(mask) == 255).sum()) == 31


def test_a_folder_without_masks_or_of_several_sizes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    with pytest.raises(BadFile, match="holds no mask"):
        mask_files(tmp_path / "000")
    save(tmp_path / "000/a.png", spot())
    save(tmp_path / "000/b.png", spot(12, 12))
    with pytest.raises(BadFile, match="different sizes"):
        decode_merged(tmp_path / "000", 1)


def test_merged_masks_can_be_hashed_checked_and_cached(loco: Path, tmp_path: Path) -> None:
    manifest = MVTecLOCO().scan(loco)
    before = source_digest(manifest)
    assert check(MVTecLOCO(), loco).usable
    cache = prepare(manifest, tmp_path / "cache", size=24)
    row = list(manifest.table["id"]).index("screw_bag/test/logical_anomalies/000")
    assert int(np.asarray(cache.masks[row]).sum()) == 31
    save(loco / "screw_bag/ground_truth/logical_anomalies/000/001.png", spot())
    assert source_digest(manifest) != before
