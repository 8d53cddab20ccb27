"""What keeps memory in bounds: images are written as they are drawn, and looked at a few at a time.

`python -m benchmarks.performance memory` measures the peaks; docs/architecture.md has the figures.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

from defectbench.features.feature_store import AHEAD, FeatureStore
from defectbench.features.images import ArrayImages
from defectbench.single import generate
from defectbench.stages import sample as stage
from tests.cli.test_sample import checkpoint
from tests.features.test_feature_store import Tones
from tests.stages.test_sampling import sampled


def test_the_sample_stage_writes_each_batch_before_it_draws_the_next(
    squares, tmp_path, monkeypatch
):
    there: list[int] = []

    def counting(*arguments):
        there.append(len(list(tmp_path.rglob("jobs/*/images/*.png"))))
        return synthesise(*arguments)

    synthesise = stage.synthesise
    monkeypatch.setattr(stage, "synthesise", counting)
    sampled("memoriser", squares, tmp_path)
    assert there == [0, 3], "six images in batches of three"


@pytest.fixture
def drawing(tmp_path, monkeypatch, run):
    """Run `sample` for seven images, three at a time, and note how many files were there at each call."""
    there: list[int] = []
    monkeypatch.setattr(generate, "AT_ONCE", 3)
    draw = generate._draw

    def counting(*arguments):
        there.append(len(list((tmp_path / "out/unfinished").rglob("images/*.png"))))
        return draw(*arguments)

    monkeypatch.setattr(generate, "_draw", counting)
    model = checkpoint(tmp_path, "stylegan2")
    asked = ("sample", model, "--label", "hole", "--count", 7, "--out", tmp_path / "out")
    return lambda: (run(*asked), there)


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_the_command_sample_writes_them_as_they_are_drawn(drawing, tmp_path):
    done, there = drawing()
    assert done.code == 0, done.err
    assert there == [0, 3, 6]
    found = files(tmp_path / "out")
    assert sorted(found) == [
        *(f"images/{i:06d}.png" for i in range(7)),
        *("manifest.csv", "manifest.json", "samples.png"),
    ]
    assert b"out/000006,images/000006.png" in found["manifest.csv"]


def test_a_sample_that_fails_half_way_leaves_the_earlier_ones_and_a_killed_one_is_no_hindrance(
    drawing, tmp_path, monkeypatch
):
    drawing()
    before = files(tmp_path / "out")
    with monkeypatch.context() as patch:
        whole = generate._draw

        def failing(*arguments):
            if arguments[4][0] == 6:
                raise KeyboardInterrupt
            return whole(*arguments)

        patch.setattr(generate, "_draw", failing)
        done, _ = drawing()
        assert done.code == 130
    assert files(tmp_path / "out") == before
    left = tmp_path / "out/unfinished/images/000000.png"  # by SIGKILL
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    done, _ = drawing()
    assert done.code == 0, done.err
    assert files(tmp_path / "out") == before


def test_large_images_go_through_a_network_a_few_at_a_time(tmp_path):
    class Noting(Tones):
        def forward(self, images):
            batches.append(len(images))
            return super().forward(images)

    batches: list[int] = []
    large = np.random.default_rng(0).integers(0, 256, (5, 1024, 1024, 3), dtype=np.uint8)
    found = FeatureStore(tmp_path).get(ArrayImages(large), [Noting()])["tones_mean"]
    assert batches == [2, 2, 1], "two have the pixels of 32 images of 256 px"
    np.testing.assert_allclose(found, large.mean((1, 2)), rtol=1e-4)


class Slow(ArrayImages):
    """Images that note how many were decoded at most before they were looked at."""

    def __init__(self, images, network):
        super().__init__(images)
        self.network, self.loads, self.most = network, 0, 0
        self.lock = threading.Lock()

    def load(self, index):
        with self.lock:
            self.loads += 1
            self.most = max(self.most, self.loads - self.network.passes)
        return super().load(index)


def test_features_are_computed_chunk_by_chunk_and_few_images_wait(tmp_path):
    network = Tones()
    images = Slow(np.zeros((40, 8, 8, 3), np.uint8), network)
    FeatureStore(tmp_path, chunk=4).get(images, [network])
    assert (images.loads, network.passes) == (40, 40)
    assert 4 <= images.most <= (1 + AHEAD) * 4, (
        "the chunk that is looked at and those decoded ahead"
    )
