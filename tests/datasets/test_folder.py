"""A user's own images: every layout that is promised, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from defectbench.config import UserError, UserErrors
from defectbench.data.cache.prepare import prepare
from defectbench.data.splitting.splits import split
from defectbench.datasets.folder import Folder
from tests.trees import noise, save, spot, write_category


def test_mvtec_style_categories_of_any_name(tmp_path: Path) -> None:
    write_category(tmp_path / "Bremsscheibe Ø30", {"Riß": 2})
    write_category(tmp_path / "nut", {"bent": 2})
    manifest = Folder().scan(tmp_path)
    assert set(manifest.products) == {"Bremsscheibe Ø30", "nut"}
    assert manifest.defects == ("Riß", "bent")
    assert Folder().scan(tmp_path, ["nut"]).products == ("nut",)
    with pytest.raises(UserError, match="did you mean 'nut'"):
        Folder().scan(tmp_path, ["nuts"])


def test_a_single_category_may_be_pointed_at(tmp_path: Path) -> None:
    write_category(tmp_path / "nut", {"bent": 2})
    assert Folder().scan(tmp_path / "nut").products == ("nut",)


def test_flat_images_and_masks(tmp_path: Path) -> None:
    root = tmp_path / "plates"
    for i in range(3):
        save(root / "images" / f"{i}.jpg", noise(i))
    save(root / "masks" / "0.png", spot(value=1))  # 0 and 1, as many tools write them
    save(root / "masks" / "1_mask.png", np.zeros((24, 24), np.uint8))
    folder = Folder()
    folder.unlabelled = "good"  # the third has no mask
    manifest = folder.scan(root)
    table = manifest.table.set_index("id")
    assert table["defects"].tolist() == [("defect",), (), ()]
    assert table.loc["2", "mask"] == ""
    assert manifest.products == ("plates",)
    cache = prepare(manifest, tmp_path / "cache", size=24)
    assert cache.masks[0].sum() == 36


def test_images_and_masks_by_defect(tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / f"images/good/{i}.png", noise(i))
        save(tmp_path / f"images/dent/{i}.png", noise(10 + i))
        save(tmp_path / f"masks/dent/{i}.png", spot())
    manifest = Folder().scan(tmp_path)
    assert manifest.defects == ("dent",)
    assert manifest.defective.sum() == 2
    (tmp_path / "masks/dent/1.png").rename(tmp_path / "masks/dent/7.png")
    with pytest.raises(UserErrors) as caught:
        Folder().scan(tmp_path)
    assert "1.png: has no mask" in str(caught.value)
    assert "7.png: has no image" in str(caught.value)


def table_rows(tmp_path: Path) -> pd.DataFrame:
    elsewhere = tmp_path / "elsewhere"
    for i in range(6):
        save(elsewhere / f"{i}.png", noise(i))
        save(elsewhere / f"m{i}.png", spot())
    return pd.DataFrame(
        {
            "image": [f"../elsewhere/{i}.png" for i in range(5)] + [str(elsewhere / "5.png")],
            "mask": [f"../elsewhere/m{i}.png" for i in range(4)] + ["", ""],
            "defects": ["a", "b;a", "b", "a", "", "good"],
            "split": ["test", "train", "train", "test", "train", ""],
            "group": ["1", "2", "2", "3", "4", ""],
            "id": list("uvwxyz"),
        }
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_paths(tmp_path: Path, kind: str) -> None:
    table = table_rows(tmp_path)
    path = tmp_path / "lists" / f"parts.{kind}"
    path.parent.mkdir()
    if kind == "csv":
        table.to_csv(path, index=False, encoding="utf-8-sig")
    else:
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    manifest = Folder().scan(path)
    rows = manifest.table.set_index("id")
    assert manifest.products == ("parts",)
    assert rows.loc["v", "defects"] == ("a", "b")
    assert rows.loc["z", "defects"] == ()
    assert rows.loc["w", "group"] == "2"
    assert rows.loc["z", "group"] == "z"
    assert len(prepare(manifest, tmp_path / "cache", size=8)) == 6
    assert len(split(manifest, "official")) == 6


def test_every_bad_row_of_a_table_is_named(tmp_path: Path) -> None:
    table = table_rows(tmp_path)
    table.loc[0, "image"] = ""
    table.loc[2, "id"] = "v"
    table.loc[3, "mask"] = "../elsewhere/gone.png"
    path = tmp_path / "lists" / "parts.csv"
    path.parent.mkdir()
    table.to_csv(path, index=False)
    with pytest.raises(UserErrors) as caught:
        Folder().scan(path)
    text = str(caught.value)
    assert "row 2: no image" in text
    assert "row 4: id 'v' is that of row 3" in text
    assert "gone.png: no such file" in text
    table.rename(columns={"image": "file"}).to_csv(path, index=False)
    with pytest.raises(UserError, match="no column `image`; found file, mask"):
        Folder().scan(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read as a table"):
        Folder().scan(path)


def test_other_layouts_are_refused_with_those_that_work(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(0))
    with pytest.raises(UserError, match="none of the layouts"):
        Folder().scan(tmp_path)
    with pytest.raises(UserError, match="no such folder or table"):
        Folder().scan(tmp_path / "gone")
    (tmp_path / "images").mkdir()
    with pytest.raises(UserErrors, match="no image found"):
        Folder().scan(tmp_path)


def test_a_defect_name_that_would_break_the_manifest_is_refused(tmp_path: Path) -> None:
    write_category(tmp_path / "nut", {"bent;twice": 1})
    with pytest.raises(UserErrors, match="rename it"):
        Folder().scan(tmp_path)
