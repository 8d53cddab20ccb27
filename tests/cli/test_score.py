"""`defectbench score` through the front door, on tiny images and seeded networks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import defectbench.cli.score  # noqa: F401  (adds the command)
from defectbench.cli import main

QUICK = ("--metrics", "fd_vgg16_random_s0", "--replicates", "0")


def draw(folder: Path, count: int, *, seed: int, size: int = 32, suffix: str = ".png") -> Path:
    """Write noise with a bright square at a place that differs from image to image."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        image = rng.normal(110, 15, (size, size, 3))
        y, x = rng.integers(0, size - 8, 2)
        image[y : y + 8, x : x + 8] = 230
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{index:03}{suffix}")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return draw(tmp_path / "real", 8, seed=0), draw(tmp_path / "fake", 6, seed=1)


@pytest.fixture
def defectbench_(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Call the command line in this process; gives exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no_torch"))
    monkeypatch.delenv("DEFECTBENCH_WEIGHTS", raising=False)

    def call(*words: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["defectbench", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        told = capsys.readouterr()
        return code, told.out, " ".join(told.err.split())

    return call


def test_default_scores_have_intervals_floors_and_a_record_that_collect_reads(
    folders, defectbench_, tmp_path
):
    real, fake = folders
    words = ("score", "--real", real, "--fake", fake, "--name", "mine", "--replicates", 20)
    code, out, err = defectbench_(*words, "--json")
    assert code == 0, err
    assert "seeded random weights" in err
    rows = {(row["name"], row["kind"]): row for row in json.loads(out)["rows"]}
    fd = rows["fd_lite0_imagenet", "score"]
    assert fd["ci_low"] <= fd["value"] <= fd["ci_high"]
    assert (fd["n_real"], fd["n_fake"]) == (8, 6)
    assert rows["fd_lite0_imagenet", "floor"]["value"] > 0
    assert rows["lpips_alex_random_s0_pairwise", "score"]["value"] > 0
    assert rows["nn_ratio_lite0_imagenet", "score"]["extractor"] == "lite0_imagenet"
    assert rows["density_lite0_imagenet", "floor"]["value"] == 1
    assert "needs ≥ 20" in rows["is_lite0_imagenet", "score"]["reason"]

    record = tmp_path / "results/records/score.mine.score.jsonl"
    picture = tmp_path / "results/score/mine.neighbours.png"
    assert json.loads(out)["files"] == [
        f"results/{p.relative_to(tmp_path / 'results')}" for p in (record, picture)
    ]
    with Image.open(picture) as sheet:
        assert sheet.width > 4 * 96
    before = record.read_bytes()
    assert defectbench_(*words)[0] == 0
    assert record.read_bytes() == before, "the same images again add no line"

    assert defectbench_("collect")[0] == 0
    with (tmp_path / "results/leaderboard.csv").open(newline="") as file:
        board = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(board["fd_lite0_imagenet"]["mean"]) == pytest.approx(fd["value"], abs=1e-4)
    assert board["fd_lite0_imagenet"]["method"] == "mine"
    assert board["fd_lite0_imagenet"]["rank"] == "1"
    with (tmp_path / "results/score/mine.score.csv").open(newline="") as file:
        table = {row["metric"]: row for row in csv.DictReader(file)}
    assert table["fd_lite0_imagenet"]["ci_low"]
    assert table["fd_lite0_imagenet"]["n_synthetic"] == "6"


def test_masks_tell_the_image_without_a_visible_defect(folders, defectbench_, tmp_path):
    real, fake = folders
    masks, normals = tmp_path / "masks", tmp_path / "normals"
    masks.mkdir(), normals.mkdir()
    for index, path in enumerate(sorted(fake.iterdir())):
        normal = np.asarray(Image.open(path)).copy()
        changed, mask = normal.copy(), np.zeros((32, 32), np.uint8)
        mask[5:15, 5:15] = 255
        if index:  # the first has a mask and no defect
            changed[mask > 0] = 0
        Image.fromarray(changed).save(path)
        Image.fromarray(normal).save(normals / path.name)
        Image.fromarray(mask).save(masks / f"{path.stem}_mask.png")
    words = ("score", "--real", real, "--fake", fake, "--masks", masks, *QUICK[2:], "--json")
    asked = "without_visible_change,background_l1,background_lpips_alex_random_s0,change_inside"
    code, out, err = defectbench_(*words, "--sources", normals, "--metrics", asked)
    assert code == 0, err
    found = {row["name"]: row for row in json.loads(out)["rows"]}
    assert found["without_visible_change"]["value"] == pytest.approx(1 / 6)
    assert found["background_l1"]["value"] == 0
    assert found["background_lpips_alex_random_s0"]["value"] == 0
    assert found["change_inside"]["value"] == 1
    assert found["change_inside"]["n_fake"] == 5
    assert found["change_inside"]["ci_low"] is None

    code, _, err = defectbench_(*words, "--metrics", "background_l1")
    assert code == 2
    assert "needs --masks DIR and --sources DIR" in err
    (normals / "002.png").unlink()
    code, _, err = defectbench_(*words, "--sources", normals, "--metrics", asked)
    assert code == 2
    assert "002.png" in err
    (fake / "004.png").unlink()
    code, _, err = defectbench_(*words, "--metrics", QUICK[1])
    assert code == 2
    assert "masks have no image" in err
    assert "004_mask.png" in err


def one_image(real: Path, fake: Path) -> None:
    for path in sorted(fake.iterdir())[1:]:
        path.unlink()


def no_image(real: Path, fake: Path) -> None:
    for path in fake.iterdir():
        path.rename(path.with_suffix(".dat"))


def empty(real: Path, fake: Path) -> None:
    for path in fake.iterdir():
        path.unlink()


def one_real_image(real: Path, fake: Path) -> None:
    for path in sorted(real.iterdir())[1:]:
        path.unlink()


def identical(real: Path, fake: Path) -> None:
    first = (fake / "000.png").read_bytes()
    for path in fake.iterdir():
        path.write_bytes(first)


def undecodable(real: Path, fake: Path) -> None:
    (fake / "001.png").write_text("hello")


def truncated(real: Path, fake: Path) -> None:
    whole = (fake / "002.png").read_bytes()
    (fake / "002.png").write_bytes(whole[: len(whole) // 2])


def mixed(real: Path, fake: Path) -> None:
    Image.new("RGB", (40, 36)).save(fake / "003.png")


def twelve_bits(real: Path, fake: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype(np.uint16)
    Image.fromarray(values).save(fake / "004.png")


def missing(real: Path, fake: Path) -> None:
    fake.rename(fake.with_name("moved"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (one_image, ["one image (000.png)", "at least 2"]),
        (no_image, ["no image in it (6 other files)"]),
        (empty, ["fake: no image in it (0 other files)"]),
        (one_real_image, ["--real", "one image (000.png)", "at least 2"]),
        (identical, ["all 6 images are the same picture", "000.png"]),
        (undecodable, ["001.png", "not an image"]),
        (truncated, ["002.png", "truncated"]),
        (mixed, ["40 x 36 px", "--size N"]),
        (twelve_bits, ["004.png", "16 bits", "stretch it"]),
        (missing, ["no such folder", "--fake"]),
    ],
)
def test_bad_folders_are_refused_by_name_and_nothing_is_written(
    folders, defectbench_, tmp_path, spoil, words
):
    spoil(*folders)
    code, _, err = defectbench_("score", "--real", folders[0], "--fake", folders[1], *QUICK)
    assert code == 2
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metrics", "fd_vgg16_random_s1"], ["fd_vgg16_random_s1", "did you mean"]),
        (["--metrics", "mask_iou_raw_segmentation"], ["segmentation network"]),
        (["--metrics", "background_lpips"], ["did you mean 'background_lpips_"]),
        (["--metrics", "change_inside"], ["needs --masks DIR and --sources DIR"]),
        (["--metrics", "ic_lpips_masked"], ["needs masks of the real images"]),
        (["--train", "nowhere"], ["nowhere", "no such folder", "--train"]),
        (["--metrics", " , "], ["no name of a metric"]),
        (
            ["--metrics", "fid"],
            ["weights-inception-2015-12-05-6726825d.pth", "https://", "DEFECTBENCH_WEIGHTS"],
        ),
        (["--sources", "real"], ["--masks"]),
        (["--name", "../up"], ["--name '../up'"]),
    ],
)
def test_bad_options_are_refused_by_name_and_nothing_is_written(
    folders, defectbench_, tmp_path, options, words
):
    code, _, err = defectbench_("score", "--real", folders[0], "--fake", folders[1], *options)
    assert code == 2
    for word in words:
        assert word in err
    assert not (tmp_path / "results").exists()


def test_masks_without_images_are_refused_by_name_and_nothing_is_written(
    folders, defectbench_, tmp_path
):
    real, fake = folders
    (tmp_path / "masks").mkdir()
    Image.new("L", (32, 32), 255).save(tmp_path / "masks" / "elsewhere.png")
    words = ("score", "--real", real, "--fake", fake, "--masks", tmp_path / "masks", *QUICK)
    code, _, err = defectbench_(*words)
    assert code == 2
    assert "1 masks have no image here: elsewhere.png" in err
    assert not (tmp_path / "results").exists()


def test_features_that_are_not_numbers_name_the_folder_and_leave_no_features(
    folders, defectbench_, tmp_path, monkeypatch
):
    from defectbench.features.extractors import RandomVgg16

    forward = RandomVgg16.forward

    def broken(self, images):
        rows = forward(self, images)
        rows[3] = float("nan")
        return rows

    monkeypatch.setattr(RandomVgg16, "forward", broken)
    code, _, err = defectbench_("score", "--real", folders[0], "--fake", folders[1], *QUICK)
    assert code == 2
    assert "real: vgg16_random_s0 gives NaN or infinity for image 3" in err
    assert "Traceback" not in err
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert not left


@pytest.mark.slow
def test_training_images_give_floors_and_ceilings(folders, defectbench_, tmp_path):
    real, fake = folders
    train = draw(tmp_path / "train", 7, seed=5)
    words = ("score", "--real", real, "--fake", fake, "--train", train, "--replicates", 0)
    names = ("kd_vgg16_random_s0", "memorisation_vgg16_random_s0", "lpips_alex_random_s0_pairwise")
    lpips = "ic_lpips_dfmgan_lpips_alex_random_s0"
    code, out, err = defectbench_(*words, "--metrics", ",".join([*names, lpips]), "--json")
    assert code == 0, err
    rows = {(row["name"], row["kind"]): row for row in json.loads(out)["rows"]}
    assert (rows[names[0], "floor"]["n_real"], rows[names[0], "floor"]["n_fake"]) == (8, 7)
    assert (rows[names[0], "ceiling"]["n_real"], rows[names[0], "ceiling"]["n_fake"]) == (8, 6)
    assert rows["authenticity_vgg16_random_s0", "score"]["n_real"] == 7
    assert rows["authenticity_vgg16_random_s0", "ceiling"]["value"] == 0
    assert rows[names[2], "ceiling"]["value"] > 0
    assert rows[lpips, "score"]["n_real"] == 7
    record = json.loads(
        (tmp_path / "results/records/score.fake.score.jsonl").read_text().splitlines()[-1]
    )
    assert record["ceilings"]["authenticity_vgg16_random_s0"] == 0
    assert record["sizes"]["authenticity_vgg16_random_s0"] == [7, 6]
    code, out, err = defectbench_(*words, "--metrics", names[0])
    assert "copies" in out
    (train / "copy.png").write_bytes((real / "000.png").read_bytes())
    code, _, err = defectbench_(*words, "--metrics", names[0])
    assert "warning: 1 images of --train are among --real" in err
    assert defectbench_("collect")[0] == 0
    with (tmp_path / "results/score/fake.score.csv").open(newline="") as file:
        table = {row["metric"]: row for row in csv.DictReader(file)}
    assert table[names[0]]["ceiling"]
    assert table[names[0]]["floor"]


def test_what_a_reader_should_know_is_said(folders, defectbench_, tmp_path):
    real, _ = folders
    fake = draw(tmp_path / "odd", 3, seed=2, size=40, suffix=".jpg")
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 256, (32, 48), dtype=np.uint8)).save(fake / "grey.png")
    wide = rng.integers(0, 65536, (32, 32)).astype(np.uint16)
    Image.fromarray(wide).save(fake / "wide.png")
    (fake / "same.png").write_bytes((real / "000.png").read_bytes())
    (fake / "notes.txt").write_text("not an image")
    code, _, err = defectbench_("score", "--real", real, "--fake", fake, "--size", 32, *QUICK)
    assert code == 0, err
    for word in (
        "fake: 3 of 6 images are JPEG",
        "fake: 1 of 6 images have 16 bits",
        "fake: 2 of 6 images are grayscale",
        "fake: 1 file without an image's suffix ignored",
        "3 sizes from 32 x 32 px to 48 x 32 px; resized to 32 px",
        "squashed",
        "warning: 1 generated images are real ones",
    ):
        assert word in err
    assert "real: " not in err


def test_copies_of_training_images_are_warned_of(folders, defectbench_):
    real, fake = folders
    code, _, err = defectbench_("score", "--real", real, "--fake", fake, "--train", fake, *QUICK)
    assert code == 0
    assert "warning: 6 generated images are images of --train, pixel by pixel" in err


def test_results_go_nowhere_into_the_images(folders, defectbench_):
    real, fake = folders
    asked = ("score", "--real", real, "--fake", fake, *QUICK, "--out")
    for out in (real, real / "sub", fake / "sub"):
        code, _, err = defectbench_(*asked, out)
        assert code == 2
        assert "where nothing is ever written" in err
    assert not (real / "records").exists()


def test_a_folder_against_itself_is_warned_of(folders, defectbench_):
    real, _ = folders
    code, out, err = defectbench_("score", "--real", real, "--fake", real, *QUICK, "--json")
    assert code == 0
    assert "warning: --real and --fake are the same folder" in err
    assert json.loads(out)["rows"][0]["value"] == pytest.approx(0, abs=1e-6)


def test_images_against_themselves_do_not_enter_the_leaderboard(folders, defectbench_, tmp_path):
    real, fake = folders
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in sorted(real.iterdir())[:6]:
        Image.open(path).save(copied / f"a_{path.stem}.png")
    for name, images in (("itself", real), ("part", copied), ("mine", fake)):
        words = ("score", "--real", real, "--fake", images, "--name", name, *QUICK)
        assert defectbench_(*words)[0] == 0
    assert defectbench_("collect")[0] == 0
    with (tmp_path / "results/leaderboard.csv").open(newline="") as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"mine"}
    with (tmp_path / "results/score/part.score.csv").open(newline="") as file:
        assert "do not enter the leaderboard" in next(csv.DictReader(file))["reason"]


def test_the_table_names_every_score_in_full_and_says_why_one_is_missing(folders, defectbench_):
    real, fake = folders
    for path in sorted(fake.iterdir())[4:]:
        path.unlink()
    lpips = "ic_lpips_dfmgan_lpips_alex_random_s0"
    asked = f"density_coverage_k5_vgg16_random_s0,kd_vgg16_random_s0,{lpips}"
    code, out, err = defectbench_("score", "--real", real, "--fake", fake, "--metrics", asked)
    assert code == 0, err
    told = out.split()
    assert {"kd_vgg16_random_s0", lpips, f"{lpips}_rz"} <= set(told)
    assert "density_coverage_k5_vgg16_random_s0: n/a (needs ≥ 6; has 4 fake)" in out
