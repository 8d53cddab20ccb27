"""The inspector behind mask scores: a table's segmentation network, trained on real images alone (arm `raw`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from defectbench.batch import to_float

if TYPE_CHECKING:
    from defectbench.features.images import Pixels
    from defectbench.metrics.base import Floats
    from defectbench.tasks.base import Task

BATCH = 16  # images per forward pass


class Inspector:
    """Looks for defects in images.

    Attributes:
        threshold: defect probability from which on a pixel counts as defective; nan if none was chosen.
    """

    def __init__(self, task: Task, device: str) -> None:
        """Take a trained segmentation task to a device."""
        self._task = task.to(device)
        self.threshold = float(task.get_buffer("threshold"))

    def scores(self, images: Pixels) -> Floats:
        """Give the defect probability of every pixel.

        Args:
            images: (N, S, S, 3) uint8.

        Returns:
            (N, S, S) in [0, 1].
        """
        found = []
        with torch.no_grad():
            for start in range(0, len(images), BATCH):
                part = np.ascontiguousarray(images[start : start + BATCH].transpose(0, 3, 1, 2))
                batch = to_float(torch.from_numpy(part).to(self._task.device))
                found.append(self._task(batch)[:, 0].float().sigmoid().cpu().numpy())
        return np.concatenate(found).astype(np.float64)
