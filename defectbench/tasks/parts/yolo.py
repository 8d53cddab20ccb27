"""YOLO11 by ultralytics (AGPL-3.0, by choice: extra `detection`), its model and loss driven directly, offline.

Only this file imports ultralytics, and only when a YOLO is asked for. Importing it has effects on the whole process; they
are undone, and its settings file stays in defectbench's cache folder.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from defectbench.config import UserError
from defectbench.nn.blocks.group_norm import use_group_norm
from defectbench.nn.pretrained import fill_alike
from defectbench.tasks.parts.detectors import (
    LEAST_CONFIDENCE,
    Detector,
    Found,
    Target,
)

NMS_IOU = 0.7  # ultralytics' default for validation
NAMES = ("yolo11n", "yolo11s", "yolo11m", "yolo11l", "yolo11x")


def cache_folder() -> Path:
    """Give the folder where defectbench keeps what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "defectbench"


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """Import ultralytics without lookups and without lasting effects on torch, numpy or the environment.

    It would ask hosts whether the machine is online, write settings to the user's configuration, print, wrap
    `torch.save` and Pillow's `Image.open`, and change how arrays are printed.
    """
    kept = dict(os.environ)
    save, printing, image_open = torch.save, np.get_printoptions(), Image.open
    set_tensor_printing: Any = torch.set_printoptions
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_VERBOSE"] = "False"
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder()))
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        torch.save = save
        Image.open = image_open
        np.set_printoptions(**printing)
        set_tensor_printing(profile="default")
        for name in [name for name in os.environ if not name.startswith("YOLO_")]:
            if name not in kept:
                del os.environ[name]
            else:
                os.environ[name] = kept[name]


class Yolo(Detector):
    """A YOLO11, trained from scratch by ultralytics' own loss.

    Departs from ultralytics' trainer: the loss is the mean over the batch instead of the sum; images are augmented by our
    DataModule only (no mosaic); no moving average of the weights.

    Args:
        name: "yolo11n" to "yolo11x".
        classes: number of defects.
        norm: "group" or "batch".
        weights: path of a state dict of such a model; layers of other shapes, as those of other classes, start at random.

    Raises:
        UserError: ultralytics is not installed, it has no such model, or the weights are of another one.
    """

    def __init__(self, name: str, *, classes: int, norm: str, weights: str | None = None) -> None:
        super().__init__()
        if not re.fullmatch(r"yolo11[nsmlx]", name):
            raise UserError(f"model {name!r}; known: {', '.join(NAMES)}, retinanet, fcos")
        with _contained():
            try:
                from ultralytics.cfg import get_cfg
                from ultralytics.nn.tasks import DetectionModel
                from ultralytics.utils.nms import non_max_suppression
            except ImportError as error:
                raise UserError(
                    f"model {name!r} needs ultralytics ({error}), which is AGPL-3.0: pip install "
                    "'defectbench[detection]', or take model: retinanet, which needs nothing"
                ) from None
            self.network = DetectionModel(f"{name}.yaml", nc=classes, verbose=False)
            self.network.args = get_cfg()  # gains of the loss
        self._suppress = non_max_suppression
        self.classes = classes
        if weights is not None:
            fill_alike(self.network, name, weights)
        if norm == "group":
            use_group_norm(self.network)

    def loss(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Give ultralytics' loss (boxes, classes, distribution focal) as a mean over the images."""
        self.network.train()
        height, width = image.shape[2:]
        boxes = torch.cat([target.boxes for target in targets])  # (N, 4)
        centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        scale = boxes.new_tensor([width, height, width, height])
        owner = torch.cat(
            [boxes.new_full((len(t.boxes),), number) for number, t in enumerate(targets)]
        )
        if getattr(getattr(self.network, "criterion", None), "device", None) != image.device:
            self.network.criterion = self.network.init_criterion()  # holds tensors of one device
        parts, _ = self.network.loss(
            {
                "img": image.add(1).div(2),
                "cls": torch.cat([t.classes for t in targets]).view(-1, 1).to(boxes.dtype),
                "bboxes": torch.cat([centre, extent], dim=1) / scale,
                "batch_idx": owner,
            }
        )
        total: Tensor = parts.float().sum() / len(image)
        return total

    def detect(self, image: Tensor) -> list[Found]:
        """Find boxes by ultralytics' non-maximum suppression, most confident first."""
        raw: Any = self.network(image.float().add(1).div(2))
        found = self._suppress(
            raw[0],
            conf_thres=LEAST_CONFIDENCE,
            iou_thres=NMS_IOU,
            multi_label=True,
            nc=self.classes,
            max_det=self.most,
            max_time_img=3600.0,  # never give up on a slow machine: results would depend on it
        )
        return [Found(one[:, :4], one[:, 4], one[:, 5].long()) for one in found]
