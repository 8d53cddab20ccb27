"""LPIPS embeddings and all pairs against torchmetrics, pair by pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torchmetrics
from torchmetrics.functional.image.lpips import _LPIPS

from defectbench.config import UserError
from defectbench.features.backbones import LAYOUTS, Backbone
from defectbench.features.images import ArrayImages
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import between, within
from defectbench.features.lpips_streams import grouped_distances
from defectbench.metrics.base import stored
from defectbench.metrics.pairwise import mean_pairwise
from tests.features.stub_lpips import StubLpips


def _images(count: int, height: int, width: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 256, (count, 4, 4, 3)).repeat(height // 4 + 1, 1)
    smooth = smooth.repeat(width // 4 + 1, 2)[:, :height, :width]
    return (0.7 * smooth + 0.3 * rng.integers(0, 256, smooth.shape)).astype(np.uint8)


def _theirs(net, ours):
    """torchmetrics' network with its own heads and the same backbone."""
    reference = _LPIPS(net=net, pnet_rand=True)
    values = ours.backbone.layers.state_dict().values()
    with torch.no_grad():
        for target, value in zip(reference.net.state_dict().values(), values, strict=True):
            target.copy_(value)
    return reference


def _float(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize(
    ("net", "height", "width"),
    [
        ("alex", 64, 64),
        ("alex", 47, 70),
        # torchmetrics first makes the whole of VGG16, 138 million weights.
        pytest.param("vgg", 32, 40, marks=pytest.mark.slow),
    ],
)
def test_every_pair_equals_torchmetrics(net, height, width):
    array = _images(5, height, width)
    array[4] = array[3]
    array[4, 0, 0] ^= 1  # nearly a duplicate: where products cancel most
    ours = Lpips(net, seed=0)
    distances = within(ours, ArrayImages(array))
    reference, floats = _theirs(net, ours), _float(array)
    for i, j in itertools.combinations(range(5), 2):
        expected = reference(floats[i : i + 1], floats[j : j + 1]).item()
        assert distances[i, j] == pytest.approx(expected, abs=1e-6)
        assert distances[j, i] == distances[i, j]
    assert 0 < distances[3, 4] < 0.1 * distances[0, 1]
    assert (np.diag(distances) == 0).all()


def test_dimensions_are_those_of_the_embedding():
    for net, size in itertools.product(("alex", "vgg"), ((31, 33), (48, 64))):
        ours = Lpips(net, seed=0)
        rows = ours(torch.zeros(1, 3, *size, dtype=torch.uint8))
        assert rows.shape == (1, ours.dimensions(*size))


def test_seeded_weights_are_the_same_every_time_and_draw_from_nothing_global():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (Backbone("alex", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert first.sha256 == again.sha256 != other.sha256
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_seeded_weights_keep_the_scale_of_their_input_through_all_layers():
    layers = Backbone("vgg", seed=0)(
        torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    )
    for layer in layers:
        assert 0.2 < layer.square().mean().item() < 5


def test_a_torchvision_state_dict_is_read_with_its_classifier_left_out(tmp_path):
    seeded = Backbone("alex", seed=3)
    state = {f"features.{key}": value for key, value in seeded.layers.state_dict().items()}
    state["classifier.6.bias"] = torch.zeros(1000)
    torch.save(state, tmp_path / "alex.pth")
    loaded = Backbone("alex", weights=tmp_path / "alex.pth")
    x = torch.randn(1, 3, 40, 40)
    for a, b in zip(seeded(x), loaded(x), strict=True):
        assert torch.equal(a, b)
    assert Lpips("alex", weights=tmp_path / "alex.pth").name == "lpips_alex"


@pytest.mark.parametrize("fault", ["negative", "absent", "short"])
def test_heads_that_are_not_lpips_heads_are_refused(tmp_path, monkeypatch, fault):
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1)
        for i, c in enumerate(LAYOUTS["alex"].channels)
    }
    if fault == "negative":
        heads["lin2.model.1.weight"][0, 7] = -0.1
    elif fault == "absent":
        del heads["lin2.model.1.weight"]
    else:
        heads["lin2.model.1.weight"] = torch.rand(1, 12, 1, 1)
    folder = tmp_path / "functional/image/lpips_models"
    folder.mkdir(parents=True)
    torch.save(heads, folder / "alex.pth")
    monkeypatch.setattr(torchmetrics, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match="head 2"):
        Lpips("alex", seed=0)


def test_one_pass_per_image_when_all_embeddings_fit():
    net, images = StubLpips(), ArrayImages(_images(70, 8, 8))
    distances = within(net, images)
    assert net.passes == 70
    rows = images._images.reshape(70, -1) / 255.0
    expected = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-5)


def test_more_embeddings_than_the_budget_are_refused():
    images = ArrayImages(_images(41, 8, 8))
    assert within(StubLpips(), images, budget=4 * 192 * 41).shape == (41, 41)
    with pytest.raises(ValueError, match="embeddings of 41 images"):
        within(StubLpips(), images, budget=4 * 192 * 41 - 1)


def test_distances_to_references_and_among_images_cost_one_pass_over_both():
    array = _images(23, 8, 8)
    images, references = ArrayImages(array[5:]), ArrayImages(array[:5])
    everything = within(StubLpips(), ArrayImages(array))
    net = StubLpips()
    cross, inner = between(net, images, references, inner=True)
    assert net.passes == 23
    np.testing.assert_allclose(cross, everything[5:, :5], atol=1e-5)
    np.testing.assert_allclose(inner, everything[5:, 5:], atol=1e-5)
    alone, nothing = between(StubLpips(), images, references, inner=False)
    np.testing.assert_allclose(alone, cross, atol=1e-6)
    assert nothing is None


def test_groups_give_the_mean_of_all_pairs_in_one_pass():
    array = _images(37, 8, 8)
    full = stored(within(StubLpips(), ArrayImages(array)))
    net = StubLpips()
    groups = grouped_distances(net, ArrayImages(array))
    assert net.passes == 37
    assert groups.shape == (10, 11)
    assert groups[:, -1].sum() == 37
    i, j = np.triu_indices(37, 1)
    assert mean_pairwise(full) == pytest.approx(full[i, j].mean(), rel=1e-12)
    assert mean_pairwise(groups) == pytest.approx(mean_pairwise(full), rel=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_groups_of_very_few_images(count):
    array = _images(count, 8, 8)
    full = mean_pairwise(stored(within(StubLpips(), ArrayImages(array))))
    groups = grouped_distances(StubLpips(), ArrayImages(array))
    assert mean_pairwise(groups) == pytest.approx(full, rel=1e-5)


def test_images_of_two_sizes_are_refused_by_index():
    class Mixed:
        resize = "native"

        def __len__(self):
            return 2

        def load(self, index):
            return np.zeros((3, 8, 8 + index), np.uint8)

    with pytest.raises(ValueError, match="image 0 is 8 x 8 px but image 1 is 9 x 8 px"):
        within(StubLpips(), Mixed())


def test_images_too_small_or_of_another_kind_are_refused():
    net = Lpips("alex", seed=0)
    with pytest.raises(ValueError, match="20 x 20 px; alexnet needs >= 31"):
        net(torch.zeros(1, 3, 20, 20, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"torch.float32; want \(N, 3, H, W\) torch.uint8"):
        net(torch.zeros(1, 3, 64, 64))
