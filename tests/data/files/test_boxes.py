"""Boxes on their way from a manifest over the cache and the augmentations to a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from defectbench.batch import Batch, index_batch
from defectbench.data.cache.prepare import prepare
from defectbench.data.files.boxes import (
    Box,
    box_rows,
    place_boxes,
    read_boxes,
    rename_boxes,
    write_boxes,
)
from defectbench.data.manifest import Manifest, concatenate
from defectbench.data.splitting.regroup import Regrouping, regroup
from defectbench.data.streams.classic_augment import augment
from defectbench.data.streams.module import ImageSet
from defectbench.rng import torch_rng
from tests.trees import save

BOXES = (
    "10 20 30 40 red iron;0 0 80 60 dent",
    "64.5 30 80 60 dent",
    "",
)


def manifest(root: Path, boxes: tuple[str, ...] | None = BOXES) -> Manifest:
    """Three images of 80 x 60 pixels; the last one is normal."""
    rows = []
    for i in range(3):
        save(root / f"{i}.png", np.full((60, 80, 3), 40 * i, np.uint8))
        rows.append(
            {"id": f"i{i}", "image": f"{i}.png", "mask": "", "product": "p"}
            | {"defects": ("dent",) if i < 2 else (), "split": "train", "group": f"i{i}"}
            | {"source": "real", "mask_source": "none"}
            | ({"boxes": boxes[i]} if boxes else {})
        )
    return Manifest(pd.DataFrame(rows), root, "d", ("dent", "red iron"), ("p",))


def test_boxes_are_written_and_read() -> None:
    boxes = [Box(1, 2, 3.5, 4.25, "oxide scale of plate system"), Box(0, 0, 200, 200, "a")]
    assert read_boxes(write_boxes(boxes)) == boxes
    assert read_boxes("") == []
    assert write_boxes([Box(1 / 3, 0, 2, 10, "a")]) == "0.333 0 2 10 a"
    for wrong in ("1 2 3 a", "1 2 1 4 a", "1 2 3 4"):
        with pytest.raises(ValueError, match="wants"):
            read_boxes(wrong)


def test_a_manifest_keeps_them_and_its_digest_sees_them(tmp_path: Path) -> None:
    ours = manifest(tmp_path)
    again = Manifest.load(ours.save(tmp_path / "m"), tmp_path)
    assert list(again.table["boxes"]) == list(BOXES)
    assert again.digest() == ours.digest()
    other = manifest(tmp_path, (BOXES[1], *BOXES[1:]))
    assert other.digest() != ours.digest()


def test_without_boxes_nothing_moves(tmp_path: Path) -> None:
    plain, empty = manifest(tmp_path, None), manifest(tmp_path, ("", "", ""))
    # as this digest was before there were boxes
    assert plain.digest() == "cf1468f585ee585e20a9d5fd09cb0abfc1ba2469e7231fe626a46219eb7c57ce"
    assert empty.digest() == plain.digest()
    one = prepare(plain, tmp_path / "a", size=16)
    prepare(manifest(tmp_path), tmp_path / "b", size=16)
    assert "boxes" not in (tmp_path / "a" / "table.csv").read_text().splitlines()[0]
    assert one.boxes is None
    assert "boxes" not in ImageSet.of(one, np.arange(3)).all()
    for name in ("images.npy", "masks.npy"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_cache_has_them_in_its_own_pixels(tmp_path: Path) -> None:
    cache = prepare(manifest(tmp_path), tmp_path / "c", size=40)
    assert cache.boxes is not None
    np.testing.assert_allclose(
        cache.boxes[0], [[5, 20 * 40 / 60, 15, 40 * 40 / 60, 1], [0, 0, 40, 40, 0]], atol=1e-3
    )
    np.testing.assert_allclose(cache.boxes[1], [[32.25, 20, 40, 40, 0]], atol=1e-3)
    assert cache.boxes[2].shape == (0, 5)


def test_patches_are_chosen_by_boxes_and_cut_them(tmp_path: Path) -> None:
    only = ("4 4 16 14 dent", "70 50 80 60 dent", "")
    cache = prepare(manifest(tmp_path, only), tmp_path / "c", size=40, crop=20, normals_per_image=1)
    assert cache.boxes is not None
    found = dict(zip(cache.table["id"], cache.boxes, strict=True))
    assert {name for name in found if name.startswith("i0")} == {
        "i0@0,0", "i0@0,10", "i0@10,0", "i0@10,10"
    }  # fmt: skip
    np.testing.assert_allclose(found["i0@0,0"], [[8, 8, 32, 28, 0]])
    np.testing.assert_allclose(found["i0@0,10"], [[0, 8, 12, 28, 0]])  # 6 of 12 columns show
    assert not len(found["i0@10,10"])  # 24 of 120 pixels show: less than a quarter
    np.testing.assert_allclose(found["i1@40,60"], [[20, 20, 40, 40, 0]])


def test_a_box_of_which_little_shows_is_left_out() -> None:
    window = {"left": 0.0, "top": 0.0, "width": 10.0, "height": 10.0, "size": 10}
    assert not place_boxes([Box(8, 0, 20, 5, "a")], **window)
    assert place_boxes([Box(7, 0, 17, 5, "a")], **window) == [(7, 0, 10, 5, "a")]


def test_batches_carry_padded_boxes(tmp_path: Path) -> None:
    with_boxes = prepare(manifest(tmp_path / "x"), tmp_path / "a", size=40)
    without = prepare(manifest(tmp_path / "y", None), tmp_path / "b", size=40)
    images = ImageSet.of(without, np.array([0])) + ImageSet.of(with_boxes, np.array([1, 0]))
    batch = images.take(np.array([2, 0, 1]))
    assert batch["boxes"].shape == (3, 2, 5)
    assert batch["boxes"][:, :, 4].tolist() == [[1, 0], [-1, -1], [0, -1]]
    assert index_batch(batch, torch.tensor([2]))["boxes"][0, 0].tolist() == [32.25, 20, 40, 40, 0]


def test_joined_manifests_leave_boxes_empty_where_there_are_none(tmp_path: Path) -> None:
    other = manifest(tmp_path / "y", None)
    other = replace(other, table=other.table.assign(id=["j0", "j1", "j2"]))
    joined = concatenate(manifest(tmp_path / "x"), other)
    assert list(joined.table["boxes"]) == [*BOXES, "", "", ""]


def test_boxes_of_defects_that_are_not_asked_for_are_left_out() -> None:
    assert box_rows(BOXES[0], ("dent",)).tolist() == [[0, 0, 80, 60, 0]]
    assert rename_boxes(BOXES[0], {"dent": "flaw", "red iron": None}) == "0 0 80 60 flaw"


def test_regrouping_renames_boxes(tmp_path: Path) -> None:
    types = {"d": {"p": {"dent": "flaw", "red iron": "skip"}}}
    made = regroup(manifest(tmp_path), Regrouping(("flaw",), types, "a test", Path("x.yaml")))
    assert list(made.table["boxes"]) == ["0 0 80 60 flaw", "64.5 30 80 60 flaw", ""]


def _square(x0: int, y0: int, x1: int, y1: int, side: int = 64) -> Batch:
    """A white rectangle on black, as image, mask and box."""
    mask = torch.zeros(8, 1, side, side)
    mask[:, :, y0:y1, x0:x1] = 1
    boxes = torch.tensor([[[x0, y0, x1, y1, 1.0], [0, 0, 0, 0, -1.0]]]).repeat(8, 1, 1)
    return Batch(
        image=(2 * mask - 1).repeat(1, 3, 1, 1),
        mask=mask,
        defects=torch.ones(8, 2),
        product=torch.zeros(8, dtype=torch.int64),
        synthetic=torch.zeros(8, dtype=torch.bool),
        boxes=boxes,
    )


def _extents(masks: torch.Tensor) -> torch.Tensor:
    found = []
    for mask in masks[:, 0]:
        y, x = torch.nonzero(mask, as_tuple=True)
        found.append([int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1])
    return torch.tensor(found, dtype=torch.float32)


@pytest.mark.parametrize("name", ["flip", "dihedral"])
def test_boxes_are_mirrored_and_turned_with_the_image(name: str) -> None:
    moved = augment(_square(5, 10, 25, 20), (name,), torch_rng(0, name))
    torch.testing.assert_close(moved["boxes"][:, 0, :4], _extents(moved["mask"]))
    assert len(moved["boxes"][:, 0].unique(dim=0)) > 1  # something moved
    assert (moved["boxes"][:, 1, 4] == -1).all()


def test_boxes_are_enlarged_and_shifted_with_the_image() -> None:
    moved = augment(_square(20, 24, 40, 30), ("resize_crop",), torch_rng(0, "crop"))
    assert (moved["boxes"][:, 0, :4] - _extents(moved["mask"])).abs().max() <= 1.5
    assert (moved["boxes"][:, 0, :4] - torch.tensor([20, 24, 40, 30])).abs().max() > 2


def test_a_rotated_box_bounds_its_ellipse() -> None:
    batch = _square(20, 24, 44, 40)
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    batch["mask"][:] = ((((x - 32) / 12) ** 2 + ((y - 32) / 8) ** 2) <= 1).float()
    moved = augment(batch, ("rotation",), torch_rng(0, "turn"))
    assert (moved["boxes"][:, 0, :4] - _extents(moved["mask"])).abs().max() <= 1.5


def test_a_box_that_leaves_the_image_is_dropped() -> None:
    batch = _square(0, 0, 3, 3)
    moved = augment(batch, ("resize_crop",), torch_rng(3, "out"))
    gone = moved["boxes"][:, 0, 4] == -1
    assert gone.any()
    assert moved["boxes"][:, 0, :4].min() >= 0
    assert moved["boxes"][:, 0, :4].max() <= 64
