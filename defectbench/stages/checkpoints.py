"""Fitted generators and trained tasks on disk: plain values and tensors only, written whole or not at all."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from defectbench import names
from defectbench.config import UserError
from defectbench.files import replacing

if TYPE_CHECKING:
    from defectbench.generators.base import Generator
    from defectbench.tasks.base import Task

WEIGHTS = "task.ckpt"
"""What a task job of the arm `raw` leaves for mask scores."""
NOT_A_CHECKPOINT = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
)
"""How `torch.load` says that a file is damaged or holds more than plain values."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read `generator.ckpt` with `weights_only=True`.

    Raises:
        UserError: there is no such file, or it is not a generator's checkpoint.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such checkpoint; give the generator.ckpt that `defectbench fit` wrote"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch guesses what another pickle may be
            content = torch.load(path, map_location="cpu", weights_only=True)
    except NOT_A_CHECKPOINT as error:
        raise UserError(
            f"{path}: not a checkpoint of plain weights ({type(error).__name__}); fit the generator again"
        ) from None
    if not isinstance(content, dict) or not {"generator", "arguments", "state_dict"} <= set(
        content
    ):
        raise UserError(
            f"{path}: not a generator's checkpoint; give the generator.ckpt that `defectbench fit` wrote"
        )
    return content


def load_generator(path: Path, expected: str | None = None) -> Any:
    """Build the generator of a checkpoint and give it its weights, in evaluation mode.

    Args:
        path: a `generator.ckpt`.
        expected: name that the generator must have.

    Raises:
        UserError: it is not a checkpoint, is of another generator, or its weights do not fit.
    """
    content = read_checkpoint(path)
    name = content["generator"]
    if expected and name != expected:
        raise UserError(f"{path}: a checkpoint of {name}, expected {expected}; give the right file")
    cls = names.find("generators", name, str(path)).load()
    try:
        generator = cls(**content["arguments"])
        generator.load_state_dict(content["state_dict"])
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"{path}: does not fit {name} revision {cls.revision} (written by revision {content.get('revision')}): "
            f"{' '.join(str(error).split())[:200]}; fit it again"
        ) from None
    return generator.eval()


def save_generator(
    generator: Generator,
    name: str,
    path: Path,
    view: Mapping[str, Any] | None = None,
    trained: Sequence[str] | None = None,
) -> None:
    """Write what sampling needs: name, arguments, view, the labels it was trained on, weights; no optimiser."""
    content = {
        "generator": name,
        "revision": generator.revision,
        "view": dict(view or {"name": "full", "background": 0, "dilate": 0}),
        "trained": list(generator.defects if trained is None else trained),
        **_kept(generator),
    }
    save_plain(content, path)


def save_plain(content: Mapping[str, Any], path: Path) -> None:
    """Write plain values and tensors whole or not at all; the bytes do not depend on the file's name."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(content), file)


def save_task(task: Task, name: str, path: Path) -> None:
    """Write a trained task: plain values and tensors only, whole or not at all."""
    save_plain({"task": name, **_kept(task)}, path)


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


def _kept(module: Generator | Task) -> dict[str, Any]:
    """Arguments, which go through JSON so that only plain values can get in, and weights."""
    state = {k: v.cpu() if torch.is_tensor(v) else v for k, v in module.state_dict().items()}
    return {"arguments": json.loads(json.dumps(dict(module.hparams))), "state_dict": state}
