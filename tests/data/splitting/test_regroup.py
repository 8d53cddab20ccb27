"""DT-GAN's classes: ours, complete for its three datasets, and correctable."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from defectbench.config import UserError, UserErrors
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.regroup import DT_GAN, load_regrouping, regroup
from defectbench.datasets.mtd import MTD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.datasets.sdi import SDI


def manifest(rows: list[tuple[str, tuple[str, ...]]], dataset: str = "mvtec_ad") -> Manifest:
    table = pd.DataFrame(
        [
            {
                "id": f"{number:02d}",
                "image": f"{number}.png",
                "mask": "",
                "product": product,
                "defects": defects,
                "split": "",
                "group": str(number),
                "source": "real",
                "mask_source": "none",
            }
            for number, (product, defects) in enumerate(rows)
        ]
    )
    names = tuple(sorted({d for _, defects in rows for d in defects}))
    products = tuple(dict.fromkeys(product for product, _ in rows))
    return Manifest(table, Path("/data"), dataset, names, products)


def test_the_mapping_says_that_it_is_ours_and_covers_every_type() -> None:
    mapping = load_regrouping()
    assert mapping.status == "ours"
    assert "OURS, NOT THE PAPER'S" in DT_GAN.read_text()
    for dataset in (MVTecAD, MTD, SDI):
        listed = mapping.datasets[dataset.folder]
        assert set(listed) == set(dataset.products)
        for product in dataset.products:
            assert set(listed[product]) == set(dataset.defects[product])


def test_types_become_groups_and_the_rest_is_left_out() -> None:
    done = regroup(
        manifest(
            [
                ("wood", ()),
                ("wood", ("scratch",)),
                ("wood", ("hole",)),
                ("wood", ("combined",)),
                ("wood", ("color", "hole")),
                ("wood", ("hole", "scratch")),
                ("zipper", ()),
                ("zipper", ("rough",)),
            ]
        )
    )
    assert done.defects == ("scratches_like", "spots_like")
    assert done.products == ("wood",)
    assert dict(zip(done.table["id"], done.table["defects"], strict=True)) == {
        "00": (),
        "01": ("scratches_like",),
        "02": ("spots_like",),
        "04": ("spots_like",),  # two types of one group
    }


def test_a_user_can_correct_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(DT_GAN.read_text().replace("liquid: spots_like", "liquid: skip"))
    done = regroup(manifest([("wood", ()), ("wood", ("liquid",))]), load_regrouping(mine))
    assert list(done.table["id"]) == ["00"]


def test_mistakes_are_all_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "group: [a]\ngroups: [a, b]\ndatasets: {mtd: {x: {Crack: c, Break: a}, y: 3}}\n"
    )
    with pytest.raises(UserErrors) as told:
        load_regrouping(path)
    text = str(told.value)
    assert "group: no such key; did you mean 'groups'" in text
    assert "mtd.x.Crack: 'c'; wants one of a, b, skip" in text
    assert "mtd.y: wants a mapping" in text
    path.write_text("groups: a\n")
    with pytest.raises(UserErrors, match="wants a list of names"):
        load_regrouping(path)


def test_what_the_mapping_lacks_is_named() -> None:
    with pytest.raises(UserErrors, match=r"mvtec_ad\.wood\.burn: give it a group"):
        regroup(manifest([("wood", ()), ("wood", ("burn",))]))
    with pytest.raises(UserError, match="does not list dataset 'visa'"):
        regroup(manifest([("candle", ())], dataset="visa"))
    with pytest.raises(UserError, match="leaves no image"):
        regroup(manifest([("zipper", ("rough",))]))
