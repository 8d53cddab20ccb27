"""Binary masks from the soft ones that some generators draw."""

from __future__ import annotations

import torch
from skimage.filters import threshold_otsu
from torch import Tensor


def harden(
    soft: Tensor, *, level: float = 0.5, faint: float = 0.1, most: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Threshold soft masks; a mask that stays below the level everywhere is split by Otsu's method instead.

    Each image is treated on its own, so that what is made does not depend on what is made beside it.

    Args:
        soft: (B, 1, H, W) in [0, 1].
        level: threshold.
        faint: a mask whose largest value is below this is invalid.
        most: share of the image above which a mask is invalid.

    Returns:
        masks (B, 1, H, W) in {0, 1} and whether each is valid, (B,) bool.
    """
    soft = soft.detach().float()
    peak = soft.flatten(1).amax(1)  # (B,)
    levels = torch.full_like(peak, level)
    for row in ((peak <= level) & (peak >= faint)).nonzero().flatten().tolist():
        levels[row] = float(threshold_otsu(soft[row].cpu().numpy()))
    mask = (soft > levels[:, None, None, None]).float()
    share = mask.flatten(1).mean(1)
    return mask, (peak >= faint) & (share > 0) & (share <= most)
