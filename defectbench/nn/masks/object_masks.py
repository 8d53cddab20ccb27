"""Where the object is on a normal image before a flat background."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import Tensor

from defectbench.batch import to_uint8
from defectbench.imaging.components import label_components

LEAST_CONTRAST = 12  # grey levels; a flatter image is all object


def object_masks(image: Tensor, closing: int = 5) -> Tensor:
    """Find objects by Otsu's threshold on the distance from the colour of the image's border.

    The largest component is kept, closed and filled. An image without contrast is all object.

    Args:
        image: normal images, (B, 3, H, W) in [-1, 1].
        closing: side of the closing's square, pixels.

    Returns:
        (B, 1, H, W) in {0, 1}, on the images' device.
    """
    masks = []
    for picture in to_uint8(image).permute(0, 2, 3, 1).cpu().numpy():
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        flat = np.median(border, axis=0)  # (3,)
        distance = np.abs(picture - flat).max(axis=2)  # (H, W)
        found = np.ones(distance.shape, dtype=np.bool_)
        if distance.max() >= LEAST_CONTRAST:
            labels, _ = label_components(distance > threshold_otsu(distance))
            found = labels == np.bincount(labels.ravel())[1:].argmax() + 1
            padded = np.pad(found, closing, mode="edge")
            closed = ndimage.binary_closing(padded, np.ones((closing, closing), dtype=bool))
            found = ndimage.binary_fill_holes(closed[closing:-closing, closing:-closing])
        masks.append(found)
    return torch.from_numpy(np.stack(masks))[:, None].float().to(image.device)
