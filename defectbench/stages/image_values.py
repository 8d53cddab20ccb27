"""The values per image behind scores that look at masks, for folders and for tables alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from defectbench.features import mask_alignment
from defectbench.features.images import Pixels
from defectbench.features.lpips import Lpips
from defectbench.metrics.base import Floats, Metric
from defectbench.metrics.mask_scores import INSPECTOR
from defectbench.stages.inspector import Inspector

Indices = npt.NDArray[np.int64]
BLOCK = 64  # images looked at together


@dataclass(frozen=True)
class Looked:
    """A set of images with what is known of each.

    Attributes:
        images: gives images (n, H, W, 3) uint8 by index.
        masks: gives masks (n, H, W) bool by index.
        sources: gives the normal images that they were made from, by index.
        everyone: all indices.
        masked: those with a mask.
        sourced: those with a mask and a source.
    """

    images: Callable[[Indices], Pixels]
    masks: Callable[[Indices], npt.NDArray[np.bool_]]
    sources: Callable[[Indices], Pixels]
    everyone: Indices
    masked: Indices
    sourced: Indices


def image_values(
    looked: Looked,
    metrics: Sequence[Metric],
    nets: Mapping[str, Lpips],
    inspector: Inspector | None = None,
) -> dict[str, Floats]:
    """Values by name of metric, (N, 1), nan where an image has none.

    Args:
        looked: the images.
        metrics: what to compute.
        nets: LPIPS networks by name, on the device to be used.
        inspector: wanted where a metric asks one.
    """
    found = {metric.name: np.full((len(looked.everyone), 1), np.nan) for metric in metrics}
    asking = [metric for metric in metrics if metric.extractor == INSPECTOR]
    if inspector is not None and not np.isnan(inspector.threshold):
        _inspected(looked, asking, inspector, found)
    for start in range(0, len(looked.sourced), BLOCK):
        some = looked.sourced[start : start + BLOCK]
        images, sources, masks = looked.images(some), looked.sources(some), looked.masks(some)
        for metric in metrics:
            if metric.extractor in nets:
                values = mask_alignment.background_lpips(
                    nets[metric.extractor], images, sources, masks
                )
            elif metric.extractor == INSPECTOR:
                continue
            else:
                values = getattr(mask_alignment, metric.protocol)(images, sources, masks)
            found[metric.name][some, 0] = values
    return found


def _inspected(
    looked: Looked,
    metrics: Sequence[Metric],
    inspector: Inspector,
    found: Mapping[str, Floats],
) -> None:
    """Fill in the values of metrics that ask the inspector, which has chosen a threshold."""
    with_mask = np.isin(looked.everyone, looked.masked)
    for start in range(0, len(looked.everyone), BLOCK):
        some = looked.everyone[start : start + BLOCK]
        scores = inspector.scores(looked.images(some))
        for metric in metrics:
            if metric.protocol == "mask_iou":
                masked = with_mask[some]
                predicted = scores[masked] >= inspector.threshold
                values = mask_alignment.mask_iou(looked.masks(some[masked]), predicted)
                found[metric.name][some[masked], 0] = values
            else:
                found[metric.name][some, 0] = mask_alignment.without_predicted_defect(
                    scores, inspector.threshold
                )
