"""Stand-ins: the official layout and quirks, the same bytes from the same seed, and safe to write."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.data.files.decoding import decode_mask
from defectbench.data.files.leaks import leaks
from defectbench.data.splitting.splits import split
from defectbench.datasets.folder import Folder
from defectbench.datasets.mtd import COUNTS, MTD
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.standin import write_standin, writing
from defectbench.standin.order import Order
from tests.trees import load, noise, save


def contents(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def mvtec(out: Path, **changed: object) -> Path:
    options = {
        "size": 64, "normals": 5, "defective": 2, "seed": 3, "products": ["wood", "grid"],
    } | changed  # fmt: skip
    return write_standin("mvtec_ad", out, Order(**options))  # type: ignore[arg-type]


def test_mvtec_has_the_official_layout_names_and_modes(tmp_path: Path) -> None:
    manifest = MVTecAD().scan(mvtec(tmp_path / "s"))
    assert manifest.stand_in
    assert manifest.products == ("grid", "wood")
    assert set(manifest.defects) == {*MVTecAD.defects["wood"], *MVTecAD.defects["grid"]}
    assert len(manifest) == 2 * (5 + 2) + 2 * 10
    grid = manifest.table[manifest.table["product"] == "grid"]
    assert {load(manifest.root / p).ndim for p in grid["image"]} == {2}
    wood = manifest.table[manifest.table["product"] == "wood"]
    assert {load(manifest.root / p).shape for p in wood["image"]} == {(64, 64, 3)}
    for mask in manifest.table["mask"][manifest.table["mask"] != ""]:
        values = load(manifest.root / mask)
        assert set(np.unique(values)) == {0, 255}
    assert not (tmp_path / "s/wood/ground_truth/good").exists()


def test_every_category_can_be_drawn_by_its_official_names(tmp_path: Path) -> None:
    root = write_standin("mvtec_ad", tmp_path / "s", Order(size=96, normals=1, defective=1, seed=0))
    manifest = MVTecAD().scan(root)
    kinds = {k for k in MVTecAD.counts if "/test/" in k and not k.endswith("good")}
    found = {f"{p}/test/{d[0]}" for p, d in manifest.table[["product", "defects"]].to_numpy() if d}
    assert found == kinds


def test_the_seed_says_every_byte_and_more_images_change_none(tmp_path: Path) -> None:
    first = contents(mvtec(tmp_path / "a"))
    assert contents(mvtec(tmp_path / "b")) == first
    other = contents(mvtec(tmp_path / "c", seed=4))
    assert other["wood/train/good/000.png"] != first["wood/train/good/000.png"]
    more = contents(mvtec(tmp_path / "d", normals=7, defective=3))
    same = {k for k in first if k.endswith(".png")}
    assert {k: more[k] for k in same} == {k: first[k] for k in same}
    assert len(set(first.values())) > 30


def test_drawing_again_goes_over_the_same_and_never_over_another(tmp_path: Path) -> None:
    out = mvtec(tmp_path / "s")
    (out / "wood/test/hole/001.png").unlink()  # as if it had been killed
    mvtec(out)
    assert (out / "wood/test/hole/001.png").exists()
    with pytest.raises(UserError, match="drawn with other options"):
        mvtec(out, seed=4)
    save(tmp_path / "mine" / "photo.png", noise(0))
    with pytest.raises(UserError, match="is not empty"):
        mvtec(tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        mvtec(tmp_path / "file" / "s")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'wood'"):
        mvtec(tmp_path / "s", products=["wodo"])
    with pytest.raises(UserError, match="size=8"):
        mvtec(tmp_path / "s", size=8)
    with pytest.raises(UserError, match="normals=-1"):
        mvtec(tmp_path / "s", normals=-1)
    with pytest.raises(UserError, match="cannot draw 'holes'"):
        writing.defective("wood", "holes", 64, np.random.default_rng(0))
    assert not (tmp_path / "s").exists()


def test_several_defects_share_a_mask() -> None:
    image, mask = writing.defective("wood", ["hole", "scratch"], (64, 96), np.random.default_rng(0))
    assert image.shape == (64, 96, 3)
    assert set(np.unique(mask)) == {0, 1}


@pytest.fixture(scope="module")
def mtd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "mtd"
    return write_standin("mtd", root, Order(size=64, normals=24, defective=8, seed=0))


def test_mtd_has_the_official_layout_and_quirks(mtd: Path) -> None:
    manifest = MTD().scan(mtd)
    assert manifest.stand_in
    assert len(manifest) == 24 + 5 * 8
    assert (mtd / "dataset.jpg").is_file()
    assert manifest.table["mask_empty"].sum() == 1
    sizes, edges = set(), set[int]()
    for image, mask in zip(manifest.table["image"], manifest.table["mask"], strict=True):
        shown, values = load(mtd / image), load(mtd / mask)
        assert shown.ndim == 2
        sizes.add(shown.shape)
        edges |= set(np.unique(values).tolist())
        if image.startswith("MT_Free"):
            assert not values.any()
    assert edges == {0, 1, 9, 13, 255}
    assert len(sizes) > 20


def test_mtd_repeats_tiles_under_other_exposures(mtd: Path) -> None:
    table = MTD().scan(mtd).table
    assert table["group"].nunique() == 4 * len(COUNTS)
    free = table[~(table["defects"].map(len) > 0)]
    tile = free[free["group"] == free["group"].iloc[0]]
    assert len(tile) == 6
    means = [load(mtd / p).mean() for p in tile.sort_values("id")["image"]]
    assert means == sorted(means)
    assert means[-1] > 1.3 * means[0]


def test_mtd_masks_fit_what_they_mark(mtd: Path) -> None:
    """A cut-out of a tile takes its mask along: Fray is darker than what is around it."""
    for path in sorted((mtd / "MT_Fray/Imgs").glob("*.jpg")):
        image = load(path).astype(float)
        mask = decode_mask(path.with_suffix(".png"), 128) > 0
        assert image[mask].mean() < image[~mask].mean()


@pytest.mark.parametrize("rule", ["fraction(test=0.4)", "k_fold(4, 2)", "one_third"])
def test_splits_of_stand_ins_leak_nothing(mtd: Path, rule: str) -> None:
    assert leaks(split(MTD().scan(mtd), rule)) == []


def test_mtd_is_the_same_from_the_same_seed(mtd: Path, tmp_path: Path) -> None:
    again = write_standin("mtd", tmp_path / "mtd", Order(size=64, normals=24, defective=8, seed=0))
    assert contents(again) == contents(mtd)
    with pytest.raises(UserError, match="no product 'wood'"):
        write_standin(
            "mtd", tmp_path / "x", Order(size=64, normals=1, defective=1, seed=0, products=["wood"])
        )


def test_the_folder_adapter_has_one_too(tmp_path: Path) -> None:
    root = write_standin("folder", tmp_path / "s", Order(size=64, normals=2, defective=1, seed=0))
    manifest = Folder().scan(root)
    assert manifest.products == ("wood",)
    assert manifest.stand_in
