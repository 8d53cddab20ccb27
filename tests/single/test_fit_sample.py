"""One generator outside any table: fitted, sampled, and refused what it cannot do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.stages.checkpoints import read_checkpoint
from tests.runner.test_bad_input import refused
from tests.running import call

pytestmark = pytest.mark.slow  # every command starts a process that imports torch

DFMGAN = ["--set", "channel_base=256", "--set", "channel_max=16", "--set", "latents=16", "--set", "branch_from=16"]  # fmt: skip
FIT = ["--size", 32, "--standin-size", 48, "--images", 16, "--batch", 4]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = call(
        "fit", "dcdgan_c", *FIT, "--view", "contents", "--dilate", 2, "--set", "base=4",
        "--set", "blocks=1", "--out", folder / "contents",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = call(
        "fit",
        "defect_gan",
        *FIT,
        "--set",
        "base=4",
        "--set",
        "critic_base=4",
        "--out",
        folder / "full",
    )
    assert done.returncode == 0, done.stderr
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(image).save(folder / "normal.png")
    return folder


def test_a_fit_leaves_checkpoint_curves_and_grids(runs):
    out = runs / "contents"
    assert (out / "generator.ckpt").is_file()
    assert (out / "losses.csv").read_text().startswith("stage,step,images,loss,value")
    assert list(out.glob("grid-*.png"))
    view = read_checkpoint(out / "generator.ckpt")["view"]
    assert (view["name"], view["dilate"]) == ("contents", 2)


def test_drawn_images_say_where_they_come_from(runs, tmp_path):
    done = call(
        "sample", runs / "contents" / "generator.ckpt", "--label", "hole", "--normal", runs / "normal.png",
        "--count", 3, "--out", tmp_path / "drawn",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 3
    with (tmp_path / "drawn" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["defects"] for r in rows] == ["hole"] * 3
    assert rows[0]["normal"].endswith("normal.png")
    shown = call("show", tmp_path / "drawn" / "images" / "000001.png", "--json")
    assert json.loads(shown.stdout)["label"] == "hole:1.00"


def test_the_same_seed_draws_the_same_bytes(runs, tmp_path):
    done = call("fit", "cutpaste_real", *FIT, "--out", tmp_path / "paste")
    assert done.returncode == 0, done.stderr
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done = call(
            "sample", tmp_path / "paste" / "generator.ckpt", "--label", "hole", "--seed", seed, "--count", 1,
            "--normal", runs / "normal.png", "--out", tmp_path / name,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        drawn.append((tmp_path / name / "images" / "000000.png").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_model_draws_what_it_was_trained_on_alone(runs, tmp_path):
    done = call("fit", "dfmgan", *FIT, "--defect", "hole", *DFMGAN, "--out", tmp_path / "fit")
    assert done.returncode == 0, done.stderr
    assert re.search("masks of the last sample grid: .*(native|invalid)", done.stderr)
    model = tmp_path / "fit" / "generator.ckpt"
    refused(
        call("sample", model, "--label", "liquid", "--out", tmp_path / "x"),
        "--label liquid: this dfmgan was not trained on it; known: hole",
    )
    done = call("sample", model, "--label", "hole", "--count", 2, "--out", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout)["masks"].values()) == 2


def test_a_fit_that_cannot_go_is_refused_before_anything_is_drawn(tmp_path):
    out = ["--out", tmp_path / "x"]
    refused(call("fit", "cycle_gan", *FIT, *out), "one defect type per model", "--defect")
    refused(
        call("fit", "dcdgan_c", *FIT, "--set", "bass=4", *out),
        "no argument 'bass'",
        "did you mean 'base'",
    )
    refused(
        call("fit", "defect_gan", "--size", 50, *out),
        "defect_gan: size is 50; wants a multiple of 4",
    )
    refused(
        call("fit", "dfmgan", "--size", 48, "--defect", "hole", *out),
        "dfmgan: size is 48; wants a power of two",
    )
    refused(
        call("fit", "dfmgan", *FIT, "--batch", 1, "--defect", "hole", *out),
        "dfmgan: batch is 1; wants at least 2",
    )
    assert not (tmp_path / "x").exists()


def test_a_box_places_the_defect(runs, tmp_path):
    done = call(
        "sample", runs / "full" / "generator.ckpt", "--label", "hole", "--normal", runs / "normal.png",
        "--box", "4,4,20,20", "--count", 1, "--out", tmp_path / "drawn",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "drawn" / "images" / "000000.png").is_file()
