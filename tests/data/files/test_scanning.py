"""Listing, pairing and gathering problems: the parts that every adapter shares."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.config import UserError, UserErrors
from defectbench.data.files import scanning
from defectbench.data.files.listing import look
from defectbench.data.files.scanning import Scan


def write(path: Path, shape: tuple[int, int] = (8, 8), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, dtype=np.uint8)).save(path)
    return path


def test_litter_is_not_listed(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".DS_Store", "Thumbs.db", "a (copy).png", "b - Copy (2).png"):
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    assert [p.name for p in scanning.entries(tmp_path)] == ["a.png"]


def test_numbers_sort_as_numbers() -> None:
    names = ["b/10", "b/9", "a/100", "b/009"]
    assert sorted(names, key=scanning.natural) == ["a/100", "b/009", "b/9", "b/10"]


def test_files_pair_by_stem_whatever_the_case_and_the_accents(tmp_path: Path) -> None:
    write(tmp_path / "images" / "Stra\u0308nge.PNG")  # a + combining dots
    write(tmp_path / "masks" / "str\u00e4nge_LABEL.png")  # one letter
    scan = Scan("Test", tmp_path)
    images = scan.files(tmp_path / "images")
    masks = scan.files(tmp_path / "masks", ending="_label")
    assert list(images) == list(masks)
    assert not scan.problems
    assert next(iter(images.values())).exists()


def test_case_clashes_and_two_suffixes_of_one_stem_are_problems(tmp_path: Path) -> None:
    for name in ("a.png", "A.png", "b.png", "b.jpg"):
        write(tmp_path / name)
    scan = Scan("Test", tmp_path)
    assert len(scan.files(tmp_path)) == 2
    assert len(scan.problems) == 2
    assert "rename or remove" in scan.problems[0]


def test_a_name_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    try:
        write(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    scan = Scan("Test", tmp_path)
    scan.files(tmp_path)
    assert "UTF-8" in scan.problems[0]


def test_every_problem_is_listed_not_only_the_first(tmp_path: Path) -> None:
    good = write(tmp_path / "good.png")
    (tmp_path / "zero.png").touch()
    scan = Scan("Test", tmp_path)
    scan.add(id="0", image=good, product="p")
    scan.add(id="1", image=tmp_path / "zero.png", product="p")
    scan.add(id="2", image=good, mask=write(tmp_path / "m.png", (8, 9)), product="p")
    with pytest.raises(UserErrors) as caught:
        scan.finish("test", [], ["p"], 128)
    text = str(caught.value)
    assert "2 problems" in text
    assert "zero.png: is empty" in text
    assert "9x8" in text
    assert "8x8" in text


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserErrors, match="no image found"):
        Scan("Test", tmp_path).finish("test", [], [], 128)


def test_rows_come_sorted_with_their_defaults(tmp_path: Path) -> None:
    image, mask = write(tmp_path / "b.png"), write(tmp_path / "m.png")
    scan = Scan("Test", tmp_path)
    scan.add(id="b", image=image, mask=mask, product="p", defects=["z", "a", "z"], mask_empty=True)
    scan.add(id="a", image=image, product="p")
    manifest = scan.finish("test", ["a", "z"], ["p"], 1)
    assert manifest.table["id"].tolist() == ["a", "b"]
    assert manifest.table["defects"].tolist() == [(), ("a", "z")]
    assert manifest.table["group"].tolist() == ["a", "b"]
    assert manifest.table["mask_source"].tolist() == ["none", "annotation"]
    assert manifest.table["image"].tolist() == ["b.png", "b.png"]
    assert not manifest.stand_in


def test_the_root_may_be_one_level_down(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner" / "wood").mkdir(parents=True)

    def fits(folder: Path) -> bool:
        return (folder / "wood").is_dir()

    assert scanning.find_root(tmp_path / "outer", fits, "wood").name == "inner"
    with pytest.raises(UserError, match="expected wood; found outer"):
        scanning.find_root(tmp_path, fits, "wood")
    with pytest.raises(UserError, match="no such folder"):
        scanning.find_root(tmp_path / "gone", fits, "wood")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    files = [p.name for p in scanning.walk(tmp_path)]
    assert files.count("x.png") == 1


def test_stand_ins_are_recognised(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png")
    scanning.mark_standin(tmp_path, seed=0)
    scan = Scan("Test", tmp_path)
    scan.add(id="a", image=image, product="p")
    assert scan.finish("test", [], ["p"], 128).stand_in


def test_unknown_products_are_refused_with_the_nearest() -> None:
    assert scanning.wanted(["carpet", "wood"], None, "T") == ["carpet", "wood"]
    assert scanning.wanted(["carpet", "wood"], ["wood"], "T") == ["wood"]
    with pytest.raises(UserError, match="did you mean 'wood'"):
        scanning.wanted(["carpet", "wood"], ["woood"], "T")


def test_pictures_of_kinds_that_are_not_read_are_told_from_other_files(tmp_path: Path) -> None:
    for suffix in (".jfif", ".PGM", ".avif", ".jp2", ".txt"):
        (tmp_path / f"1{suffix}").touch()
    found = look(tmp_path)
    assert [path.suffix for path in found.others] == [".txt"]
    assert {path.suffix for path in found.unread} == {".jfif", ".PGM", ".avif", ".jp2"}
