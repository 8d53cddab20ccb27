"""Easy pictures for the task tests: a grainy stripe pattern with dark discs and bright squares."""

from __future__ import annotations

import numpy as np
import torch

from defectbench.batch import Batch

DEFECTS = ("disc", "square")


def shapes(n: int, size: int, seed: int, *, share: float = 0.5, defects: int = 2) -> Batch:
    """Draw `n` pictures; a fraction `share` holds one shape of one of `defects` kinds, the rest are normal."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    image = np.empty((n, 3, size, size), np.float32)
    mask = np.zeros((n, 1, size, size), np.float32)
    labels = np.zeros((n, defects), np.float32)
    for i in range(n):
        grey = 0.12 * np.sin(0.8 * x + rng.uniform(0, 6)) + rng.normal(0, 0.06, (size, size))
        if rng.random() < share:
            kind = int(rng.integers(defects))
            labels[i, kind] = 1
            centre_y, centre_x = rng.uniform(0.25 * size, 0.75 * size, 2)
            radius = rng.uniform(0.1, 0.2) * size
            dy, dx = y - centre_y, x - centre_x
            if kind == 0:
                inside, change = dy**2 + dx**2 < radius**2, -0.6
            else:
                inside, change = np.maximum(abs(dy), abs(dx)) < radius, 0.6
            grey = np.where(inside, grey + change, grey)
            mask[i, 0] = inside
        image[i] = grey
    return Batch(
        image=torch.from_numpy(image.clip(-1, 1)),
        mask=torch.from_numpy(mask),
        defects=torch.from_numpy(labels),
        product=torch.zeros(n, dtype=torch.long),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )
