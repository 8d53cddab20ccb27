"""Magnetic Tile Defects as published, each trap of it, and what the real images show."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserError, UserErrors
from defectbench.data.cache.prepare import prepare
from defectbench.data.files.leaks import leaks
from defectbench.data.splitting.splits import split
from defectbench.datasets.mtd import COUNTS, MTD
from tests.trees import noise, save, spot


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """All six folders, a root preview, grey edges, an empty Uneven mask."""
    root = tmp_path / "mtd"
    save(root / "dataset.jpg", noise(0))
    (root / "README.md").write_text("as published\n")
    frame = 1000
    for name in COUNTS:
        for tile in range(2):
            frame += 1000
            for shot in (1, 2):
                size = (20 + 4 * tile, 30 + shot)
                stem = root / f"MT_{name}" / "Imgs" / f"exp{shot}_num_{frame + 20 * shot}"
                save(stem.with_suffix(".jpg"), noise(frame + shot, *size, channels=1))
                mask = np.zeros(size, np.uint8) if name == "Free" else spot(*size)
                if name not in {"Free", "Uneven"}:
                    mask[4:10, 5], mask[4:10, 12], mask[3, 6:12] = 1, 9, 13
                if name == "Uneven" and (tile, shot) == (1, 2):
                    mask[:] = 0
                save(stem.with_suffix(".png"), mask)
    return root


def test_a_tree_is_read_as_published(tree: Path) -> None:
    manifest = MTD().scan(tree)
    assert len(manifest) == 6 * 4
    assert manifest.defects == ("Blowhole", "Break", "Crack", "Fray", "Uneven")
    assert manifest.products == ("magnetic_tile",)
    assert not any("dataset" in name for name in manifest.table["image"])
    free = manifest.table[~manifest.defective]
    assert len(free) == 4
    assert (free["mask"] != "").all()  # they are there, by design
    assert (manifest.table["split"] == "").all()


def test_grey_edges_are_no_defect(tree: Path, tmp_path: Path) -> None:
    manifest = MTD().scan(tree)
    assert manifest.mask_threshold == 128
    cache = prepare(manifest, tmp_path / "cache", size=64)
    row = cache.rows(defect="Crack")[0]
    height, width = 20, 31
    expected = 36 / (height * width)
    assert cache.masks[row].mean() == pytest.approx(expected, rel=0.1)


def test_an_empty_mask_stays_defective_and_is_marked(tree: Path) -> None:
    table = MTD().scan(tree).table
    empty = table[table["mask_empty"].astype(bool)]
    assert len(empty) == 1
    assert empty["defects"].iloc[0] == ("Uneven",)


def test_photographs_of_a_tile_share_a_group(tree: Path) -> None:
    table = MTD().scan(tree).table
    assert table["group"].nunique() == 12
    assert set(table.groupby("group").size()) == {2}


def test_near_frames_are_one_group_across_folders(tree: Path) -> None:
    crack = sorted((tree / "MT_Crack/Imgs").glob("exp1*.jpg"))[0]
    frame = int(crack.stem.split("_")[-1])
    for suffix in (".jpg", ".png"):
        content = crack.with_suffix(suffix).read_bytes()
        (tree / f"MT_Free/Imgs/exp6_num_{frame + 300}{suffix}").write_bytes(content)
    table = MTD().scan(tree).table.set_index("id")
    assert (
        table.loc[f"MT_Crack/{crack.stem}", "group"]
        == table.loc[f"MT_Free/exp6_num_{frame + 300}", "group"]
    )


def test_files_of_other_names_are_their_own_group(tree: Path) -> None:
    for suffix in (".jpg", ".png"):
        old = next((tree / "MT_Fray/Imgs").glob(f"exp1*{suffix}"))
        old.rename(old.with_name(f"mine{suffix}"))
    table = MTD().scan(tree).table.set_index("id")
    assert table.loc["MT_Fray/mine", "group"] == "MT_Fray/mine"


def test_unpaired_and_missized_files_are_all_named(tree: Path) -> None:
    crack = sorted((tree / "MT_Crack/Imgs").glob("*.png"))
    crack[0].unlink()
    save(crack[1], spot(50, 50))
    sorted((tree / "MT_Fray/Imgs").glob("*.jpg"))[0].unlink()
    for path in (tree / "MT_Break/Imgs").iterdir():
        path.unlink()
    with pytest.raises(UserErrors) as caught:
        MTD().scan(tree)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "has no mask" in text
    assert "is 50x50 pixels" in text
    assert "has no image" in text
    assert "MT_Break/Imgs: holds no image" in text


def test_a_missing_folder_and_a_repackaged_layout_are_refused(tree: Path) -> None:
    (tree / "MT_Crack").rename(tree / "Crack")
    with pytest.raises(UserErrors, match="MT_Crack/Imgs: no such folder"):
        MTD().scan(tree)
    with pytest.raises(UserError, match="expected the folders MT_Blowhole"):
        MTD().scan(tree / "MT_Free")


def test_the_folder_around_it_is_accepted(tree: Path) -> None:
    assert MTD().scan(tree.parent).root == tree


@pytest.mark.data
def test_the_real_images_have_the_published_counts(real_mtd: Path) -> None:
    manifest = MTD().scan(real_mtd)
    found = Counter((names or ("Free",))[0] for names in manifest.table["defects"])
    assert found == COUNTS
    assert manifest.table["mask_empty"].astype(bool).sum() == 4
    assert manifest.table["group"].nunique() == 161
    assert manifest.table.groupby("group").size().max() == 32


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("rule", ["fraction(test=0.4)", "k_fold(5, 0)", "one_third"])
def test_the_real_groups_leave_nothing_alike_on_two_sides(real_mtd: Path, rule: str) -> None:
    assert leaks(split(MTD().scan(real_mtd), rule)) == []


@pytest.mark.data
@pytest.mark.slow
def test_without_groups_the_real_images_leak(real_mtd: Path) -> None:
    manifest = MTD().scan(real_mtd)
    alone = replace(manifest, table=manifest.table.assign(group=manifest.table["id"]))
    found = leaks(split(alone, "fraction(test=0.4)"))
    assert len(found) > 100
    assert {leak.kind for leak in found} == {"near"}
