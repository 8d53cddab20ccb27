"""timm networks by name: narrowed ones, group normalisation, and errors that say what to change."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from defectbench.config import UserError
from defectbench.nn.blocks.group_norm import use_group_norm
from defectbench.nn.blocks.imagenet_input import ImageNetInput
from defectbench.nn.pretrained import check_backbone, input_of, load_backbone

RESNET_CHANNELS = (64, 128, 256, 512)  # He et al. 2016, table 1
RESNET_STEM = 32  # timm's deep stems: 32 channels inside, 64 out


def narrowed(name: str, width: float) -> dict[str, Any]:
    """Give the arguments of `timm.create_model` that multiply the channels of a ResNet by `width`.

    Raises:
        UserError: the network is no ResNet of timm, or the width is not positive.
    """
    if width == 1:
        return {}
    if width <= 0:
        raise UserError(f"width {width}: want a positive factor on the channels")
    if not name.startswith("resnet"):
        raise UserError(
            f"width {width}: only timm's ResNets (resnet10t, resnet18, ...) can be narrowed, not {name!r}; leave it at 1"
        )
    return {
        "channels": tuple(round(width * c) for c in RESNET_CHANNELS),
        "stem_width": round(width * RESNET_STEM),
    }


def check_norm(norm: str, pretrained: bool) -> None:
    """Refuse a normalisation that pretrained weights were not made with.

    Raises:
        UserError: there is no normalisation of that name, or weights are to be loaded into another one.
    """
    if norm not in {"group", "batch"}:
        raise UserError(f"norm {norm!r}; known: group, batch")
    if norm == "group" and pretrained:
        raise UserError("pretrained weights were made with batch normalisation; set norm: batch")


def build_features(
    name: str,
    *,
    width: float = 1.0,
    norm: str = "group",
    pretrained: bool = False,
    weights: str | None = None,
) -> tuple[nn.Module, int]:
    """Build a network from images (B, 3, H, W) in [-1, 1] to features (B, D), and give D.

    Args:
        name: a name of timm, e.g. "resnet34".
        width: factor on the channels; ResNets only.
        norm: "group" or "batch".
        pretrained: load ImageNet weights by timm.
        weights: by nn/pretrained.py instead: "imagenet", "random" or a file; None leaves it to `pretrained`.

    Raises:
        UserError: there is no such network, it cannot be built so, or its weights are missing.
    """
    check_norm(norm, pretrained)
    check_backbone(name)
    if weights is not None:
        if pretrained:
            raise UserError(
                "weights and pretrained: give one; weights finds more (nn/pretrained.py)"
            )
        network: Any = load_backbone(name, weights, num_classes=0, **narrowed(name, width))
        if norm == "group":
            use_group_norm(network)
        features = int(getattr(network, "head_hidden_size", None) or network.num_features)
        return nn.Sequential(input_of(name), network), features
    try:
        network = timm.create_model(
            name, pretrained=pretrained, num_classes=0, **narrowed(name, width)
        )
    except UserError:
        raise
    except Exception as error:  # downloads and constructors raise errors of every kind
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"model {name!r}: {said}"
            + (f"; {MISSING_WEIGHTS.format(cure='pretrained: false')}" if pretrained else "")
        ) from error
    if norm == "group":
        use_group_norm(network)
    features = int(getattr(network, "head_hidden_size", None) or network.num_features)
    return nn.Sequential(ImageNetInput(), network), features


MISSING_WEIGHTS = (
    "pretrained weights are fetched once into HF_HOME or TORCH_HOME: fill that cache on a machine with a network, "
    "or set {cure}"
)
