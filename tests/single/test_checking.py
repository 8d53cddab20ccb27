"""The report on a user's copy, and the sheet that shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.datasets.folder import Folder
from defectbench.datasets.mtd import MTD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.single.checking import check, contact_sheet, count, some_of_each
from defectbench.standin import write_standin
from defectbench.standin.order import Order
from tests.trees import noise, save, spot, write_category


def test_damage_inside_a_file_is_found_only_by_decoding(mvtec: Path) -> None:
    path = mvtec / "wood/test/hole/000.png"
    content = bytearray(path.read_bytes())
    content[80:120] = bytes(40)
    path.write_bytes(content)
    assert check(MVTecAD(), mvtec, deep=False).usable
    seen: list[tuple[int, int]] = []
    report = check(MVTecAD(), mvtec, progress=lambda *done: seen.append(done))
    assert [p.split(": ")[0] for p in report.problems] == [str(path)]
    assert seen[-1] == (26, 26)


def test_odd_masks_are_noted(mvtec: Path) -> None:
    truth = mvtec / "wood/ground_truth/hole"
    save(truth / "000_mask.png", np.zeros((24, 24), np.uint8))
    edged = spot()
    edged[3, 6:12] = 9
    save(truth / "001_mask.png", edged)
    notes = " ".join(check(MVTecAD(), mvtec).notes)
    assert "6 of 8064 mask pixels are neither 0 nor 255" in notes
    assert "1 defective images whose mask marks no pixel: wood/test/hole/000" in notes


def test_images_with_several_defects_count_for_each(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / f"{i}.png", noise(i))
    (tmp_path / "t.csv").write_text("image,defects\n0.png,a;b\n1.png,b\n")
    manifest = Folder().scan(tmp_path / "t.csv")
    counts = count(manifest, {"t//*": 2, "t//a": 5, "other//a": 1})
    assert [(c.kind, c.found, c.expected) for c in counts] == [
        ("t//*", 2, 2),
        ("t//a", 1, 5),
        ("t//b", 2, None),
    ]
    assert [c.differs for c in counts] == [False, True, False]


def test_sheets_outline_masks_and_keep_shapes(tmp_path: Path) -> None:
    root = write_category(tmp_path / "wood", {"hole": 1}, train=1, test=1)
    black = np.zeros((40, 80, 3), np.uint8)
    mask = np.zeros((40, 80), np.uint8)
    mask[10:20, 30:50] = 255
    save(root / "test/hole/000.png", black)
    save(root / "ground_truth/hole/000_mask.png", mask)
    manifest = MVTecAD().scan(tmp_path)
    row = manifest.table.index[manifest.defective].tolist()
    sheet = contact_sheet(manifest, row, size=80)
    red = (sheet == (255, 0, 0)).all(axis=2)
    assert red.sum() == 2 * (22 + 10)  # a frame around 10 x 20 pixels
    grey = (sheet == 200).all(axis=2)
    assert grey.sum() == 40 * 80  # above and below
    assert contact_sheet(manifest).shape[2] == 3
    with pytest.raises(UserError, match="no image to show"):
        contact_sheet(manifest, [])


def test_a_sheet_shows_every_kind_and_different_parts_first(tmp_path: Path) -> None:
    root = write_standin("mtd", tmp_path / "mtd", Order(size=32, normals=24, defective=8, seed=0))
    manifest = MTD().scan(root)
    rows = some_of_each(manifest, 4)
    assert len(rows) == 4 * 6
    assert manifest.table["group"].iloc[rows].nunique() == 24
    assert len(some_of_each(manifest, 100)) == len(manifest)
