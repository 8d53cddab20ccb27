"""Mixtures, rules and replayed images, on small caches whose answers are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from defectbench.config import UserError
from defectbench.data.cache.gathering import gather
from defectbench.data.cache.prepare import prepare
from defectbench.data.manifest import Manifest
from defectbench.data.streams.arms import NothingToAdd, training_set
from defectbench.stages.filtering import Judge, keep, symmetries
from defectbench.stages.select import mix, told_funnel

OFF = {"mask": False, "on_object": None, "visible": None, "copies": None, "confidence": None}


def synthetic(squares, folder, images, masks, *, labels=None, normals=None, sources=None):
    """A cache of synthetic images beside `squares`."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "images" / f"{i}m.png")
        label = labels[i] if labels else "bright"
        rows.append(
            {
                "id": f"{folder.name}/{i}",
                "image": f"images/{i}.png",
                "mask": f"images/{i}m.png",
                "product": "plate",
                "defects": (label,),
                "label": label,
                "split": "train",
                "group": str(i),
                "source": "x",
                "mask_source": sources[i] if sources else "native",
                "normal": normals[i] if normals else "",
            }
        )
    manifest = Manifest(
        pd.DataFrame(rows), folder, "squares", ("bright", "dark"), ("plate",), stand_in=True
    )
    return prepare(manifest, folder / "cache", size=32)


def plain(value: int = 100) -> np.ndarray:
    return np.full((32, 32, 3), value, np.uint8)


def square(at: int = 10, side: int = 6) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[at : at + side, at : at + side] = True
    return mask


def only(**rules):
    return {**OFF, **rules}


def test_a_mixture_has_equal_shares_of_each_defect(squares, tmp_path):
    labels = ["bright"] * 9 + ["dark"] * 9
    made = [
        synthetic(squares, tmp_path / name, [plain(v)] * 18, [square()] * 18, labels=labels)
        for name, v in (("a", 10), ("b", 20))
    ]
    parts, funnel = mix(made, {"bright": 9, "dark": 4}, seed=3)
    cache = gather(parts, tmp_path / "mixed")
    found = Counter(
        (str(i).split("/")[0], label)
        for i, label in zip(cache.table["id"], cache.table["label"], strict=True)
    )
    assert found == {("a", "bright"): 5, ("b", "bright"): 4, ("a", "dark"): 2, ("b", "dark"): 2}
    assert sorted({int(image.mean()) for image in cache.images}) == [10, 20]
    assert funnel == {"offered": 36, "from member 1": 7, "from member 2": 6}
    again, _ = mix(made, {"bright": 9, "dark": 4}, seed=3)
    other, _ = mix(made, {"bright": 9, "dark": 4}, seed=4)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(parts, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(parts, other, strict=True))


def test_gathering_keeps_images_masks_and_order(squares, tmp_path):
    rows = np.array([5, 2, 2])
    cache = gather([(squares, rows), (squares, np.array([0]))], tmp_path / "some")
    wanted = [5, 2, 2, 0]
    assert np.array_equal(cache.images, squares.images[wanted])
    assert np.array_equal(cache.masks, squares.masks[wanted])
    assert list(cache.table["id"]) == list(squares.table["id"].iloc[wanted])
    assert cache.defects == squares.defects
    with pytest.raises(UserError, match="gathers no image"):
        gather([(squares, np.array([], dtype=np.int64))], tmp_path / "none")
    other = replace(squares, defects=("dark", "bright"))
    with pytest.raises(UserError, match="different sizes or names"):
        gather([(squares, rows), (other, rows)], tmp_path / "other")


def test_each_rule_drops_what_it_names_and_nothing_else(squares, tmp_path):
    normal = int(squares.rows(split="train", defective=False)[0])
    start, name = np.asarray(squares.images[normal]), str(squares.table["id"].iloc[normal])
    painted, faint = start.copy(), start.copy()
    painted[square()] = 255
    faint[square()] = np.clip(start[square()].astype(int) + 3, 0, 255)
    train = int(squares.rows(split="train", defective=True)[0])
    copy = np.ascontiguousarray(np.asarray(squares.images[train])[:, ::-1])
    test = int(squares.rows(split="test", defective=True)[0])
    unseen = np.asarray(squares.images[test])
    made = synthetic(
        squares,
        tmp_path / "s",
        [painted, faint, painted, copy, painted, unseen],
        [square(), square(), np.zeros((32, 32), bool), square(), square(), squares.masks[test] > 0],
        normals=[name, name, name, "", "", ""],
        sources=["native", "native", "invalid", "native", "invalid", "native"],
    )

    def dropped(**rules):
        left, funnel = keep(made, Judge(squares, only(**rules)))
        assert funnel["drawn"] == 6
        assert funnel["kept"] == len(left)
        return sorted(set(range(6)) - set(left.tolist()))

    assert dropped() == []
    assert dropped(mask=True) == [2, 4]
    assert dropped(visible=10.0) == [1]
    assert dropped(copies=0.05) == [3], "mirrored copies count, test images are not looked at"
    assert dropped(on_object=0.5) == []
    left, funnel = keep(made, Judge(squares, only(mask=True, visible=10.0, copies=0.05)))
    assert left.tolist() == [0, 5]
    assert told_funnel(funnel) == (
        "6 drawn, 2 without a mask, 1 without a visible change, 1 near a training image, 2 kept"
    )


def test_off_the_object_means_on_a_flat_background(squares, tmp_path):
    thing = plain(250)
    thing[8:24, 8:24] = 40
    made = synthetic(squares, tmp_path / "s", [thing] * 2, [square(1, 5), square(12, 6)])
    left, funnel = keep(made, Judge(squares, only(on_object=0.5)))
    assert left.tolist() == [1]
    assert funnel["off the object"] == 1


def test_the_least_confident_of_each_defect_go(squares, tmp_path):
    class Seen:
        def scores(self, images):
            return np.asarray(images[..., 0] / 255, dtype=np.float64)

    values = [10, 200, 100, 50, 250, 20]
    labels = ["bright"] * 4 + ["dark"] * 2
    made = synthetic(
        squares, tmp_path / "s", [plain(v) for v in values], [square()] * 6, labels=labels
    )
    left, funnel = keep(made, Judge(squares, only(confidence=0.5), Seen()))
    assert left.tolist() == [1, 2, 4]
    assert funnel["least confident"] == 3


def test_symmetries_are_the_eight_of_the_square():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    found = symmetries(image)
    assert len(np.unique(found, axis=0)) == 8
    turned = symmetries(np.ascontiguousarray(np.rot90(image)))
    assert {row.tobytes() for row in found} == {row.tobytes() for row in turned}


def test_ideal_trains_on_real_images_that_raw_lacks(squares):
    train = squares.rows(split="train", defective=True)
    kept = np.concatenate([squares.rows(split="train", defect=d)[:2] for d in squares.defects])
    table = squares.table.copy()
    table.loc[[row for row in train if row not in set(kept)], "split"] = ""
    limited = replace(squares, table=table)
    chosen = training_set(
        "ideal",
        limited,
        None,
        needs_masks=True,
        held_back=squares,
        per_defect={"bright": 3, "dark": 99},
    )
    assert chosen.n_real == 4 + 3 + 6
    assert chosen.n_synthetic == 0
    assert len(chosen.images) == 13
    everyone = training_set("raw", squares, None, needs_masks=True)
    with pytest.raises(NothingToAdd, match="no real training image is held back"):
        training_set(
            "ideal",
            squares,
            None,
            needs_masks=True,
            held_back=squares,
            per_defect={"bright": 3, "dark": 3},
        )
    assert len(everyone.images) == 16
    ids = [name for part, rows in chosen.images.parts for name in part.table["id"].iloc[rows]]
    assert len(set(ids)) == len(ids), "no image twice"
    assert all(name.startswith("train") for name in ids)
