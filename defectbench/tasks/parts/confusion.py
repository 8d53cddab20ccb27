"""Confusion counts of a classification, the scores that follow from them, and their picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def count_classes(true: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Counts:
    """Count pairs of true and predicted class.

    Args:
        true: (N,) class indices.
        predicted: (N,) class indices.
        classes: how many there are.

    Returns:
        (C, C); rows are the true class, columns the predicted one.
    """
    pairs = np.asarray(true, np.int64) * classes + np.asarray(predicted, np.int64)
    return (
        np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)
    )


def count_labels(true: npt.ArrayLike, predicted: npt.ArrayLike) -> Counts:
    """Count, for each of C labels, pairs of truth and prediction.

    Args:
        true: (N, C) booleans.
        predicted: (N, C) booleans.

    Returns:
        (C, 2, 2); rows are absent and present in truth, columns in the prediction.
    """
    t, p = np.asarray(true, bool), np.asarray(predicted, bool)
    return np.stack([count_classes(t[:, c], p[:, c], 2) for c in range(t.shape[1])])


def one_against_rest(confusion: Counts) -> Counts:
    """Turn (C, C) class counts into (C, 2, 2) counts of each class against all others."""
    hits = np.diagonal(confusion)
    present, chosen = confusion.sum(1), confusion.sum(0)
    missed, false = present - hits, chosen - hits
    rest = confusion.sum() - hits - missed - false
    return np.stack([rest, false, missed, hits], axis=1).reshape(-1, 2, 2)


def recall_by_class(counts: Counts) -> Floats:
    """Share of a class's images that are found, (C,); nan for a class without images. `counts` is (C, 2, 2)."""
    return _ratio(counts[:, 1, 1], counts[:, 1].sum(1))


def f1_by_class(counts: Counts) -> Floats:
    """F1 of each class, (C,); nan for a class that neither occurs nor is predicted. `counts` is (C, 2, 2)."""
    hits = 2 * counts[:, 1, 1]
    return _ratio(hits, hits + counts[:, 0, 1] + counts[:, 1, 0])


def accuracy_by_class(counts: Counts) -> Floats:
    """Share of images on which truth and prediction of a class agree, (C,). `counts` is (C, 2, 2)."""
    return _ratio(counts[:, 0, 0] + counts[:, 1, 1], counts.sum((1, 2)))


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Floats:
    ratio: Floats = np.full(len(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def draw(confusion: Counts, names: Sequence[str], path: Path) -> None:
    """Draw confusion counts to a PNG: one matrix for (C, C), one small matrix per label for (C, 2, 2).

    Cells are coloured by their share of the row (the true class) and print the count.

    Args:
        confusion: (C, C) or (C, 2, 2).
        names: of the C classes.
        path: where to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if confusion.ndim == 2:
        side = 1.6 + 0.55 * len(names) + 0.07 * max(map(len, names))
        figure = Figure(figsize=(side + 0.5, side), layout="constrained", dpi=150)
        _panel(figure.subplots(), confusion, names)
    else:
        columns = min(len(names), 4)
        rows = -(-len(names) // columns)
        figure = Figure(figsize=(2.3 * columns, 2.4 * rows), layout="constrained", dpi=150)
        grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for axes, counts, name in zip(grid, confusion, names, strict=False):
            _panel(axes, counts, ("absent", "present"))
            axes.set_title(name, fontsize=9)
        for axes in grid[len(names) :]:
            axes.set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(path, metadata={"Software": None})


def _panel(axes: Any, counts: Counts, names: Sequence[str]) -> None:
    whole = counts.sum(1, keepdims=True)
    share = np.divide(counts, whole, out=np.zeros(counts.shape), where=whole > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(names)):
        for column in range(len(names)):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[row, column] > 0.55 else "black",
            )
    axes.set_xticks(
        range(len(names)), names, fontsize=8, rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
