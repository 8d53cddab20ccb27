"""Scores of several yes-or-no labels per image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def balanced_accuracy(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean over labels of (recall of images with it + recall of images without it) / 2, in [0, 1].

    A label that all or no images have is left out. Switching every label on, or none, gives 0.5, as guessing does.

    Args:
        predicted: (N, K) booleans.
        truth: (N, K) booleans.

    Returns:
        the mean; nan where every label is left out.

    Raises:
        ValueError: shapes differ or are not (N, K).
    """
    found, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if found.shape != true.shape or true.ndim != 2:
        raise ValueError(f"predicted is {found.shape} and truth {true.shape}; want (N, K) twice")
    having, lacking = true.sum(axis=0), (~true).sum(axis=0)
    both = (having > 0) & (lacking > 0)
    if not both.any():
        return float("nan")
    hit = (found & true).sum(axis=0)[both] / having[both]
    passed = (~found & ~true).sum(axis=0)[both] / lacking[both]
    return float((hit + passed).mean() / 2)
