"""Every random draw comes from a seed derived here; nothing draws from global generators.

`derive(seed, *names)` gives each purpose its own stream, so that adding one never reshuffles another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed from a seed and a path of names, the same on every machine.

    Example: `derive(0, "fit", "batch", 17)` is the seed of batch 17 of a fit with seed 0.
    """
    text = "\x1f".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, *names: str | int) -> np.random.Generator:
    """Make a NumPy generator for one purpose."""
    import numpy as np

    return np.random.default_rng(derive(seed, *names))


def torch_rng(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator for one purpose on a device."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *names))
