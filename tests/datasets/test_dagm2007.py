"""DAGM 2007 as published, and each trap of its layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserErrors
from defectbench.data.files.decoding import decode_mask
from defectbench.datasets.dagm2007 import DAGM2007, read_labels
from tests.trees import noise, save, spot


def write_class(folder: Path, number: int) -> None:
    """Write one class: Train with an odd and Test with an even number of each kind, upper-case suffixes, CRLF."""
    for split, first in (("Train", 576), ("Test", 1)):
        lines = [str(number)]
        for index in range(first, first + 3):
            stem = f"{index:04d}"
            save(folder / split / f"{stem}.PNG", noise(index, channels=1))
            defective = index == first + 2
            if defective:
                mask = np.zeros((24, 24), np.uint8)
                mask[3, 3:5] = 255  # two pixels, as in Class8
                save(folder / split / "Label" / f"{stem}_label.PNG", mask)
            label = f"{stem}_label.PNG" if defective else "0"
            lines.append(f"{index}\t{int(defective)}\t{stem}.PNG\t0\t{label}")
        (folder / split / "Label").mkdir(exist_ok=True)
        (folder / split / "Label/Labels.txt").write_bytes("\r\n".join([*lines, ""]).encode())


@pytest.fixture
def dagm(tmp_path: Path) -> Path:
    """One class in a single folder, one in a doubled one."""
    root = tmp_path / "dagm2007"
    write_class(root / "Class1", 1)
    write_class(root / "Class8/Class8", 8)
    return root


def test_single_and_doubled_class_folders_are_read(dagm: Path) -> None:
    manifest = DAGM2007().scan(dagm)
    table = manifest.table.set_index("id")
    assert manifest.products == ("Class1", "Class8")
    assert len(table) == 12
    row = table.loc["Class8/test/0003"]
    assert row["image"] == "Class8/Class8/Test/0003.PNG"
    assert row["defects"] == ("defect",)
    assert int(decode_mask(dagm / row["mask"], manifest.mask_threshold).sum()) == 2
    assert table.loc["Class1/train/0576", "defects"] == ()
    assert table.loc["Class1/train/0576", "mask"] == ""


def test_a_pack_with_a_top_folder_and_missing_classes_is_read(dagm: Path) -> None:
    top = dagm.parent / "download" / "DAGM_KaggleUpload"
    top.parent.mkdir()
    dagm.rename(top)
    shutil.rmtree(top / "Class8")
    manifest = DAGM2007().scan(top.parent)
    assert manifest.products == ("Class1",)
    with pytest.raises(UserErrors, match="Class2: no such folder"):
        DAGM2007().scan(top, ["Class2"])


def test_lower_case_suffixes_are_read(dagm: Path) -> None:
    for path in [*(dagm / "Class1").rglob("*.PNG")]:
        path.rename(path.with_suffix(".png"))
    assert len(DAGM2007().scan(dagm, ["Class1"])) == 6


def test_a_row_flagged_without_a_mask_is_named(dagm: Path) -> None:
    (dagm / "Class1/Train/Label/0578_label.PNG").unlink()
    with pytest.raises(UserErrors, match=r"0578\.PNG: is defective by Labels\.txt but has no mask"):
        DAGM2007().scan(dagm)


def test_a_mask_against_the_list_is_named(dagm: Path) -> None:
    save(dagm / "Class1/Test/Label/0001_label.PNG", spot())
    save(dagm / "Class1/Test/Label/0099_label.PNG", spot())
    with pytest.raises(UserErrors) as told:
        DAGM2007().scan(dagm)
    assert "Labels.txt says that 0001.PNG is normal" in str(told.value)
    assert "0099_label.PNG: has no image" in str(told.value)


def test_without_a_list_the_masks_decide(dagm: Path) -> None:
    (dagm / "Class1/Test/Label/Labels.txt").unlink()
    table = DAGM2007().scan(dagm).table.set_index("id")
    assert table.loc["Class1/test/0003", "defects"] == ("defect",)


def test_the_list_is_read_with_padding_and_without(tmp_path: Path) -> None:
    path = tmp_path / "Labels.txt"
    path.write_bytes(b"1\r\n0576\t0\t0576.PNG\t0\t0\r\n577\t1\t0577.PNG\t0\t0577_label.PNG\r\n\r\n")
    assert read_labels(path) == {576: False, 577: True}
    path.write_bytes(b"576\t0\t0576.PNG\t0\t0\n")  # without the line of one field
    assert read_labels(path) == {576: False}
    path.write_bytes(b"1\n576 0 0576.PNG\n")
    with pytest.raises(ValueError, match="line 2"):
        read_labels(path)
