"""Extractors: shapes, parts, determinism; the Inception protocol end to end against libraries."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.utils import create_feature_extractor

from defectbench.config import UserError
from defectbench.features import extractors as features
from defectbench.features.extractors import DinoV2, InceptionTF2015, RandomVgg16, build
from defectbench.features.feature_store import FeatureStore
from defectbench.features.images import ArrayImages
from defectbench.features.lpips import Lpips
from defectbench.features.weights import DINOV2_VITB14
from defectbench.metrics.fid import fid
from defectbench.metrics.inception_score import inception_score
from defectbench.metrics.kid import kid_torch_fidelity
from defectbench.metrics.prdc import precision_recall
from defectbench.nn.weights import WeightFile, sha256_of


def _pictures(count: int, seed: int, size: int = 48):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, 6, 6, 3)).repeat(size // 6, 1).repeat(size // 6, 2)
    return (0.6 * blocks + 0.4 * rng.integers(0, 256, blocks.shape)).astype(np.uint8)


@pytest.mark.slow
def test_random_vgg_is_seeded_and_reads_images_at_their_own_size():
    first, other = RandomVgg16(), RandomVgg16(seed=1)
    images = torch.from_numpy(_pictures(2, 0)).permute(0, 3, 1, 2)
    rows = first(images)
    assert rows.shape == (2, first.dim) == (2, 1472)
    assert rows.dtype == torch.float32
    assert (first.name, other.name) == ("vgg16_random_s0", "vgg16_random_s1")
    assert first.sha256 == RandomVgg16().sha256 != other.sha256
    assert torch.equal(rows, RandomVgg16()(images))
    assert not torch.allclose(rows, other(images))
    assert first(images[:, :, :20, :33]).shape == (2, 1472)


def test_names_and_parts_build_the_same_extractors():
    assert isinstance(build("vgg16_random_s0"), RandomVgg16)
    assert isinstance(build("lpips_alex_random_s0"), Lpips)
    for name, maker in features.EXTRACTORS.items():
        if "random" in name:
            assert maker().name == name
    with pytest.raises(UserError, match="did you mean 'vgg16_random_s0'"):
        build("vgg16_random")


@pytest.mark.parametrize(
    "name", ["inception_tf2015_logits", "lpips_vgg", "dinov2_vitl14", "clip_vitb32"]
)
def test_absent_weights_are_named(name, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("DEFECTBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "1")
    with pytest.raises(UserError, match="fetch https://"):
        build(name)


def test_what_is_not_an_image_batch_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 1, 32, 32\) torch.uint8; want"):
        RandomVgg16()(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))


@pytest.mark.slow
def test_dinov2_reads_the_published_layout_of_weights(tmp_path):
    # The original checkpoint is for 518 px: 37 x 37 positions, and a mask token that is not used.
    import timm

    rng = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        layout = timm.create_model("vit_small_patch14_dinov2", num_classes=0).state_dict()
    state = {k: torch.randn(v.shape, generator=rng) * 0.02 for k, v in layout.items()}
    state["mask_token"] = torch.zeros(1, 384)
    torch.save(state, tmp_path / "dino.pth")
    extractor = DinoV2(
        "dinov2_test", "vit_small_patch14_dinov2", DINOV2_VITB14, weights=tmp_path / "dino.pth"
    )
    images = torch.from_numpy(_pictures(2, 0)).permute(0, 3, 1, 2)
    before = torch.get_rng_state()
    rows = extractor(images)
    assert torch.equal(before, torch.get_rng_state())
    assert rows.shape == (2, 384)
    assert extractor.sha256 == sha256_of(tmp_path / "dino.pth")
    assert not torch.allclose(rows[0], rows[1])
    assert torch.allclose(rows[:1], extractor(images[:1]), atol=1e-5)


@pytest.mark.slow
def test_inception_features_and_scores_equal_torch_fidelity(inception_weights, tmp_path):
    """From the same pixels through the same weights: resize, features, and scores of the features."""
    real, fake = _pictures(8, 0), _pictures(7, 1)
    extractor = InceptionTF2015(weights=inception_weights)
    store = FeatureStore(tmp_path, chunk=4)
    first, second = (store.get(ArrayImages(x), [extractor]) for x in (real, fake))
    a, b = (np.array(x["inception_tf2015_pool3"], np.float64) for x in (first, second))
    logits = np.array(second["inception_tf2015_logits"], np.float64)

    network = create_feature_extractor(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        cuda=False,
        feature_extractor_weights_path=str(inception_weights),
        verbose=False,
    )
    theirs = [network(torch.from_numpy(x).permute(0, 3, 1, 2)) for x in (real, fake)]
    for ours, found in ((a, theirs[0][0]), (b, theirs[1][0]), (logits, theirs[1][1])):
        atol = 1e-5 * np.abs(ours).max()
        np.testing.assert_allclose(ours, found.numpy(), rtol=1e-4, atol=atol)

    x, y = torch.from_numpy(a), torch.from_numpy(b)
    value = kid_features_to_metric(y, x, kid_subset_size=6, kid_subsets=3, verbose=False)
    subsets = kid_torch_fidelity(b, a, subsets=3, subset_size=6)
    assert subsets.mean == pytest.approx(value["kernel_inception_distance_mean"], rel=1e-6)
    value = isc_features_to_metric(torch.from_numpy(logits), splits=2)
    ours = inception_score(logits, splits=2)
    assert ours.mean == pytest.approx(value["inception_score_mean"], rel=1e-6)
    value = prc_features_to_metric(y, x, verbose=False)
    assert precision_recall(a, b) == pytest.approx((value["precision"], value["recall"]))
    # Eigenvalues of 2048 x 2048 take a minute on a busy machine; a quarter of the columns does.
    statistics = [fid_features_to_statistics(rows[:, ::4]) for rows in (x, y)]
    value = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert fid(a[:, ::4], b[:, ::4]) == pytest.approx(value, rel=1e-6)


@pytest.mark.slow
def test_pool3_and_logits_cost_one_pass(inception_weights, tmp_path):
    extractor = InceptionTF2015(weights=inception_weights)
    seen = []
    extractor.network.register_forward_hook(lambda _m, given, _out: seen.append(len(given[0])))
    FeatureStore(tmp_path, chunk=2).get(ArrayImages(_pictures(3, 0)), [extractor])
    assert seen == [2, 1]


@pytest.mark.slow
def test_a_random_file_under_the_published_name_is_refused(inception_weights, monkeypatch):
    monkeypatch.setenv("DEFECTBENCH_WEIGHTS", str(inception_weights.parent))
    with pytest.raises(UserError, match="it is not the file published at"):
        build("inception_tf2015")


@pytest.mark.slow
def test_clip_reads_a_torchscript_archive(tmp_path):
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = CLIPVisual(16, 32, 2, 64, 8).visual
            self.text_projection = torch.nn.Parameter(torch.eye(16))

        def forward(self, images):
            return self.visual(images) @ self.text_projection

    file = WeightFile("clip.pt", "https://example.org/clip.pt", "0" * 64, "testing", "MIT")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # TorchScript is deprecated, and OpenAI publishes nothing else
        traced = torch.jit.trace(Tiny(), torch.rand(1, 3, 32, 32))
        torch.jit.save(traced, tmp_path / "clip.pt")
    extractor = features.Clip("clip_test", "clip-vit-b-32", file, 16, weights=tmp_path / "clip.pt")
    rows = extractor(torch.from_numpy(_pictures(3, 0)).permute(0, 3, 1, 2))
    assert rows.shape == (3, 16)
    assert torch.isfinite(rows).all()


def test_lite0_gives_pooled_features_and_logits_of_the_network_with_imagenet_weights():
    import timm
    from PIL import Image

    from defectbench.nn.pretrained import load_backbone

    net = build("lite0_imagenet")
    assert build("lite0_imagenet_logits").name == net.name == "lite0_imagenet"
    assert {part: s.stop - s.start for part, s in net.parts.items()} == {
        "lite0_imagenet": 1280,
        "lite0_imagenet_logits": 1000,
    }
    pictures = _pictures(3, 5)
    images = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        rows = net(images)
        whole = load_backbone("tf_efficientnet_lite0", "imagenet").eval()
        config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
        assert (config.mean, config.std) == ((0.5,) * 3, (0.5,) * 3)
        resized = np.stack(
            [
                np.asarray(Image.fromarray(p).resize((224, 224), Image.Resampling.BICUBIC))
                for p in pictures
            ]
        )
        scaled = torch.from_numpy(resized).permute(0, 3, 1, 2).float() / 127.5 - 1
        logits, pooled = whole(scaled), whole.forward_features(scaled).mean(dim=(2, 3))
    # Pillow rounds to whole grey levels, so the two agree to about a hundredth.
    for ours, theirs in ((rows[:, :1280], pooled), (rows[:, 1280:], logits)):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not net.network.training
    alone = net(images[:1])
    assert torch.allclose(alone, rows[:1], atol=1e-4)
