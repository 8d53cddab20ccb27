"""Stand-ins are read by their adapters, repeat byte by byte, and carry the quirks of what they stand for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserError
from defectbench.data.files.decoding import decode_image, decode_mask_values
from defectbench.data.files.mask_parts import decode_merged, mask_files
from defectbench.data.files.scanning import STANDIN_MARKER
from defectbench.data.manifest import Manifest
from defectbench.datasets.base import Dataset
from defectbench.datasets.codebrim import DEFECTS
from defectbench.names import find
from defectbench.standin import write_standin
from defectbench.standin.order import Order
from defectbench.standin.shares import allot, oblong

NAMES = ("mvtec_loco", "dagm2007", "kolektor_sdd2", "kolektor_sdd", "codebrim", "sdi", "visa")
FEW = {
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
    assert manifest.dataset == name
    assert set(manifest.products) == set(FEW.get(name, manifest.products))
    assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in drawn[name].rglob("*")}
    kinds = {d for defects in manifest.table["defects"] for d in defects}
    for product in manifest.products:
        assert set(dataset(name).defects[product]) <= kinds  # every defect is there
    masks = manifest.table[(manifest.table["mask"] != "") & manifest.defective]
    for row in masks.to_dict("records"):
        mask = decode_merged(manifest.root / row["mask"], manifest.mask_threshold)
        assert mask.any()
        assert not mask.all()
        assert mask.shape == decode_image(manifest.root / row["image"]).shape[:2]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(
    name: str, drawn: dict[str, Path], tmp_path: Path
) -> None:
    again = draw(name, tmp_path / name)
    assert contents(again) == contents(drawn[name])


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_images(name: str, drawn: dict[str, Path], tmp_path: Path) -> None:
    def images(manifest: Manifest) -> set[bytes]:
        return {decode_image(manifest.root / image).tobytes() for image in manifest.table["image"]}

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
    assert len(normal) == 7
    for product in manifest.products:
        for defect in adapter.defects[product]:
            held = sum(defect in d for d in table.loc[table["product"] == product, "defects"])
            assert held >= 3 if name in {"codebrim", "visa"} else held == 3


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    for name in NAMES:
        with pytest.raises(UserError, match="holds no stand-in"):
            draw(name, tmp_path)
    assert contents(tmp_path) == {"holiday.jpg": b"mine"}


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_product_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'bread'"):
        draw(name, tmp_path / name, products=["bread"])


# quirks


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


def test_every_standin_says_what_it_is(drawn: dict[str, Path]) -> None:
    for name, root in drawn.items():
        said = json.loads((root / STANDIN_MARKER).read_text())
        assert said["dataset"] == name
        assert said["seed"] == 0


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
