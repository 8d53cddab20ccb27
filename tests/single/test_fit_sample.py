"""One generator outside any table: fitted, sampled, and refused what it cannot do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from defectbench.stages.checkpoints import read_checkpoint
from tests.cli.test_sample import rows
from tests.conftest import Run
from tests.runner.test_bad_input import refused
from tests.trees import save

FIT = ["--size", 32, "--standin-size", 48, "--images", 16, "--batch", 4]
TINY = ["--set", "base=4", "--set", "blocks=1"]
DFMGAN = ["--set", "channel_base=256", "--set", "channel_max=16", "--set", "latents=16", "--set", "branch_from=16"]  # fmt: skip


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    return save(
        tmp_path / "normal.png",
        np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8),
    )


def test_a_fit_leaves_what_sampling_needs(run: Run, normal: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit"
    done = run("fit", "dcdgan_c", *FIT, *TINY, "--view", "contents", "--dilate", 2, "--out", out)
    assert done.code == 0, done.err
    assert (out / "losses.csv").read_text().startswith("stage,step,images,loss,value")
    assert list(out.glob("grid-*.png"))
    model = out / "generator.ckpt"
    view = read_checkpoint(model)["view"]
    assert (view["name"], view["dilate"]) == ("contents", 2)
    drawn = []
    for name in ("a", "b"):
        asked = ("--label", "hole", "--normal", normal, "--seed", 1, "--count", 2)
        done = run("sample", model, *asked, "--out", tmp_path / name)
        assert done.code == 0, done.err
        drawn.append((tmp_path / name / "images" / "000001.png").read_bytes())
    assert drawn[0] == drawn[1], "the seed says every byte"
    assert [row["defects"] for row in rows(tmp_path / "a")] == ["hole"] * 2
    assert rows(tmp_path / "a")[0]["normal"].endswith("normal.png")
    assert run("show", tmp_path / "a/images/000001.png", "--json").json["label"] == "hole:1.00"


def test_a_model_draws_what_it_was_trained_on_alone(run: Run, tmp_path: Path) -> None:
    done = run("fit", "dfmgan", *FIT, "--defect", "hole", *DFMGAN, "--out", tmp_path / "fit")
    assert done.code == 0, done.err
    assert re.search("masks of the last sample grid: .*(native|invalid)", done.err)
    model = tmp_path / "fit" / "generator.ckpt"
    refused(
        run("sample", model, "--label", "liquid", "--out", tmp_path / "x"),
        "--label liquid: this dfmgan was not trained on it; known: hole",
    )
    done = run("sample", model, "--label", "hole", "--count", 2, "--out", tmp_path / "x")
    assert done.code == 0, done.err
    assert sum(json.loads(done.out)["masks"].values()) == 2
