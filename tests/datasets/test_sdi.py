"""SDI as published, and each trap of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.files.decoding import decode_image
from defectbench.datasets.sdi import SDI
from tests.trees import noise, save

CODES = {"scratches": "sc", "spots": "sp"}


@pytest.fixture
def sdi(tmp_path: Path) -> Path:
    """Product A in grey, B in colour, C left out; one picture twice, with either label."""
    root = tmp_path / "SDI_DATASET_v1"
    for product, channels in (("A", 1), ("B", 3)):
        for number in range(1, 4):
            save(
                root / f"{product}_ok/{product}_ok_{number:05d}.jpg",
                noise(number, channels=channels),
            )
        for split in ("train", "val", "test"):
            for kind, code in CODES.items():
                name = f"{product}_{code}_{split}_00001.jpg"
                save(
                    root / f"{product}_nok/{split}/{kind}/{name}",
                    noise(len(split) * 10 + len(kind) + 100 * (split == "val"), channels=channels),
                )
    twin = (root / "A_nok/train/scratches/A_sc_train_00001.jpg").read_bytes()
    (root / "A_nok/test/spots/A_sp_test_00001.jpg").write_bytes(twin)
    return root


def test_folders_say_product_split_and_type(sdi: Path) -> None:
    manifest = SDI().scan(sdi)
    table = manifest.table.set_index("id")
    assert manifest.products == ("A", "B")
    assert len(table) == 2 * (3 + 6)
    assert set(table.loc[[i for i in table.index if "_ok/" in i], "split"]) == {""}
    row = table.loc["B_nok/val/spots/B_sp_val_00001"]
    assert (row["product"], row["split"], row["defects"]) == ("B", "val", ("spots",))
    assert set(table["mask"]) == {""}
    assert set(table["mask_source"]) == {"none"}


def test_grey_and_coloured_jpegs_become_rgb(sdi: Path) -> None:
    table = SDI().scan(sdi).table.set_index("id")
    for id_, mode in (("A_ok/A_ok_00001", "L"), ("B_ok/B_ok_00001", "RGB")):
        path = sdi / table.loc[id_, "image"]
        with Image.open(path) as image:
            assert image.mode == mode
        assert decode_image(path).shape == (24, 24, 3)


def test_a_picture_with_two_labels_is_one_group(sdi: Path) -> None:
    table = SDI().scan(sdi).table.set_index("id")
    twins = ["A_nok/train/scratches/A_sc_train_00001", "A_nok/test/spots/A_sp_test_00001"]
    assert table.loc[twins[0], "group"] == table.loc[twins[1], "group"]
    assert table["group"].nunique() == len(table) - 1
    assert table.loc[twins[0], "defects"] != table.loc[twins[1], "defects"]


def test_a_git_lfs_pointer_in_place_of_the_archive_is_recognised(tmp_path: Path) -> None:
    archive = tmp_path / "SDI_DATASET_v1.zip"
    archive.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:d33ea340\nsize 1647097112\n"
    )
    for root in (tmp_path, archive):
        with pytest.raises(UserError, match="Git LFS pointer, not the archive"):
            SDI().scan(root)
    archive.write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="unpack this archive"):
        SDI().scan(tmp_path)


def test_the_archive_beside_the_unpacked_folder_does_not_matter(sdi: Path) -> None:
    (sdi.parent / "SDI_DATASET_v1.zip").write_bytes(b"PK\x03\x04")
    assert SDI().scan(sdi.parent).root == sdi


def test_every_problem_is_told(sdi: Path) -> None:
    (sdi / "A_ok/A_ok_00001.jpg").write_bytes(b"")
    (sdi / "B_nok/val/spots/B_sp_val_00001.jpg").unlink()
    with pytest.raises(UserErrors) as told:
        SDI().scan(sdi)
    assert "A_ok_00001.jpg: is empty" in str(told.value)
    assert "val/spots: holds no image" in str(told.value)
