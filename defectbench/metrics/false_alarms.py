"""False alarms: how many normal images an inspection would stop at the chosen threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def false_alarms(called: npt.ArrayLike, defective: npt.ArrayLike) -> float:
    """Share of the normal images that are called defective, in [0, 1]; nan without normal images.

    Args:
        called: (N,) whether an image is called defective.
        defective: (N,) whether it is.

    Raises:
        ValueError: the shapes differ.
    """
    answered, true = np.asarray(called, dtype=bool), np.asarray(defective, dtype=bool)
    if answered.shape != true.shape or answered.ndim != 1:
        raise ValueError(f"called is {answered.shape}, defective {true.shape}; want (N,) twice")
    return float(answered[~true].mean()) if not true.all() else float("nan")


def false_alarms_at(
    maps: npt.NDArray[Any], defective: npt.NDArray[np.bool_], threshold: float
) -> float:
    """Share of the normal images with at least one pixel at or above a threshold.

    Args:
        maps: (N, H, W) anomaly maps.
        defective: (N,) whether an image is defective.
        threshold: of a pixel.
    """
    return false_alarms(maps.max(axis=(1, 2)) >= threshold, defective)
