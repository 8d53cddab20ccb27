"""What a detector is to the detection task, and torchvision's: RetinaNet and FCOS on a timm ResNet pyramid.

torchvision's licence (BSD-3-Clause) lets every user have a detection row; `yolo.py` is the AGPL alternative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from defectbench.config import UserError, nearest
from defectbench.nn.blocks.group_norm import groups_for, use_group_norm
from defectbench.nn.blocks.timm_networks import MISSING_WEIGHTS, check_norm, narrowed

LEAST_CONFIDENCE = 0.001  # ultralytics' validator; the precision-recall curve wants the tail
MOST_DETECTIONS = 100  # per image, COCO's
STRIDES = (4, 8, 16, 32, 64)


class Found(NamedTuple):
    """Detections in one image."""

    boxes: Tensor  # (N, 4) as x0, y0, x1, y1 in pixels
    confidences: Tensor  # (N,) in [0, 1]
    classes: Tensor  # (N,) int64, index into the defects


class Target(NamedTuple):
    """True boxes of one image; N may be 0."""

    boxes: Tensor  # (N, 4) float32 as x0, y0, x1, y1 in pixels
    classes: Tensor  # (N,) int64, index into the defects


class Detector(nn.Module, ABC):
    """A network that finds boxes in images (B, 3, H, W) in [-1, 1]."""

    @abstractmethod
    def loss(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Give the training loss, a float32 scalar."""

    @abstractmethod
    def detect(self, image: Tensor) -> list[Found]:
        """Find boxes, in evaluation mode: at most 100 per image, most confident first."""


class Pyramid(nn.Module):
    """Features of a timm network at strides 4 to 64, all with the same channels (Lin et al. 2017)."""

    def __init__(
        self, name: str, *, width: float, channels: int, norm: str, pretrained: bool
    ) -> None:
        super().__init__()
        check_norm(norm, pretrained)
        if not timm.is_model(name):
            raise UserError(f"backbone {name!r}: {nearest(name, timm.list_models())[:300]}")
        try:
            self.body = timm.create_model(
                name,
                pretrained=pretrained,
                features_only=True,
                out_indices=(1, 2, 3, 4),
                **narrowed(name, width),
            )
        except UserError:
            raise
        except Exception as error:  # downloads and constructors raise errors of every kind
            cure = f"; {MISSING_WEIGHTS.format(cure='pretrained: false')}" if pretrained else ""
            raise UserError(
                f"backbone {name!r}: {' '.join(str(error).split())[:200]}{cure}"
            ) from error
        if list(self.body.feature_info.reduction()) != list(STRIDES[:4]):
            raise UserError(f"backbone {name!r}: its features have other strides than 4, 8, 16, 32")
        if norm == "group":
            use_group_norm(self.body)
        self.out_channels = channels
        self.pyramid = FeaturePyramidNetwork(
            self.body.feature_info.channels(), channels, extra_blocks=LastLevelMaxPool()
        )

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """Give the five levels, finest first."""
        levels: OrderedDict[str, Tensor] = self.pyramid(
            OrderedDict((str(i), level) for i, level in enumerate(self.body(image)))
        )
        return levels


class OneStage(Detector):
    """torchvision's RetinaNet (Lin et al. 2017b) or FCOS (Tian et al. 2019).

    Departs: the finest level has stride 4 instead of 8 and the smallest anchors are 8 pixels instead of 32, because
    defect images are 64 to 512 pixels wide and not 800.

    Args:
        kind: "retinanet" or "fcos".
        size: side of the square images, pixels.
        classes: number of defects.
        backbone: a timm network with features at strides 4, 8, 16 and 32.
        width: factor on the channels of a ResNet.
        channels: of the pyramid and the heads; a multiple of 32.
        norm: "group" or "batch", of the backbone.
        pretrained: load ImageNet weights of the backbone.

    Raises:
        UserError: the backbone cannot be built so.
    """

    def __init__(
        self,
        kind: Literal["retinanet", "fcos"],
        *,
        size: int,
        classes: int,
        backbone: str,
        width: float,
        channels: int,
        norm: str,
        pretrained: bool,
    ) -> None:
        super().__init__()
        if channels < 32 or channels % 32:
            raise UserError(f"channels {channels}: want a multiple of 32")
        pyramid = Pyramid(
            backbone, width=width, channels=channels, norm=norm, pretrained=pretrained
        )
        if kind == "fcos":
            self.network: nn.Module = FCOS(
                pyramid,
                classes,
                min_size=size,
                max_size=size,
                anchor_generator=AnchorGenerator(
                    tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)
                ),
                score_thresh=LEAST_CONFIDENCE,
                detections_per_img=MOST_DETECTIONS,
            )
        else:
            scales = [2 ** (third / 3) for third in range(3)]
            anchors = AnchorGenerator(
                tuple(tuple(round(2 * stride * s) for s in scales) for stride in STRIDES),
                ((0.5, 1.0, 2.0),) * len(STRIDES),
            )
            self.network = RetinaNet(
                pyramid,
                classes,
                min_size=size,
                max_size=size,
                anchor_generator=anchors,
                head=RetinaNetHead(
                    channels,
                    anchors.num_anchors_per_location()[0],
                    classes,
                    norm_layer=_norm,
                ),
                score_thresh=LEAST_CONFIDENCE,
                detections_per_img=MOST_DETECTIONS,
            )

    def loss(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Sum the library's losses: classes, boxes and, for FCOS, centre-ness."""
        self.network.train()
        losses: dict[str, Tensor] = self.network(
            list(image.add(1).div(2)),
            [{"boxes": target.boxes, "labels": target.classes} for target in targets],
        )
        return torch.stack([value.float() for value in losses.values()]).sum()

    def detect(self, image: Tensor) -> list[Found]:
        """Find boxes, most confident first."""
        found = self.network(list(image.float().add(1).div(2)))
        return [Found(one["boxes"], one["scores"], one["labels"]) for one in found]


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(groups_for(channels), channels)
