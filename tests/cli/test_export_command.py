"""`defectbench export`: from a sample job's manifest and from a dataset, to every format, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from defectbench.datasets.mvtec_ad import MVTecAD
from tests.cli.conftest import fingerprint
from tests.conftest import Run


def test_samples_are_written_with_their_provenance(
    run: Run, synthetic: Path, tmp_path: Path
) -> None:
    before = fingerprint(synthetic)
    out = tmp_path / "out"
    told = run("export", synthetic / "manifest.csv", "--to", "image-folder", "--out", out, "--json")
    assert told.code == 0
    assert told.json | {"notes": []} == {
        "folder": str(out),
        "format": "image-folder",
        "images": 7,
        "notes": [],
    }
    assert any("no commercial use" in note for note in told.json["notes"])
    with (out / "files.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert {(row["source"], row["seed"], row["normal"]) for row in rows} == {
        ("job", "7", "wood/train/good/000")
    }
    assert fingerprint(synthetic) == before


def test_a_dataset_goes_out_and_in_again(run: Run, data: Path, tmp_path: Path) -> None:
    before = fingerprint(data)
    out = tmp_path / "out"
    told = run(
        *("export", "mvtec_ad", "--data", data, "--product", "wood", "--to", "mvtec"),
        *("--out", out),
    )
    assert told.code == 0
    assert f"{out}: 15 images as mvtec" in told.out
    assert "no commercial use" in told.out
    again = MVTecAD().scan(out)
    assert again.table.groupby(["split", "defects"]).size().to_dict() == {
        ("test", ()): 2,
        ("test", ("hole",)): 4,
        ("test", ("scratch",)): 3,
        ("train", ()): 6,
    }
    assert fingerprint(data) == before


def test_a_rule_and_options_are_passed_on(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = run(
        *("export", "mvtec_ad", "--data", data, "--to", "coco", "--out", out),
        *("--split", "fraction(test=0.5)", "--classes", "single", "--polygons"),
        *("--min-area", 4, "--holes", "fill"),
    )
    assert told.code == 0
    found = json.loads((out / "annotations/instances_train.json").read_text())
    assert [category["name"] for category in found["categories"]] == ["defect"]
    assert isinstance(found["annotations"][0]["segmentation"], list)
    assert json.loads((out / "export.json").read_text())["min_area"] == 4


def test_a_manifest_of_real_images_needs_their_root(run: Run, data: Path, tmp_path: Path) -> None:
    MVTecAD().scan(data / "mvtec_ad").save(tmp_path / "m")
    command = ("export", tmp_path / "m", "--to", "yolo", "--out", tmp_path / "out")
    assert run(*command).code == 2
    told = run(*command, "--root", data / "mvtec_ad")
    assert told.code == 0
    assert (tmp_path / "out" / "data.yaml").is_file()


def test_what_cannot_be_exported_is_refused(
    run: Run, data: Path, synthetic: Path, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    out = ("--out", tmp_path / "out")
    inside = data / "mvtec_ad" / "out"
    cases = {
        (synthetic, "--to", "yolo9", *out): "no export format 'yolo9'; did you mean 'yolo'?",
        (synthetic, "--to", "yolo", "--out", full): "exists and is not empty; give a new folder",
        (synthetic, "--to", "yolo", "--holes", "fill", *out): "has no option 'holes'",
        (synthetic, "--to", "coco", "--classes", "all", *out): "classes is 'all'; wants one of",
        (synthetic, "--to", "coco", "--min-area", 0, *out): "min_area is 0",
        (synthetic, "--to", "coco", "--root", full / "none", *out): "no such folder",
        (tmp_path / "none", "--to", "coco", *out): "no such file, folder or dataset",
        (full, "--to", "coco", *out): "a manifest is manifest.csv + manifest.json",
        ("mvtec_ad", "--to", "coco", *out): "--data is missing",
        ("mvtec_ad", "--data", data, "--to", "coco", "--out", inside): "nothing is ever written",
    }
    for arguments, words in cases.items():
        told = run("export", *arguments)
        assert told.code == 2, arguments
        assert words in told.err
    assert not (tmp_path / "out").exists()
    assert not inside.exists()


def test_an_image_says_where_it_came_from(run: Run, synthetic: Path) -> None:
    told = run("show", synthetic / "images/000002.png", "--json")
    assert told.code == 0
    assert told.json["seed"] == "7"
    assert told.json["source"] == "job"
