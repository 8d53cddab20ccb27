"""Stand-ins: one contract for all datasets, and the quirks of what each stands for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserError
from defectbench.data.files.boxes import read_boxes
from defectbench.data.files.decoding import decode_image, decode_mask, decode_mask_values
from defectbench.data.files.leaks import leaks
from defectbench.data.files.mask_parts import decode_merged, mask_files
from defectbench.data.files.scanning import STANDIN_MARKER
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.splits import split
from defectbench.datasets.base import Dataset
from defectbench.datasets.codebrim import DEFECTS
from defectbench.datasets.folder import Folder
from defectbench.datasets.mtd import COUNTS, MTD
from defectbench.names import find
from defectbench.standin import write_standin, writing
from defectbench.standin.order import Order
from defectbench.standin.writing import allot, oblong
from tests.trees import load

NAMES = (
    "mvtec_ad", "mtd", "mvtec_loco", "dagm2007", "kolektor_sdd2", "kolektor_sdd", "codebrim", "sdi", "visa", "neu_det", "x_sdd",
)  # fmt: skip
WITHOUT_NORMALS = ("neu_det", "x_sdd")
FEW = {
    "mvtec_ad": ["wood", "grid"],
    "mvtec_loco": ["screw_bag", "juice_bottle"],
    "dagm2007": ["Class1", "Class8"],
    "sdi": ["A", "C"],
    "visa": ["capsules", "pcb1"],
}
"""Products that are drawn in these tests, for speed."""


def dataset(name: str) -> Dataset:
    return find("datasets", name).load()()


def one_of(name: str) -> list[str] | None:
    return FEW[name][:1] if name in FEW else None


def draw(name: str, out: Path, **changes: Any) -> Path:
    options = {"size": 32, "normals": 4, "defective": 4, "seed": 0, "products": FEW.get(name)}
    return write_standin(name, out, Order(**{**options, **changes}))


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("stand-ins")
    return {name: draw(name, root / name) for name in NAMES}


def scan(drawn: dict[str, Path], name: str) -> Manifest:
    return dataset(name).scan(drawn[name])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_by_its_adapter_and_left_as_it_is(name: str, drawn: dict[str, Path]) -> None:
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in drawn[name].rglob("*")}
    manifest = scan(drawn, name)
    assert manifest.stand_in
    said = json.loads((drawn[name] / STANDIN_MARKER).read_text())
    assert (manifest.dataset, said["dataset"], said["seed"]) == (name, name, 0)
    assert set(manifest.products) == set(FEW.get(name, manifest.products))
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in drawn[name].rglob("*")}
    kinds = {d for defects in manifest.table["defects"] for d in defects}
    for product in manifest.products:
        assert set(dataset(name).defects[product]) <= kinds  # every defect is there
    masks = manifest.table[(manifest.table["mask"] != "") & manifest.defective]
    for row in masks.to_dict("records"):
        mask = decode_merged(manifest.root / row["mask"], manifest.mask_threshold)
        assert mask.any() != bool(row.get("mask_empty"))
        assert not mask.all()
        assert mask.shape == decode_image(manifest.root / row["image"]).shape[:2]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_says_every_byte(name: str, drawn: dict[str, Path], tmp_path: Path) -> None:
    def images(manifest: Manifest) -> set[bytes]:
        return {decode_image(manifest.root / image).tobytes() for image in manifest.table["image"]}

    assert contents(draw(name, tmp_path / "again" / name)) == contents(drawn[name])
    other = dataset(name).scan(draw(name, tmp_path / name, seed=1, products=one_of(name)))
    assert not images(other) & images(scan(drawn, name))


@pytest.mark.parametrize("name", NAMES)
def test_the_caller_chooses_how_many(name: str, tmp_path: Path) -> None:
    adapter = dataset(name)
    root = draw(name, tmp_path / "a", normals=7, defective=3, products=one_of(name))
    manifest = adapter.scan(root)
    table = manifest.table
    normal = table[~manifest.defective & (table["split"].isin(["", "train"]))]
    if name == "codebrim":
        normal = normal[normal["folder"] == "background"]
    assert len(normal) == (0 if name in WITHOUT_NORMALS else 7)
    for product in manifest.products:
        for defect in adapter.defects[product]:
            held = sum(defect in d for d in table.loc[table["product"] == product, "defects"])
            assert held >= 3 if name in {"codebrim", "visa"} else held == 3


def test_more_images_change_none_that_were_there(tmp_path: Path) -> None:
    first = contents(draw("mvtec_ad", tmp_path / "a"))
    more = contents(draw("mvtec_ad", tmp_path / "b", normals=7, defective=5))
    same = {name for name in first if name.endswith(".png")}
    assert {name: more[name] for name in same} == {name: first[name] for name in same}
    assert len(more) > len(first)


def test_drawing_again_goes_over_the_same_and_never_over_another(tmp_path: Path) -> None:
    out = draw("mvtec_ad", tmp_path / "s", products=["wood"])
    (out / "wood/test/hole/001.png").unlink()  # as if it had been killed
    draw("mvtec_ad", out, products=["wood"])
    assert (out / "wood/test/hole/001.png").exists()
    with pytest.raises(UserError, match="drawn with other options"):
        draw("mvtec_ad", out, products=["wood"], seed=4)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        draw("mvtec_ad", tmp_path / "file" / "s")


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_drawn_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'bread'"):
        draw(name, tmp_path / name, products=["bread"])
    with pytest.raises(UserError, match="size=8"):
        draw(name, tmp_path / name, size=8)
    with pytest.raises(UserError, match="normals=-1"):
        draw(name, tmp_path / name, normals=-1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="holds no stand-in"):
        draw(name, tmp_path / "mine")
    assert contents(tmp_path) == {"mine/holiday.jpg": b"mine"}


def test_several_defects_share_a_mask_and_unknown_ones_are_refused() -> None:
    image, mask = writing.defective("wood", ["hole", "scratch"], (64, 96), np.random.default_rng(0))
    assert image.shape == (64, 96, 3)
    assert set(np.unique(mask)) == {0, 1}
    with pytest.raises(UserError, match="cannot draw 'holes'"):
        writing.defective("wood", "holes", 64, np.random.default_rng(0))


def test_the_folder_adapter_has_one_too(tmp_path: Path) -> None:
    root = write_standin("folder", tmp_path / "s", Order(size=64, normals=2, defective=1, seed=0))
    manifest = Folder().scan(root)
    assert manifest.products == ("wood",)
    assert manifest.stand_in


# quirks


def test_mvtec_modes_and_masks(drawn: dict[str, Path]) -> None:
    manifest = scan(drawn, "mvtec_ad")
    modes: dict[str, set[int]] = {}
    for row in manifest.table.to_dict("records"):
        modes.setdefault(row["product"], set()).add(load(manifest.root / row["image"]).ndim)
        if row["mask"]:
            assert set(np.unique(load(manifest.root / row["mask"]))) == {0, 255}
    assert modes == {"grid": {2}, "wood": {3}}
    assert not (manifest.root / "wood/ground_truth/good").exists()


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


def test_loco_masks_come_in_parts_with_other_values_that_overlap(drawn: dict[str, Path]) -> None:
    root = drawn["mvtec_loco"] / "screw_bag"
    first, second = mask_files(root / "ground_truth/logical_anomalies/000")
    a, b = decode_mask_values(first), decode_mask_values(second)
    assert set(np.unique(a)) == {0, 236}
    assert set(np.unique(b)) == {0, 255}
    both = (a > 0) & (b > 0)
    assert len(np.flatnonzero(both.any(axis=0))) == 1  # a column of pixels
    assert len(mask_files(root / "ground_truth/logical_anomalies/001")) == 1
    assert json.loads((root / "defects_config.json").read_text())
    bottle = decode_image(next((drawn["mvtec_loco"] / "juice_bottle/train/good").iterdir()))
    assert bottle.shape[0] > bottle.shape[1]


def test_dagm_lists_suffixes_and_folders(drawn: dict[str, Path]) -> None:
    root = drawn["dagm2007"]
    assert (root / "Class1/Train").is_dir()
    assert (root / "Class8/Class8/Train").is_dir()
    text = (root / "Class1/Train/Label/Labels.txt").read_bytes().decode()
    assert text.startswith("1\r\n")
    rows = [line.split("\t") for line in text.split("\r\n")[1:-1]]
    assert {len(row) for row in rows} == {5}
    assert {row[4] == "0" for row in rows if row[1] == "0"} == {True}
    stems = {
        split: {p.stem for p in (root / "Class1" / split).glob("*.PNG")}
        for split in ("Train", "Test")
    }
    assert not stems["Train"] & stems["Test"]
    assert max(stems["Train"]) > min(stems["Test"])
    assert max(stems["Test"]) > min(stems["Train"])
    areas = [int((decode_mask_values(p) > 0).sum()) for p in (root / "Class8").rglob("*_label.PNG")]
    assert 2 in areas
    with Image.open(next((root / "Class1/Train").glob("*.PNG"))) as image:
        assert image.mode == "L"


def test_ksdd2_copies_sizes_and_split_files(drawn: dict[str, Path]) -> None:
    root = drawn["kolektor_sdd2"]
    copies = sorted(root.glob("train/* (copy).png"))
    assert len(copies) == 2
    for copy in copies:
        assert copy.read_bytes() == copy.with_stem(copy.stem.removesuffix(" (copy)")).read_bytes()
    table = scan(drawn, "kolektor_sdd2").table
    assert len({decode_image(root / p).shape for p in table["image"]}) > 2
    assert len(list(root.rglob("*_GT.png"))) == len(table)
    assert list(root.glob("*.pyb"))


def test_ksdd_items_views_and_formats(tmp_path: Path) -> None:
    root = draw("kolektor_sdd", tmp_path / "k", normals=20, defective=3)
    parts = {item.name: sorted(p.name for p in item.glob("*.jpg")) for item in root.glob("kos*")}
    assert len(parts["kos21"]) == 8
    assert "Part7.jpg" in parts["kos21"]
    assert sorted(map(len, parts.values())) == [7, 8, 8]
    manifest = dataset("kolektor_sdd").scan(root)
    assert set(manifest.table["release"]) == {"fine"}
    assert manifest.table[manifest.defective]["group"].nunique() == 3
    with (
        Image.open(root / "kos21/Part0.jpg") as image,
        Image.open(root / "kos21/Part0_label.bmp") as mask,
    ):
        assert (image.mode, mask.mode, mask.format) == ("L", "L", "BMP")


def test_sdi_modes_splits_and_twins(drawn: dict[str, Path]) -> None:
    manifest = scan(drawn, "sdi")
    table = manifest.table
    assert set(table.loc[~manifest.defective, "split"]) == {""}
    assert set(table.loc[manifest.defective, "split"]) == {"train", "val", "test"}
    modes = {}
    for row in table.to_dict("records"):
        with Image.open(manifest.root / row["image"]) as image:
            modes.setdefault(row["product"], set()).add(image.mode)
    assert modes == {"A": {"L"}, "C": {"RGB"}}
    twins = table[table["group"].duplicated(keep=False)]
    assert set(twins["defects"]) == {("scratches",), ("spots",)}
    assert set(twins["split"]) == {"train", "test"}


def test_codebrim_labels_copies_and_litter(drawn: dict[str, Path]) -> None:
    manifest = scan(drawn, "codebrim")
    table = manifest.table
    several = table["defects"].map(len)
    assert (several >= 3).any()
    assert ((several == 0) & (table["folder"] == "defects")).any()
    copies = table[table["id"].str.contains("_copy00|_-_", regex=True)]
    assert len(copies) == 2
    assert copies["group"].nunique() == 1
    assert all("Efflorescence" in defects for defects in copies["defects"])
    assert {d for defects in table["defects"] for d in defects} == set(DEFECTS)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert len({decode_image(manifest.root / p).shape for p in table["image"]}) > 5
    assert (drawn["codebrim"] / "__MACOSX").is_dir()


def test_visa_ids_lists_and_splits(drawn: dict[str, Path]) -> None:
    root = drawn["visa"]
    manifest = scan(drawn, "visa")
    table = manifest.table
    assert all(image.endswith(".JPG") for image in table["image"])
    assert (table["defects"].map(len) == 2).any()
    assert '"' in (root / "pcb1/image_anno.csv").read_text()
    for row in table[manifest.defective].to_dict("records"):
        classes = dataset("visa").defects[row["product"]]
        ids = set(np.unique(decode_mask_values(root / row["mask"]))) - {0}
        assert ids <= {classes.index(name) + 1 for name in row["defects"]}
        assert ids
    for setup in ("1cls", "2cls_fewshot", "2cls_highshot"):
        with (root / f"split_csv/{setup}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(table)
        trained = [row for row in rows if row["label"] == "anomaly" and row["split"] == "train"]
        assert bool(trained) == (setup != "1cls")


def test_neu_det_boxes_second_defects_and_twins(tmp_path: Path) -> None:
    root = draw("neu_det", tmp_path / "n", defective=9)
    table = dataset("neu_det").scan(root).table.set_index("id")
    boxes = {name: read_boxes(text) for name, text in table["boxes"].items()}
    assert min(map(len, boxes.values())) >= 1
    assert [b[:4] for b in boxes["crazing_1"]] == [(0, 0, 32, 32)]
    several = [name for name, found in boxes.items() if len({b.name for b in found}) > 1]
    assert sorted(name.rpartition("_")[2] for name in several) == ["2"] * 6
    assert table["defects"].map(len).eq(1).all()
    assert table.loc["patches_1", "group"] == table.loc["patches_9", "group"]
    assert table["group"].nunique() == len(table) - 1
    assert "<folder>rs</folder>" in (root / "ANNOTATIONS/rolled-in_scale_1.xml").read_text()


def test_x_sdd_blanks_formats_sizes_and_copies(drawn: dict[str, Path]) -> None:
    manifest = scan(drawn, "x_sdd")
    table = manifest.table
    assert (drawn["x_sdd"] / "X-SDD/datas/oxide scale of plate system").is_dir()
    png = table["image"].str.endswith(".png")
    assert set(table.loc[png, "defects"]) == {("finishing roll printing",)}
    assert (
        len({decode_image(manifest.root / p).shape for p in table["image"]}) == 1
    )  # 32 px is least
    wide = dataset("x_sdd").scan(draw("x_sdd", drawn["x_sdd"].parent / "wide", size=64))
    assert {decode_image(wide.root / p).shape[:2] for p in wide.table["image"]} == {
        (64, 64),
        (64, 61),
    }
    twins = table[table["group"].duplicated(keep=False)]
    assert list(twins["id"]) == ["red iron/2001", "red iron/2004"]


# shares


@pytest.mark.parametrize("total", range(0, 40))
def test_shares_add_up(total: int) -> None:
    for weights in ((1, 1), (58, 15, 35), (4296, 466, 482)):
        shares = allot(total, weights)
        assert sum(shares) == total
        assert min(shares) >= (1 if total >= len(weights) else 0)


def test_sides_keep_ratio_and_area() -> None:
    height, width = oblong(200, 1600, 800)
    assert height / width == pytest.approx(2, rel=0.02)
    assert height * width == pytest.approx(200**2, rel=0.02)
    assert oblong(32, 630, 230)[1] == 32
