"""Load a fitted generator from its checkpoint: plain values and tensors only."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.config import UserError

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
    import torch

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
