"""VisA as published, and each trap of its layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from defectbench.config import UserError, UserErrors
from defectbench.data.files.decoding import decode_mask
from defectbench.datasets.visa import CLASSES, VisA, class_mask, read_annotations
from tests.trees import noise, save, spot


@pytest.fixture
def visa(tmp_path: Path) -> Path:
    """Two objects; `.JPG` images of different number widths, masks of ids, labels in one quoted field, splits."""
    root = tmp_path / "visa"
    for product in ("pcb1", "capsules"):
        data, rows, split = root / product / "Data", [], []
        for number in range(3):
            name = f"{product}/Data/Images/Normal/{number:04d}.JPG"
            save(root / name.replace(".JPG", ".jpeg"), noise(number)).rename(root / name)
            rows.append(f"{name},normal,")
            split.append(f"{product},{'test' if number == 2 else 'train'},normal,{name},")
        for number in range(2):
            name = f"{product}/Data/Images/Anomaly/{number:03d}.JPG"
            save(root / name.replace(".JPG", ".jpeg"), noise(10 + number)).rename(root / name)
            mask = f"{product}/Data/Masks/Anomaly/{number:03d}.png"
            ids = spot(value=2)
            if number:
                ids[20:22, 20:22] = 3
            save(root / mask, ids)
            names = (
                CLASSES[product][1]
                if number == 0
                else f"{CLASSES[product][1]}, {CLASSES[product][2]}"
            )
            rows.append(f'{name},"{names.lower()}",{mask}')
            split.append(f"{product},test,anomaly,{name},{mask}")
        assert data.is_dir()
        text = "\r\n".join(["image,label,mask", *rows, ""])
        (root / product / "image_anno.csv").write_text(text, newline="")
        (root / "split_csv").mkdir(exist_ok=True)
        with (root / "split_csv/1cls.csv").open("a") as file:
            if file.tell() == 0:
                file.write("object,split,label,image,mask\n")
            file.write("\n".join([*split, ""]))
    return root


def test_classes_splits_and_masks(visa: Path) -> None:
    manifest = VisA().scan(visa)
    table = manifest.table.set_index("id")
    assert manifest.products == ("capsules", "pcb1")
    assert manifest.mask_threshold == 1
    assert len(table) == 10
    row = table.loc["pcb1/Anomaly/001"]
    assert row["image"].endswith("Anomaly/001.JPG")
    assert row["defects"] == ("Melt", "Scratch")
    assert row["split"] == "test"
    assert table.loc["pcb1/Normal/0000", "split"] == "train"
    assert table.loc["pcb1/Normal/0000", "mask"] == ""
    assert int(decode_mask(visa / row["mask"], manifest.mask_threshold).sum()) == 36 + 4
    assert set(manifest.defects) == {*CLASSES["pcb1"], *CLASSES["capsules"]}


def test_ids_give_a_mask_per_class(visa: Path) -> None:
    path = visa / "pcb1/Data/Masks/Anomaly/001.png"
    assert int(class_mask(path, "pcb1", "Melt").sum()) == 36
    assert int(class_mask(path, "pcb1", "Scratch").sum()) == 4
    assert int(class_mask(path, "pcb1", "Bent").sum()) == 0
    with pytest.raises(UserError, match="no class 'leak'"):
        class_mask(path, "pcb1", "leak")


def test_classes_come_from_the_masks_where_the_list_is_missing(visa: Path) -> None:
    (visa / "pcb1/image_anno.csv").unlink()
    path = visa / "pcb1/Data/Masks/Anomaly/000.png"
    ids = spot(value=4)
    ids[0, 0] = 9
    save(path, ids)
    table = VisA().scan(visa, ["pcb1"]).table.set_index("id")
    assert table.loc["pcb1/Anomaly/001", "defects"] == ("Melt", "Scratch")
    assert table.loc["pcb1/Anomaly/000", "defects"] == ("Missing", "Other")


def test_a_label_that_nobody_knows_is_kept(visa: Path) -> None:
    path = visa / "pcb1/image_anno.csv"
    path.write_text(path.read_text().replace('"melt, scratch"', '"mELT ,  burn  mark"'))
    manifest = VisA().scan(visa)
    assert manifest.table.set_index("id").loc["pcb1/Anomaly/001", "defects"] == (
        "Melt",
        "burn mark",
    )
    assert "burn mark" in manifest.defects


def test_other_setups_and_no_split_at_all(visa: Path) -> None:
    with pytest.raises(UserErrors, match=r"2cls_fewshot\.csv: no such file"):
        VisA("2cls_fewshot").scan(visa)
    text = (visa / "split_csv/1cls.csv").read_text().replace(",test,anomaly", ",train,anomaly")
    (visa / "split_csv/2cls_fewshot.csv").write_text(text)
    table = VisA("2cls_fewshot").scan(visa).table
    assert set(table.loc[table["defects"].map(len) > 0, "split"]) == {"train"}
    shutil.rmtree(visa / "split_csv")
    assert set(VisA().scan(visa).table["split"]) == {""}


def test_every_problem_is_told(visa: Path) -> None:
    (visa / "pcb1/Data/Masks/Anomaly/000.png").unlink()
    save(visa / "pcb1/Data/Masks/Anomaly/007.png", spot())
    save(visa / "pcb1/Data/Masks/Anomaly/001.png", spot(12, 24))
    text = (visa / "split_csv/1cls.csv").read_text()
    (visa / "split_csv/1cls.csv").write_text(
        text.replace(
            "test,normal,capsules/Data/Images/Normal/0002",
            "test,anomaly,capsules/Data/Images/Normal/0002",
        )
    )
    with pytest.raises(UserErrors) as told:
        VisA().scan(visa)
    for part in (
        "000.JPG: has no mask",
        "007.png: has no image",
        "001.png: is 24x12 pixels",
        "0002.JPG: is 'anomaly' in split_csv",
    ):
        assert part in str(told.value)


def test_a_csv_without_its_columns_is_named(visa: Path, tmp_path: Path) -> None:
    (visa / "pcb1/image_anno.csv").write_text("file,label\n")
    with pytest.raises(UserErrors, match=r"image_anno\.csv: has no column 'image'"):
        VisA().scan(visa)
    path = tmp_path / "anno.csv"
    path.write_bytes(b'\xef\xbb\xbfimage,label,mask\nA/B.JPG,"x, y ,",m\nA/c.JPG,normal,\n')
    assert read_annotations(path, "pcb1") == {"a/b.jpg": ("x", "y"), "a/c.jpg": ()}
