"""What a detector is to the detection task, and torchvision's: RetinaNet and FCOS on a timm ResNet pyramid.

torchvision's licence (BSD-3-Clause) lets every user have a detection row; `yolo.py` is the AGPL alternative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from defectbench.config import UserError
from defectbench.nn.blocks.group_norm import allow_single_values, groups_for, use_group_norm
from defectbench.nn.blocks.timm_networks import MISSING_WEIGHTS, check_norm, narrowed
from defectbench.nn.pretrained import check_backbone, input_of, load_backbone

LEAST_CONFIDENCE = 0.001  # ultralytics' validator; the precision-recall curve wants the tail
MOST_DETECTIONS = 100  # per image, COCO's, unless images hold more
CANDIDATES = 1000  # per level before non-maximum suppression: torchvision's
STRIDES = (4, 8, 16, 32, 64)
SEEING_STRIDES = (8, 16, 32)  # of a pretrained backbone


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
    """A network that finds boxes in images (B, 3, H, W) in [-1, 1].

    Attributes:
        most: detections that an image may have.
    """

    most: int = MOST_DETECTIONS

    @abstractmethod
    def loss(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Give the training loss, a float32 scalar."""

    @abstractmethod
    def detect(self, image: Tensor) -> list[Found]:
        """Find boxes, in evaluation mode: at most `self.most` per image, most confident first."""


class Pyramid(nn.Module):
    """Features of a timm network, all with the same channels (Lin et al. 2017).

    Strides are 4 to 64, with `weights` 8 to 32: the first maps of a pretrained network cost most and know least.
    """

    def __init__(
        self,
        name: str,
        *,
        width: float,
        channels: int,
        norm: str,
        pretrained: bool,
        weights: str | None,
    ) -> None:
        super().__init__()
        check_norm(norm, pretrained)
        check_backbone(name, "backbone")
        if weights is not None and pretrained:
            raise UserError(
                "weights and pretrained: give one; weights finds more (nn/pretrained.py)"
            )
        self.strides = STRIDES if weights is None else SEEING_STRIDES
        self.body: Any
        if weights is None:
            self.body = self._from_timm(name, width, pretrained)
        else:
            self.body = load_backbone(
                name,
                weights,
                features_only=True,
                out_indices=(2, 3, 4),
                **narrowed(name, width),
            )
        if list(self.body.feature_info.reduction()) != list(self.strides[:4]):
            wanted = ", ".join(map(str, self.strides[:4]))
            raise UserError(f"backbone {name!r}: its features have other strides than {wanted}")
        if norm == "group":
            use_group_norm(self.body)
        self.out_channels = channels
        self.pyramid = FeaturePyramidNetwork(
            self.body.feature_info.channels(),
            channels,
            extra_blocks=LastLevelMaxPool() if weights is None else None,
        )

    @staticmethod
    def _from_timm(name: str, width: float, pretrained: bool) -> Any:
        try:
            return timm.create_model(
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

    def forward(self, image: Tensor) -> OrderedDict[str, Tensor]:
        """Give the levels, finest first."""
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
        pretrained: load ImageNet weights of the backbone by timm.
        weights: by nn/pretrained.py instead; then strides are 8, 16 and 32.

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
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if channels < 32 or channels % 32:
            raise UserError(f"channels {channels}: want a multiple of 32")
        pyramid = Pyramid(
            backbone,
            width=width,
            channels=channels,
            norm=norm,
            pretrained=pretrained,
            weights=weights,
        )
        strides = pyramid.strides
        expected: dict[str, list[float]] = {}
        if weights is not None and isinstance(input_of(backbone), nn.Identity):
            expected = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        self.network: Any
        if kind == "fcos":
            self.network = FCOS(
                pyramid,
                classes,
                min_size=size,
                max_size=size,
                anchor_generator=AnchorGenerator(
                    tuple((stride,) for stride in strides), ((1.0,),) * len(strides)
                ),
                score_thresh=LEAST_CONFIDENCE,
                detections_per_img=MOST_DETECTIONS,
                **expected,
            )
        else:
            scales = [2 ** (third / 3) for third in range(3)]
            anchors = AnchorGenerator(
                tuple(tuple(round(2 * stride * s) for s in scales) for stride in strides),
                ((0.5, 1.0, 2.0),) * len(strides),
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
                **expected,
            )

        allow_single_values(self.network)

    def loss(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Sum the library's losses: classes, boxes and, for FCOS, centre-ness."""
        if not self.network.training:
            self.network.train()
        losses: dict[str, Tensor] = self.network(
            list(image.add(1).div(2)),
            [{"boxes": target.boxes, "labels": target.classes} for target in targets],
        )
        return torch.stack([value.float() for value in losses.values()]).sum()

    def detect(self, image: Tensor) -> list[Found]:
        """Find boxes, most confident first."""
        self.network.detections_per_img = self.most
        self.network.topk_candidates = max(CANDIDATES, 10 * self.most)
        found = self.network(list(image.float().add(1).div(2)))
        return [Found(one["boxes"], one["scores"], one["labels"]) for one in found]


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(groups_for(channels), channels)
