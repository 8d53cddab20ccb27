"""The inspector behind mask scores: a table's segmentation network, trained on real images alone (arm `raw`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from defectbench import names
from defectbench.batch import to_float
from defectbench.config import UserError
from defectbench.stages.training import save_plain

if TYPE_CHECKING:
    from defectbench.features.images import Pixels
    from defectbench.metrics.base import Floats
    from defectbench.tasks.base import Task

WEIGHTS = "task.ckpt"
BATCH = 16  # images per forward pass


def save_task(task: Task, name: str, path: Path) -> None:
    """Write a trained task: plain values and tensors only, whole or not at all."""
    arguments = json.loads(json.dumps(dict(task.hparams)))
    state = {k: v.cpu() if torch.is_tensor(v) else v for k, v in task.state_dict().items()}
    save_plain({"task": name, "arguments": arguments, "state_dict": state}, path)


def load_task(folder: Path) -> Task:
    """Build the task that a task job of the arm `raw` left, in evaluation mode.

    Raises:
        UserError: the job left no weights.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(
            f"{path}: not there, as this job was done before mask scores looked through it; delete "
            f"{folder} and run again with --retry"
        )
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task: Task = names.find("tasks", content["task"], str(path)).load()(**content["arguments"])
    task.load_state_dict(content["state_dict"])
    task.eval()
    return task


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
