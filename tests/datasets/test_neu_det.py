"""NEU-DET as published, and each trap of its layout; the real images where there are any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from defectbench.config import UserErrors
from defectbench.data.cache.prepare import prepare
from defectbench.data.files.boxes import Box, read_boxes
from defectbench.data.files.decoding import decode_image
from defectbench.data.files.leaks import leaks
from defectbench.data.files.overlaps import overlaps
from defectbench.data.splitting.splits import split
from defectbench.datasets.neu_det import DEFECTS, NEUDet
from defectbench.standin.neu_det import _annotate
from defectbench.tasks.detection import Detection
from tests.trees import noise, save

SIDE = 24


def add(root: Path, stem: str, boxes: list[Box], seed: int) -> None:
    save(root / f"IMAGES/{stem}.jpg", noise(seed, SIDE, SIDE, 1))
    _annotate(root / f"ANNOTATIONS/{stem}.xml", "rs", stem, SIDE, boxes)


@pytest.fixture
def neu(tmp_path: Path) -> Path:
    """Two images of each defect; the second ones have a second box, of scratches."""
    root = tmp_path / "NEU-DET"
    for k, name in enumerate(DEFECTS):
        add(root, f"{name}_301", [Box(0, 0, SIDE, SIDE, name)], k)
        add(root, f"{name}_302", [Box(2, 3, 9, 8, name), Box(1, 1, 5, 20, "scratches")], 10 + k)
    return root


def test_the_files_name_is_the_label_and_boxes_keep_theirs(neu: Path) -> None:
    manifest = NEUDet().scan(neu.parent)  # one folder around it
    table = manifest.table.set_index("id")
    assert manifest.defects == DEFECTS
    assert not manifest.defective.eq(False).any()
    assert table.loc["rolled-in_scale_302", "defects"] == ("rolled-in_scale",)
    boxes = read_boxes(table.loc["rolled-in_scale_302", "boxes"])
    assert boxes == [(2, 3, 9, 8, "rolled-in_scale"), (1, 1, 5, 20, "scratches")]
    assert read_boxes(table.loc["crazing_301", "boxes"]) == [(0, 0, SIDE, SIDE, "crazing")]
    assert set(table["mask"]) == {""}


def test_one_file_under_two_names_is_one_group(neu: Path) -> None:
    (neu / "IMAGES/patches_302.jpg").write_bytes((neu / "IMAGES/patches_301.jpg").read_bytes())
    table = NEUDet().scan(neu).table.set_index("id")
    assert table.loc["patches_301", "group"] == table.loc["patches_302", "group"]
    assert table["group"].nunique() == len(table) - 1


def test_every_problem_is_told(neu: Path) -> None:
    (neu / "ANNOTATIONS/crazing_301.xml").unlink()
    (neu / "IMAGES/crazing_302.jpg").unlink()
    save(neu / "IMAGES/rust_301.jpg", noise(1))
    _annotate(neu / "ANNOTATIONS/rust_301.xml", "rs", "rust_301", 24, [])
    box = Box(0, 0, 4, 4, "dent")
    _annotate(neu / "ANNOTATIONS/patches_301.xml", "pa", "x", SIDE, [box])
    outside = Box(0, 0, SIDE + 1, 4, "patches")
    _annotate(neu / "ANNOTATIONS/patches_302.xml", "pa", "x", SIDE, [outside])
    _annotate(
        neu / "ANNOTATIONS/scratches_301.xml", "sc", "x", 30, [box._replace(name="scratches")]
    )
    (neu / "ANNOTATIONS/scratches_302.xml").write_text("<annotation><object/>")
    with pytest.raises(UserErrors) as told:
        NEUDet().scan(neu)
    said = str(told.value)
    for words in (
        "crazing_301.jpg: has no boxes",
        "crazing_302.xml: has no image",
        "rust_301.jpg: is named after no defect",
        "patches_301.xml: names 'dent'",
        "patches_302.xml: box 0, 0, 25, 4",
        "scratches_301.xml: is for 30x30 pixels",
        "scratches_302.xml: not an annotation",
    ):
        assert words in said


def test_the_detector_gets_the_annotated_boxes(neu: Path, tmp_path: Path) -> None:
    from defectbench.data.streams.module import ImageSet

    cache = prepare(NEUDet().scan(neu), tmp_path / "cache", size=48)
    task = Detection(
        size=48, defects=cache.defects, products=cache.products, steps=1, **Detection.tiny
    )
    row = np.flatnonzero(cache.table["id"] == "patches_302")
    (target,) = task.targets(ImageSet.of(cache, row).all())
    assert target.boxes.tolist() == [[4, 6, 18, 16], [2, 2, 10, 40]]
    assert target.classes.tolist() == [2, 5]


@pytest.mark.data
def test_the_real_images(data_root: Path) -> None:
    if not (data_root / "neu_det").is_dir():
        pytest.skip("no real NEU-DET")
    manifest = NEUDet().scan(data_root / "neu_det")
    table = manifest.table.set_index("id")
    assert Counter(d for (d,) in table["defects"]) == dict.fromkeys(DEFECTS, 300)
    boxes = {name: read_boxes(text) for name, text in table["boxes"].items()}
    assert sum(map(len, boxes.values())) == 4189
    assert sum(len({box.name for box in found}) > 1 for found in boxes.values()) == 123
    assert all(
        defects[0] in {box.name for box in boxes[name]}
        for name, defects in table["defects"].items()
    )
    whole = [name for name, found in boxes.items() if (0, 0, 200, 200) in [b[:4] for b in found]]
    assert whole
    assert table.loc["patches_101", "group"] == table.loc["patches_105", "group"]
    assert table.loc["inclusion_188", "group"] == table.loc["inclusion_210", "group"]
    shared = table["group"].duplicated(keep=False)
    assert (int(shared.sum()), table.loc[shared, "group"].nunique()) == (1394, 315)
    some = ["crazing_148", "crazing_149", "rolled-in_scale_177", "rolled-in_scale_179"]
    images = [decode_image(manifest.root / f"IMAGES/{name}.jpg")[..., 0] for name in some]
    found = {(some[o.first], some[o.second]) for o in overlaps(images)}
    assert found == {tuple(some[:2]), tuple(some[2:])}
    assert all(table.loc[a, "group"] == table.loc[b, "group"] for a, b in found)
    few = split(manifest, "few_shot(5)", validation=0).table
    assert Counter(few.loc[few["split"] == "train", "defects"]) == {(d,): 5 for d in DEFECTS}
    assert not leaks(split(manifest, "fraction(test=0.4)"), look=False)
