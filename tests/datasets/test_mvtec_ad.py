"""MVTec AD as published, and each trap of its layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from defectbench.config import UserError, UserErrors
from defectbench.datasets.folder import Folder
from defectbench.datasets.mvtec_ad import MVTecAD
from tests.trees import save, spot


def test_a_tree_is_read_as_published(mvtec: Path) -> None:
    manifest = MVTecAD().scan(mvtec)
    table = manifest.table.set_index("id")
    assert manifest.products == ("grid", "wood")
    assert manifest.mask_threshold == 128
    assert len(manifest) == (4 + 2 + 9) + (4 + 2 + 5)
    row = table.loc["wood/test/combined/001"]
    assert row["image"] == "wood/test/combined/001.png"
    assert row["mask"] == "wood/ground_truth/combined/001_mask.png"
    assert row["defects"] == ("combined",)
    assert (row["split"], row["mask_source"]) == ("test", "annotation")
    assert set(table["split"][table["defects"].map(len) == 0]) == {"train", "test"}
    assert not any("preview" in name for name in table["image"])
    assert set(manifest.defects) >= {"hole", "glue", "combined"}


def test_only_the_wanted_products_are_read(mvtec: Path) -> None:
    assert set(MVTecAD().scan(mvtec, ["wood"]).table["product"]) == {"wood"}
    with pytest.raises(UserErrors, match="carpet: no such folder"):
        MVTecAD().scan(mvtec, ["wood", "carpet"])
    with pytest.raises(UserError, match="did you mean 'wood'"):
        MVTecAD().scan(mvtec, ["woods"])


def test_an_extra_level_is_entered(mvtec: Path) -> None:
    outer = mvtec.parent / "mvtec_anomaly_detection"
    mvtec.rename(mvtec.parent / "mvtec")
    outer.mkdir()
    (mvtec.parent / "mvtec").rename(outer / "mvtec")
    assert MVTecAD().scan(outer).root.name == "mvtec"


def test_missing_and_missized_masks_are_both_named(mvtec: Path) -> None:
    truth = mvtec / "wood/ground_truth/hole"
    (truth / "000_mask.png").unlink()
    save(truth / "001_mask.png", spot(24, 30))
    (mvtec / "wood/test/hole/002.png").write_bytes(b"")
    with pytest.raises(UserErrors) as caught:
        MVTecAD().scan(mvtec)
    text = str(caught.value)
    assert "hole/000.png: has no mask" in text
    assert "001_mask.png: is 30x24 pixels, its image 001.png is 24x24" in text
    assert "hole/002.png: is empty" in text
    assert len(caught.value.problems) == 3


def test_masks_pair_by_stem_not_by_position(mvtec: Path) -> None:
    truth = mvtec / "wood/ground_truth/hole"
    (truth / "001_mask.png").rename(truth / "007_mask.png")
    with pytest.raises(UserErrors) as caught:
        MVTecAD().scan(mvtec)
    assert len(caught.value.problems) == 2
    assert "hole/001.png: has no mask" in str(caught.value)
    assert "007_mask.png: has no image" in str(caught.value)


def test_repackaged_copies_are_read_as_a_folder_only(mvtec: Path) -> None:
    for mask in mvtec.glob("*/ground_truth/*/*_mask.png"):
        mask.rename(mask.with_name(mask.name.replace("_mask", "")))
    with pytest.raises(UserErrors, match="has no mask"):
        MVTecAD().scan(mvtec)
    assert (Folder().scan(mvtec).table["mask"] != "").sum() == 14


def test_suffixes_compare_without_case(mvtec: Path) -> None:
    image = mvtec / "wood/test/hole/000.png"
    image.rename(image.with_suffix(".PNG"))
    mask = mvtec / "wood/ground_truth/hole/000_mask.png"
    mask.rename(mask.with_name("000_MASK.Png"))
    row = MVTecAD().scan(mvtec).table.set_index("id").loc["wood/test/hole/000"]
    assert row["image"].endswith("000.PNG")
    assert row["mask"].endswith("000_MASK.Png")


def test_empty_and_incomplete_categories_are_refused(mvtec: Path) -> None:
    shutil.rmtree(mvtec / "grid/train/good")
    (mvtec / "grid/train/good").mkdir()
    shutil.rmtree(mvtec / "wood/test")
    with pytest.raises(UserErrors) as caught:
        MVTecAD().scan(mvtec)
    assert "grid/train/good: holds no image" in str(caught.value)
    assert "wood/test: no such folder" in str(caught.value)
