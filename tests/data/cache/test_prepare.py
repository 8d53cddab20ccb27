"""The decoded cache: same bytes whatever the workers and the kills, and what it refuses."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.cache import prepare as prepare_module
from defectbench.data.cache.prepare import Prepared, prepare
from defectbench.data.files.digests import source_digest
from defectbench.data.manifest import Manifest
from defectbench.datasets.mvtec_ad import MVTecAD
from tests.trees import load, noise, save, spot, write_category


@pytest.fixture
def manifest(mvtec: Path) -> Manifest:
    return MVTecAD().scan(mvtec)


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_each_image_is_cached_once_in_the_order_of_the_manifest(
    manifest: Manifest, tmp_path: Path
) -> None:
    cache = prepare(manifest, tmp_path / "cache", size=24)
    assert cache.table["origin"].tolist() == manifest.table["id"].tolist()
    assert cache.images.shape == (26, 24, 24, 3)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    for row, name in enumerate(manifest.table["image"]):
        pixels = np.asarray(Image.fromarray(load(manifest.root / name)).convert("RGB"))
        assert (cache.images[row] == pixels).all()  # 24 px stay 24 px
    defective = cache.rows(defective=True)
    assert (cache.masks[defective] == (spot() > 0)).all()
    assert not cache.masks[cache.rows(defective=False)].any()
    assert (cache.table["mask_pixels"][defective] == 36).all()
    assert sorted(contents(tmp_path / "cache")) == sorted(
        ["images.npy", "masks.npy", "table.csv", "prepared.json"]
    )


def test_images_are_antialiased_and_masks_stay_binary(manifest: Manifest, tmp_path: Path) -> None:
    cache = prepare(manifest, tmp_path / "cache", size=8)
    assert set(np.unique(cache.masks)) == {0, 1}
    means = cache.images.mean(axis=(1, 2, 3))
    assert (np.abs(means - 127.5) < 15).all()
    assert cache.images.std() < 45  # noise of sd 74, averaged over 3x3 pixels


def test_oblong_images_are_stretched_with_their_masks(tmp_path: Path) -> None:
    root = write_category(tmp_path / "wood", {"hole": 1})
    pixels, mask = np.zeros((20, 40), np.uint8), np.zeros((20, 40), np.uint8)
    pixels[:, 20:] = mask[:, 20:] = 255
    save(root / "test/hole/000.png", pixels)
    save(root / "ground_truth/hole/000_mask.png", mask)
    cache = prepare(MVTecAD().scan(tmp_path), tmp_path / "cache", size=10)
    row = cache.rows(defective=True)[0]
    assert (cache.masks[row][:, 5:] == 1).all()
    assert not cache.masks[row][:, :5].any()
    assert (cache.images[row][:, 7:] == 255).all()


@pytest.mark.slow
@pytest.mark.parametrize("crop", [None, 12])
def test_workers_change_no_byte(
    manifest: Manifest, tmp_path: Path, crop: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "CHUNK", 5)
    prepare(manifest, tmp_path / "a", size=16, crop=crop)
    prepare(manifest, tmp_path / "b", size=16, crop=crop, workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_whole_cache_is_opened_as_it_is(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    prepare(manifest, folder, size=8)
    before = (folder / "images.npy").stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    prepare(manifest, folder, size=8, progress=lambda *seen: calls.append(seen))
    assert not calls
    assert (folder / "images.npy").stat().st_mtime_ns == before
    prepare(manifest, folder, size=9, progress=lambda *seen: calls.append(seen))
    assert calls[-1] == (26, 26)
    assert Prepared.open(folder).size == 9


def test_a_changed_source_file_is_noticed(manifest: Manifest, tmp_path: Path) -> None:
    memo = tmp_path / "memo.json"
    for name in manifest.table["image"]:
        os.utime(manifest.root / name, (1e9, 1e9))
    first = source_digest(manifest, memo)
    assert source_digest(manifest, memo) == source_digest(manifest) == first
    cache = prepare(manifest, tmp_path / "cache", size=24, memo=memo)
    old = np.array(cache.images[0])
    save(manifest.root / manifest.table["image"][0], noise(12345))
    assert source_digest(manifest, memo) != first
    assert (prepare(manifest, tmp_path / "cache", size=24, memo=memo).images[0] != old).any()


def test_the_memo_saves_reading(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memo = tmp_path / "memo.json"
    for path in manifest.root.rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    first = source_digest(manifest, memo)

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("defectbench.data.files.digests.file_digest", refuse)
    assert source_digest(manifest, memo) == first
    memo.write_text("{broken")
    with pytest.raises(AssertionError, match="read again"):
        source_digest(manifest, memo)


def test_a_file_that_is_gone_is_named(manifest: Manifest, tmp_path: Path) -> None:
    (manifest.root / manifest.table["image"][3]).unlink()
    with pytest.raises(UserErrors, match=r"scan the dataset again"):
        prepare(manifest, tmp_path / "cache", size=8)


KILLED = """
import os, signal, sys
from pathlib import Path
from defectbench.data.cache import prepare as p
from defectbench.datasets.mvtec_ad import MVTecAD
p.CHUNK = 4
def kill(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
p.prepare(MVTecAD().scan(Path(sys.argv[1])), Path(sys.argv[2]), size=16, crop=12, progress=kill)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [4, 26])
def test_a_killed_run_is_continued_to_the_same_bytes(
    manifest: Manifest, mvtec: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "CHUNK", 4)
    prepare(manifest, tmp_path / "straight", size=16, crop=12)
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(mvtec), str(folder), str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not folder.exists()
    seen: list[int] = []
    prepare(manifest, folder, size=16, crop=12, progress=lambda done, _: seen.append(done))
    assert len(seen) == (26 - after + 3) // 4  # what was done is not done again
    assert contents(folder) == contents(tmp_path / "straight")
    assert not list(tmp_path.glob("killed.partial"))


def test_left_overs_of_another_plan_are_started_over(manifest: Manifest, tmp_path: Path) -> None:
    partial = tmp_path / "cache.partial"
    partial.mkdir()
    (partial / "plan").write_text("other")
    (partial / "done").write_text("0\n1\n")
    (partial / "images.npy").write_bytes(b"rubbish")
    prepare(manifest, tmp_path / "straight", size=8)
    prepare(manifest, tmp_path / "cache", size=8)
    assert contents(tmp_path / "cache") == contents(tmp_path / "straight")


def test_crops_hold_a_defect_and_keep_the_group(tmp_path: Path) -> None:
    root = write_category(tmp_path / "wood", {"hole": 2}, train=2, test=1, side=64)
    mask = np.zeros((64, 64), np.uint8)
    mask[30:34, 30:34] = 255
    save(root / "ground_truth/hole/001_mask.png", mask)
    cache = prepare(MVTecAD().scan(tmp_path), tmp_path / "c", size=16, crop=32, normals_per_image=3)
    holes = cache.rows(defective=True)
    assert (cache.table["mask_pixels"][holes] > 0).all()
    central = cache.table[cache.table["origin"] == "wood/test/hole/001"]
    assert sorted(central["id"]) == sorted(
        f"wood/test/hole/001@{y},{x}" for y in (0, 16, 32) for x in (0, 16, 32)
    )
    assert set(central["group"]) == {"wood/test/hole/001"}
    first = central.iloc[0]
    source = load(root / "test/hole/001.png")
    patch = source[first["y"] : first["y"] + 32, first["x"] : first["x"] + 32]
    expected = np.asarray(Image.fromarray(patch).resize((16, 16), Image.Resampling.BICUBIC))
    assert (cache.images[central.index[0]] == expected).all()
    assert len(cache.rows(defective=False)) == 3 * 3
    assert len(set(cache.table["id"])) == len(cache)
    most = 16 / 32**2  # the defect, 4 x 4 pixels, is whole in the central patch alone
    cache = prepare(MVTecAD().scan(tmp_path), tmp_path / "d", size=16, crop=32, least_defect=most)
    central = cache.table[cache.table["origin"] == "wood/test/hole/001"]
    assert sorted(central["id"]) == ["wood/test/hole/001@16,16"]
    with pytest.raises(UserError, match="least_defect is 1"):
        prepare(MVTecAD().scan(tmp_path), tmp_path / "e", size=16, crop=32, least_defect=1)


def test_crops_of_normals_do_not_depend_on_the_other_images(
    manifest: Manifest, tmp_path: Path
) -> None:
    every = prepare(manifest, tmp_path / "a", size=8, crop=10)
    some = prepare(manifest.of_products("wood"), tmp_path / "b", size=8, crop=10)
    wood = every.table["id"][every.table["product"] == "wood"].tolist()
    assert some.table["id"].tolist() == wood


def test_images_smaller_than_the_crop_give_squares(manifest: Manifest, tmp_path: Path) -> None:
    cache = prepare(manifest, tmp_path / "a", size=8, crop=100)
    assert set(cache.table["side"]) == {24}


def test_defective_images_without_a_defect_pixel(tmp_path: Path) -> None:
    root = write_category(tmp_path / "wood", {"hole": 2})
    save(root / "ground_truth/hole/000_mask.png", np.zeros((24, 24), np.uint8))
    manifest = MVTecAD().scan(tmp_path)
    whole = prepare(manifest, tmp_path / "whole", size=8)
    assert len(whole.rows(defective=True)) == 2
    assert '"masks_without_a_pixel": 1' in (tmp_path / "whole/prepared.json").read_text()
    crops = prepare(manifest, tmp_path / "crops", size=8, crop=12)
    assert set(crops.table["origin"][crops.rows(defective=True)]) == {"wood/test/hole/001"}


def test_crops_need_masks(manifest: Manifest, tmp_path: Path) -> None:
    blind = replace(manifest, table=manifest.table.assign(mask=""))
    with pytest.raises(UserError, match="14 defective images have neither mask nor boxes"):
        prepare(blind, tmp_path / "c", size=8, crop=12)
    assert len(prepare(blind, tmp_path / "c", size=8)) == 26


def test_every_bad_file_is_listed_and_mending_goes_on(manifest: Manifest, tmp_path: Path) -> None:
    hole = manifest.root / "wood/test/hole"
    good = (hole / "000.png").read_bytes()
    (hole / "000.png").write_bytes(good[:60] + b"\0" * 40 + good[100:])
    save(manifest.root / "wood/ground_truth/hole/001_mask.png", spot(24, 25))
    with pytest.raises(UserErrors) as caught:
        prepare(manifest, tmp_path / "c", size=8, workers=1)
    assert len(caught.value.problems) == 2
    assert "hole/000.png: cannot be decoded" in str(caught.value)
    assert "another size than its mask 001_mask.png" in str(caught.value)
    (hole / "000.png").write_bytes(good)
    save(manifest.root / "wood/ground_truth/hole/001_mask.png", spot())
    assert len(prepare(manifest, tmp_path / "c", size=8)) == 26


def test_bad_options_and_folders_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="size is 0"):
        prepare(manifest, tmp_path / "c", size=0)
    none = manifest.where(manifest.table["id"] == "")
    with pytest.raises(UserError, match="no image to prepare"):
        prepare(none, tmp_path / "c", size=8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds thesis\.tex"):
        prepare(manifest, tmp_path / "mine", size=8)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        prepare(manifest, tmp_path / "file" / "c", size=8)


def test_a_full_disk_is_said_in_words(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match="no room left"):
        prepare(manifest, tmp_path / "c", size=8)


def test_broken_caches_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    with pytest.raises(UserError, match="no such file"):
        Prepared.open(folder)
    for name, spoil in {
        "prepared.json": b"{",
        "table.csv": b"id\n1\n",
        "images.npy": b"\x93NUMPY",
        "masks.npy": b"",
    }.items():
        prepare(manifest, folder, size=8)
        (folder / name).write_bytes(spoil)
        with pytest.raises(UserError, match="prepare it again"):
            Prepared.open(folder)
    prepare(manifest, folder, size=8)  # and preparing again mends it
    with (folder / "images.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(UserError, match="prepare it again"):
        Prepared.open(folder)


def test_rows_and_labels(manifest: Manifest, tmp_path: Path) -> None:
    cache = prepare(manifest, tmp_path / "c", size=8)
    assert len(cache.rows()) == 26
    assert len(cache.rows(split="train")) == 8
    assert len(cache.rows(split="test", defective=False, product="wood")) == 2
    holes = cache.rows(defect="hole")
    assert len(holes) == 3
    labels = cache.multi_hot(holes)
    assert labels.dtype == np.float32
    assert labels.shape == (3, len(cache.defects))
    assert (labels[:, cache.defects.index("hole")] == 1).all()
    assert labels.sum() == 3
    assert not cache.multi_hot(cache.rows(defective=False)).any()
    with pytest.raises(UserError, match="no 'holes'"):
        cache.rows(defect="holes")


def test_arrays_are_read_only_and_stay_behind_when_pickled(
    manifest: Manifest, tmp_path: Path
) -> None:
    cache = prepare(manifest, tmp_path / "c", size=64)
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0] = 0
    copy = pickle.dumps(cache)
    assert len(copy) < cache.images.nbytes / 4
    assert (pickle.loads(copy).images[3] == cache.images[3]).all()


def test_planning_imports_no_torch() -> None:
    code = (
        "import sys, defectbench.data.cache.prepare, defectbench.datasets.mvtec_ad; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
