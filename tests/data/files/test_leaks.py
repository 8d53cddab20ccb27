"""Leaks are found whatever hides them, and images that merely look alike are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.data.files import groups
from defectbench.data.files.leaks import leaks
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.splits import split
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.standin import drawing
from tests.trees import load, save, write_category


@pytest.fixture
def wood(tmp_path: Path) -> Manifest:
    folder = write_category(tmp_path / "wood", {"hole": 3}, train=30, test=4, side=96)
    for seed, path in enumerate(sorted(folder.glob("t*/*/*.png"))):
        Image.fromarray(drawing.draw("wood", 96, np.random.default_rng(seed))).save(path)
    return MVTecAD().scan(tmp_path)


def test_different_images_are_no_leak(wood: Manifest) -> None:
    assert leaks(split(wood, "official")) == []
    assert leaks(split(wood, "one_third")) == []


@pytest.mark.parametrize("disguise", ["copy", "jpeg", "darker", "smaller", "brighter patch"])
def test_a_disguised_copy_is_found(wood: Manifest, disguise: str) -> None:
    source, target = (wood.root / f"wood/{p}/good/000.png" for p in ("train", "test"))
    image = Image.fromarray(load(source))
    if disguise == "copy":
        target.write_bytes(source.read_bytes())
    elif disguise == "jpeg":
        image.save(target.with_suffix(".jpg"), quality=80)
        save(target, load(target.with_suffix(".jpg")))
        target.with_suffix(".jpg").unlink()
    elif disguise == "darker":
        image.point(lambda v: int(v * 0.6)).save(target)
    elif disguise == "smaller":
        image.resize((64, 64)).save(target)
    else:
        pixels = np.array(image)
        pixels[20:40, 20:40] = 250
        Image.fromarray(pixels).save(target)
    found = leaks(split(MVTecAD().scan(wood.root), "official", validation=0))
    assert len(found) == 1
    assert {found[0].first, found[0].second} == {"wood/test/good/000", "wood/train/good/000"}
    assert found[0].kind == ("copy" if disguise == "copy" else "near")
    assert "wood/train/good/000 (train)" in str(found[0])


def test_copies_on_one_side_are_no_leak(wood: Manifest) -> None:
    folder = wood.root / "wood/train/good"
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes())
    assert leaks(split(MVTecAD().scan(wood.root), "official", validation=0)) == []


def test_groups_on_both_sides_are_listed_once(wood: Manifest) -> None:
    with pytest.warns(UserWarning, match="for reproduction only"):
        done = split(wood, "one_third_anomalydiffusion_exact")
    found = leaks(done, look=False)
    assert [(leak.kind, leak.first, leak.second) for leak in found] == [
        ("group", "wood/test/hole/001", "wood/test/hole/001#train"),
        ("copy", "wood/test/hole/001", "wood/test/hole/001#train"),
    ]


def test_a_product_whose_images_all_look_alike_asks_for_more() -> None:
    rng = np.random.default_rng(0)
    bottles = np.stack([groups.signature(drawing.draw("bottle", 64, rng)) for _ in range(40)])
    woods = np.stack([groups.signature(drawing.draw("wood", 64, rng)) for _ in range(40)])
    few = groups.without_common(bottles, ["bottle"] * 40)
    many = groups.without_common(woods, ["wood"] * 40)
    assert groups.near_threshold(few) > groups.near_threshold(many) + 0.1
    pairs = groups.near_pairs(few, ["bottle"] * 40, np.arange(40))
    assert len(pairs) <= 2


def test_a_signature_does_not_see_the_exposure() -> None:
    image = drawing.draw("wood", (80, 120), np.random.default_rng(0))
    light = np.linspace(0.4, 0.9, 120)[None, :, None]
    dark = (image * light).astype(np.uint8)
    assert groups.signature(image) @ groups.signature(dark) > 0.9
    assert not groups.signature(np.full((30, 30, 3), 77, np.uint8)).any()


def test_frames_in_a_row_are_one_run_and_links_join_runs() -> None:
    first = groups.runs([10, 500, 30, 20, 900, 41], gap=11)
    assert first == {10: 10, 20: 10, 30: 10, 41: 10, 500: 500, 900: 900}
    joined = groups.join(first, [(900, 41), (500, 900), (1, 2)])
    assert set(joined.values()) == {10}
    assert groups.join(first, []) == first
