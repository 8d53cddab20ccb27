"""Binary masks from the soft ones that some generators draw."""

from __future__ import annotations

import torch
from skimage.filters import apply_hysteresis_threshold, threshold_otsu
from torch import Tensor


def harden(
    soft: Tensor, *, level: float = 0.25, faint: float = 0.1, most: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Threshold soft masks with hysteresis: what exceeds the level, and what touches that and is not faint.

    So the thin edges of a mark belong to it, and traces elsewhere do not. A mask that stays below the level everywhere
    has Otsu's threshold for its level. Each image is treated on its own, so that what is made does not depend on what is
    made beside it.

    Args:
        soft: (B, 1, H, W) in [0, 1].
        level: high threshold.
        faint: low threshold; a mask whose largest value is below this is invalid.
        most: share of the image above which a mask is invalid.

    Returns:
        masks (B, 1, H, W) in {0, 1} and whether each is valid, (B,) bool.
    """
    soft = soft.detach().float()
    peak = soft.flatten(1).amax(1)  # (B,)
    mask = torch.zeros_like(soft)
    for row in (peak >= faint).nonzero().flatten().tolist():
        map_ = soft[row, 0].cpu().numpy()
        high = level if peak[row] > level else float(threshold_otsu(map_))
        found = apply_hysteresis_threshold(map_, min(faint, high), high)
        mask[row, 0] = torch.from_numpy(found).to(mask)
    share = mask.flatten(1).mean(1)
    return mask, (peak >= faint) & (share > 0) & (share <= most)
