"""Predictions at the size of the masks they are compared with, where images were stretched to a square for the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from defectbench.metrics import pixel


def at_own_size(
    maps: npt.NDArray[Any], masks: Sequence[npt.NDArray[np.uint8]]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Bring square maps to the sizes of masks, bilinearly, and pool all pixels: 5 bytes for each pixel of a mask.

    Args:
        maps: (N, S, S).
        masks: N of (h, w) in {0, 1}.

    Returns:
        the maps' values and the masks', both (P,), pixel by pixel.

    Raises:
        ValueError: their numbers differ.
    """
    if len(maps) != len(masks):
        raise ValueError(f"{len(maps)} maps and {len(masks)} masks; want as many of each")
    values = np.empty(sum(mask.size for mask in masks), np.float32)
    truth = np.empty(len(values), np.bool_)
    start = 0
    for square, mask in zip(maps, masks, strict=True):
        image = torch.from_numpy(np.asarray(square, np.float32))[None, None]
        found = F.interpolate(
            image, size=mask.shape, mode="bilinear", align_corners=False, antialias=True
        )
        end = start + mask.size
        values[start:end] = found.numpy().ravel()
        truth[start:end] = mask.ravel() > 0
        start = end
    return values, truth


def own_pixel_scores(
    maps: npt.NDArray[Any], masks: Sequence[npt.NDArray[np.uint8]], threshold: float | None = None
) -> dict[str, float]:
    """Score maps at the masks' own size: `pixel_ap_own`, and `pixel_f1_own` at a threshold or `pixel_auc_own` without one.

    Args:
        maps: (N, S, S), higher = more defective.
        masks: N of (h, w) in {0, 1}.
        threshold: value of a map from which on a pixel is called defective; NaN leaves F1 undefined.
    """
    values, truth = at_own_size(maps, masks)
    scores = {"pixel_ap_own": pixel.average_precision(values, truth)}
    if threshold is None:
        scores["pixel_auc_own"] = pixel.pixel_auc(values, truth)
    else:
        known = not math.isnan(threshold)
        scores["pixel_f1_own"] = pixel.f1_at(values, truth, threshold) if known else math.nan
    return scores
