"""Segmentation networks from segmentation-models-pytorch, built by name, with errors that say what to change."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from defectbench.config import UserError, nearest
from defectbench.nn.blocks.group_norm import use_group_norm
from defectbench.nn.blocks.imagenet_input import ImageNetInput
from defectbench.nn.blocks.timm_networks import MISSING_WEIGHTS, check_norm, narrowed
from defectbench.nn.pretrained import LITE0, check_backbone, fill, input_of

ALIASES = {"res": "fpn"}
"""Names of the papers: DCDGANc's "Res" is a feature pyramid network (Lin et al. 2017) on a ResNet."""
UNET_CHANNELS = (256, 128, 64, 32, 16)  # of segmentation-models-pytorch, for a depth of 5


def build_segmenter(
    architecture: str,
    *,
    size: int,
    encoder: str | None,
    encoder_depth: int,
    encoder_width: float,
    encoder_weights: str | None,
    weights: str | None,
    decoder_channels: Sequence[int] | None,
    norm: str,
) -> nn.Module:
    """Build a network from (B, 3, size, size) images in [-1, 1] to (B, 1, size, size) logits.

    The arguments are those of `Segmentation`.

    Raises:
        UserError: there is no such architecture or encoder, they do not go together, or pretrained weights are missing.
    """
    known = {**smp.MODEL_ARCHITECTURES_MAPPING}
    name = ALIASES.get(architecture.lower(), architecture.lower())
    if name not in known:
        raise UserError(
            f"architecture {architecture!r}: {nearest(architecture.lower(), [*known, *ALIASES])}"
        )
    check_norm(norm, encoder_weights is not None)
    timm_name = ""
    if weights is not None:
        if encoder_weights is not None:
            raise UserError(
                "weights and encoder_weights: give one; weights finds more (nn/pretrained.py)"
            )
        timm_name = (encoder or LITE0).removeprefix("tu-")
        check_backbone(timm_name, "encoder")
        encoder = f"tu-{timm_name}"
    encoder = encoder or "resnet18"
    options: dict[str, Any] = {
        "encoder_name": encoder,
        "encoder_depth": encoder_depth,
        "encoder_weights": encoder_weights,
        "in_channels": 3,
        "classes": 1,
        **_decoder_options(name, known[name], encoder_depth, decoder_channels),
        **_encoder_options(encoder, encoder_width),
    }
    try:
        network: nn.Module = known[name](**options)
    except Exception as error:  # the library's builders raise errors of every kind
        raise UserError(_building_problem(architecture, options, error)) from error
    stride = 2**encoder_depth
    if getattr(network, "requires_divisible_input_shape", True) and size % stride:
        raise UserError(
            f"size {size} is not a multiple of {stride}, as {architecture} with encoder_depth {encoder_depth} "
            f"needs; take {size // stride * stride or stride} or a smaller encoder_depth"
        )
    if norm == "group":
        use_group_norm(network)
    if weights is None:
        return nn.Sequential(ImageNetInput(), network)
    body: nn.Module = network.get_submodule("encoder.model")
    fill(body, timm_name, weights)
    return nn.Sequential(input_of(timm_name), network)


def _decoder_options(
    name: str, cls: type[nn.Module], depth: int, channels: Sequence[int] | None
) -> dict[str, Any]:
    """Translate `decoder_channels` into the arguments of one architecture."""
    if name == "fpn":
        pyramid, segmentation = channels if channels and len(channels) == 2 else (256, 128)
        if channels and len(channels) != 2:
            raise UserError(
                f"decoder_channels {list(channels)}: {name} wants two, of the pyramid and of the segmentation branch"
            )
        return {
            "decoder_pyramid_channels": pyramid,
            "decoder_segmentation_channels": segmentation,
            "upsampling": 2
            ** max(depth - 3, 0),  # its finest level lies 3 levels above the deepest
        }
    accepted = inspect.signature(cls.__init__).parameters
    if "decoder_channels" not in accepted:
        if channels:
            raise UserError(f"decoder_channels: {name} has no such option; leave it out")
        return {}
    default = accepted["decoder_channels"].default
    if isinstance(default, int):
        if channels and len(channels) != 1:
            raise UserError(f"decoder_channels {list(channels)}: {name} wants one number")
        return {"decoder_channels": channels[0]} if channels else {}
    if channels and len(channels) != depth:
        raise UserError(
            f"decoder_channels {list(channels)}: {name} wants {depth}, one per level of encoder_depth"
        )
    return {"decoder_channels": tuple(channels) if channels else UNET_CHANNELS[-depth:]}


def _encoder_options(encoder: str, width: float) -> dict[str, Any]:
    """Narrow or widen a timm ResNet."""
    if width != 1 and not encoder.startswith("tu-"):
        raise UserError(
            f"encoder_width {width}: only timm's ResNets (tu-resnet10t, tu-resnet18, ...) can be narrowed, "
            f"not {encoder!r}; leave it at 1"
        )
    return narrowed(encoder.removeprefix("tu-"), width)


def _building_problem(architecture: str, options: dict[str, Any], error: Exception) -> str:
    encoder, weights = options["encoder_name"], options["encoder_weights"]
    known = smp.encoders.get_encoder_names()
    if not encoder.startswith("tu-") and encoder not in known:
        return f"encoder {encoder!r}: {nearest(encoder, known)}; or tu-NAME for any timm network"
    said = " ".join(str(error).split())[:200]
    if weights is not None:
        cure = MISSING_WEIGHTS.format(cure="encoder_weights: null")
        return f"encoder {encoder!r} with encoder_weights {weights!r}: {said}; {cure}"
    return f"architecture {architecture!r} with encoder {encoder!r} cannot be built: {said}"
