"""The feature store: one pass, found by content, shared, interrupted, never half-written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from defectbench.features.extractors import FeatureExtractor, RandomVgg16
from defectbench.features.feature_store import FeatureStore
from defectbench.features.images import ArrayImages, FileImages, HeldImages
from defectbench.features.lpips import Lpips


class Tones(FeatureExtractor):
    """Mean colour and its square, as two parts; counts images and can fail."""

    def __init__(self, name="tones", sha256="a" * 64):
        super().__init__(name, sha256, "native", {f"{name}_mean": 3, f"{name}_square": 3})
        self.passes = 0
        self.fail_after = None

    def forward(self, images):
        if self.fail_after is not None and self.passes >= self.fail_after:
            raise KeyboardInterrupt
        self.passes += len(images)
        mean = images.float().mean(dim=(2, 3))
        return torch.cat([mean, mean**2], dim=1)


class Counted(ArrayImages):
    """Images that count how often one is loaded."""

    loads = 0

    def load(self, index):
        self.loads += 1
        return super().load(index)


def _pictures(count, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def _files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_one_pass_feeds_every_extractor_and_a_second_call_none(tmp_path):
    array = _pictures(10)
    first, second = Tones(), Tones("others", "b" * 64)
    store, images = FeatureStore(tmp_path, chunk=4), Counted(array)
    found = store.get(images, [first, second])
    assert images.loads == 10
    assert (first.passes, second.passes) == (10, 10)
    np.testing.assert_allclose(found["tones_mean"], array.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["others_square"], array.mean((1, 2)) ** 2, rtol=1e-5)
    assert isinstance(found["tones_mean"], np.memmap)
    again = FeatureStore(tmp_path).get(Counted(array), [Tones()])
    assert np.array_equal(again["tones_square"], found["tones_square"])
    assert (first.passes, images.loads) == (10, 10)
    third = Tones("third", "c" * 64)
    store.get(images, [first, third])  # only what is missing is extracted
    assert (first.passes, third.passes) == (10, 10)


def test_nothing_but_finished_files_remains(tmp_path):
    store = FeatureStore(tmp_path, chunk=4)
    store.get(ArrayImages(_pictures(10)), [Tones()])
    assert [Path(name).suffix for name in _files(tmp_path)] == [".npy"]
    assert not [p for p in tmp_path.rglob("*") if "parts" in p.name]


def test_the_key_holds_content_order_weights_and_resize_rules(tmp_path):
    store, array = FeatureStore(tmp_path), _pictures(3)
    images = ArrayImages(array)

    def key(images, extractor):
        return store.key(images.digest(), images, extractor)

    base = key(images, Tones())
    assert base == key(ArrayImages(array.copy()), Tones())
    changed = array.copy()
    changed[2, 5, 5, 1] ^= 1
    resized = ArrayImages(array)
    resized.resize = "bicubic_32"
    others = [
        key(ArrayImages(changed), Tones()),
        key(ArrayImages(array[::-1].copy()), Tones()),
        key(ArrayImages(array[:2]), Tones()),
        key(images, Tones(sha256="b" * 64)),
        key(images, Tones("others")),
        key(resized, Tones()),
    ]
    assert len({base, *others}) == 7


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    images, store = Counted(_pictures(20)), FeatureStore(tmp_path, chunk=4, workers=1)
    broken = Tones()
    broken.fail_after = 8
    with pytest.raises(KeyboardInterrupt):
        store.get(images, [broken])
    assert len(_files(tmp_path)) == 2
    assert not any(name.endswith(".tmp") for name in _files(tmp_path))
    resumed = Tones()
    found = store.get(images, [resumed])
    assert resumed.passes == 12
    whole = FeatureStore(tmp_path / "other", chunk=4).get(images, [Tones()])
    assert np.array_equal(found["tones_mean"], whole["tones_mean"])


@pytest.mark.slow
def test_shares_of_any_number_of_processes_join_to_the_same_bytes(tmp_path):
    images, extractor, passes = ArrayImages(_pictures(13)), RandomVgg16(), []
    extractor.register_forward_hook(lambda _m, given, _out: passes.append(len(given[0])))
    alone = FeatureStore(tmp_path / "alone", chunk=2).get(images, [extractor])
    for world in (2, 3, 5):
        shared = FeatureStore(tmp_path / str(world), chunk=2)
        passes.clear()
        for rank in range(world):
            complete = shared.extract(images, [extractor], rank=rank, world=world)
            assert complete == (rank == world - 1)
        assert sum(passes) == 13  # no padding
        together = shared.get(images, [extractor])
        assert together["vgg16_random_s0"].tobytes() == alone["vgg16_random_s0"].tobytes()


def test_many_writers_of_the_same_set_do_no_harm(tmp_path):
    images = ArrayImages(_pictures(24))
    expected = images._images.mean((1, 2))

    def extract(_):
        found = FeatureStore(tmp_path, chunk=2, workers=1).get(images, [Tones()])
        return np.array(found["tones_mean"])

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(extract, range(24)):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(_files(tmp_path)) == 1


def test_images_of_several_sizes_keep_their_order(tmp_path):
    array = _pictures(6, 40)

    class Mixed(ArrayImages):
        def load(self, index):
            side = 24 if index % 2 else 40
            return super().load(index)[:, :side, :side]

    found = FeatureStore(tmp_path, chunk=4).get(Mixed(array), [Tones()])
    sides = [24 if i % 2 else 40 for i in range(6)]
    expected = [image[:s, :s].mean((0, 1)) for image, s in zip(array, sides, strict=True)]
    np.testing.assert_allclose(found["tones_mean"], expected, rtol=1e-5)


def test_features_that_are_not_numbers_are_refused_and_not_kept(tmp_path):
    class Broken(Tones):
        def forward(self, images):
            rows = super().forward(images)
            rows[images.amax((1, 2, 3)) == 0] = torch.nan
            return rows

    array = _pictures(7)
    array[5] = 0
    with pytest.raises(ValueError, match="tones gives NaN or infinity for image 5"):
        FeatureStore(tmp_path, chunk=4).get(ArrayImages(array), [Broken()])
    assert not list(tmp_path.glob("*/*.npy"))


def test_lpips_distances_are_kept_and_large_sets_become_groups(tmp_path):
    images, net = Counted(_pictures(12)), Lpips("alex", seed=0)
    store = FeatureStore(tmp_path)
    found = store.get(images, [net, Tones()])
    assert images.loads == 12  # LPIPS reads what was decoded for the others
    assert found[net.name].shape == (12, 13)
    passes = []
    net.register_forward_hook(lambda _m, given, _out: passes.append(len(given[0])))
    again = store.get(ArrayImages(_pictures(12)), [net])
    assert np.array_equal(again[net.name], found[net.name])
    assert not passes
    small = FeatureStore(tmp_path / "small", budget=1000).get(images, [net])
    assert small[net.name].shape == (6, 7)
    assert sum(passes) == 12


def test_files_are_decoded_and_resized_like_pillow(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for i, side in enumerate((30, 50, 20)):
        paths.append(tmp_path / f"{i}.png")
        pixels = rng.integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(paths[-1])

    def decode(path):
        return np.asarray(Image.open(path))

    images = FileImages(paths, decode, size=32)
    assert images.resize == "bicubic_32"
    resized = Image.open(paths[1]).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(images.load(1).transpose(1, 2, 0), np.asarray(resized))
    native = FileImages(paths, decode)
    assert native.load(1).shape == (3, 50, 54)
    assert images.digest() == native.digest() != FileImages(paths[::-1], decode).digest()
    held = HeldImages(images, limit=2 * 32 * 32 * 3)
    assert np.array_equal(held.load(2), images.load(2))
    assert held.load(2) is held.load(2)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint16),
        np.zeros((2, 3, 8, 8), np.uint8),
    ],
)
def test_arrays_that_are_not_images_are_refused(array):
    with pytest.raises(ValueError, match=r"want \(N, H, W, 3\) uint8"):
        ArrayImages(array)
    with pytest.raises(ValueError, match="no image file"):
        FileImages([], lambda _: array)
