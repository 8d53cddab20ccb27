"""The mask of a defect content image, a picture of a defect on a constant background.

Source: Wei et al. 2023 (DCDGANc), section 2.3, which says "by watershed segmentation" and no more;
the steps are ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from defectbench.imaging.components import drop_small

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

EIGHT = np.ones((3, 3), dtype=bool)
NOISE_DEVIATIONS = 4.0  # one pixel in 16 000 of Gaussian noise lies farther out
CLIPPED = 0.55  # what `_noise` finds of noise whose one half is cut off at 0 or 255


def content_mask(content: Image, background: int, *, min_area: int = 25, floor: int = 8) -> Mask:
    """Return where a content image differs from its constant background.

    1. Difference: |content - background|, the largest over the channels.
    2. Foreground: the difference exceeds Otsu's threshold, `floor` and four standard deviations of
       the image's pixel noise.
    3. Markers: in each component of the foreground, the pixels whose distance to the outside
       exceeds half of that component's largest; and, for the background, those whose difference is
       at most `floor` (or twice the noise).
    4. Watershed of the difference's gradient decides the pixels between, so the pale parts of a
       defect of uneven strength follow its strong ones up to the next edge.
    5. Pixels at the rim that are weaker than half of their strongest neighbour are the blur of an
       edge and go.
    6. Foreground pixels never go: a flood from the core of a component would drown its thin
       parts, which are as wide as an edge.
    7. Holes and components smaller than `min_area` go.

    Departs: the largest difference over the channels stands for the grey difference, since a
    coloured stain as bright as the background has none.

    Args:
        content: (H, W, 3).
        background: grey value that the background has in each channel, [0, 255].
        min_area: pixels of the smallest component kept. The default is for 256 px; it is an area,
            so at a side of S pixels pass about ``25 * (S / 256) ** 2``.
        floor: least difference that counts, in grey levels.

    Returns:
        (H, W) mask; empty if the image is constant or nothing but noise.

    Raises:
        ValueError: the content is not uint8 (H, W, 3), or the background not in [0, 255].
    """
    if content.ndim != 3 or content.shape[2] != 3 or content.dtype != np.uint8:
        raise ValueError(f"content is {content.dtype} {content.shape}; wants uint8 (H, W, 3)")
    if not 0 <= background <= 255:
        raise ValueError(f"background is {background}; wants a grey value in [0, 255]")
    difference = np.abs(content.astype(np.int16) - background).max(axis=2)  # (H, W)
    noise = _noise(content)
    if min(background, 255 - background) < noise:
        noise /= CLIPPED
    quiet = max(float(floor), NOISE_DEVIATIONS / 2 * noise)
    threshold = max(float(floor), NOISE_DEVIATIONS * noise)
    if difference.min() < difference.max():
        threshold = max(threshold, float(threshold_otsu(difference)))
    foreground: Mask = difference > threshold
    if not foreground.any():
        return foreground
    outside = difference <= quiet
    blur = 2 * difference < ndimage.maximum_filter(difference, size=3)
    blur &= ndimage.binary_dilation(outside, EIGHT)
    mask: Mask = (_flood(difference, foreground, outside) & ~blur) | foreground
    holes = drop_small(~mask, min_area, connectivity=4)  # the holes large enough to stay
    return drop_small(~holes, min_area)


def narrow(mask: Mask, pixels: int) -> Mask:
    """Take back the pixels by which a view widened masks before it cut contents out of images by them.

    A generator that learns from contents cut out by widened masks draws their rim of background too, and watershed
    finds the mask with it; narrowed, it follows the dataset's masks again. The image border is no edge, and of a
    component that has less than `pixels` to give the innermost pixels stay.

    Args:
        mask: (H, W).
        pixels: 0 or more; the view's `dilate`, which widens by a square.

    Returns:
        (H, W) mask, with as many components or more.
    """
    padded = np.pad(mask, pixels, mode="edge")
    depth = ndimage.distance_transform_cdt(np.pad(padded, 1), metric="chessboard")[1:-1, 1:-1]
    labels, count = ndimage.label(padded, EIGHT)
    deepest = np.concatenate([[0], ndimage.maximum(depth, labels, np.arange(1, count + 1))])
    core = padded & (depth > np.minimum(pixels, deepest[labels] - 1))
    height, width = mask.shape
    narrowed: Mask = core[pixels : pixels + height, pixels : pixels + width]
    return narrowed


def _flood(difference: npt.NDArray[np.int16], foreground: Mask, outside: Mask) -> Mask:
    """Return the catchment of the foreground's cores, as against that of the outside markers."""
    distance = ndimage.distance_transform_edt(foreground)
    labels, count = ndimage.label(foreground, EIGHT)
    largest = np.concatenate([[0.0], ndimage.maximum(distance, labels, np.arange(1, count + 1))])
    core = foreground & (distance > 0.5 * largest[labels])
    smooth = ndimage.gaussian_filter(difference.astype(np.float32), 0.7)
    steepness = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
    markers = np.where(core, 2, np.where(outside, 1, 0))
    flooded: Mask = watershed(steepness, markers) == 2
    return flooded


def _noise(image: Image) -> float:
    """Estimate the standard deviation of the pixel noise, in grey levels.

    The median of the absolute diagonal detail of 2x2 blocks (Donoho and Johnstone 1994): shapes
    and shading hardly enter, and up to half of the image may be texture.
    """
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].astype(np.int16)
    detail = even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]
    if detail.size == 0:
        return 0.0
    return float(np.median(np.abs(detail))) / 2 / 0.6745
