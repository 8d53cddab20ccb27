"""Find images that are overlapping cut-outs of one photograph: the same pixels, shifted.

`groups.near_pairs` compares images as they lie; a cut-out that is shifted by half its side escapes it. Here the shift is
found by phase correlation and checked by the correlation of what overlaps. It takes about 0.1 ms per pair of 200 px images,
so it is run once for a dataset, and what it finds is kept with the adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Images = npt.NDArray[np.float32]

PEAK: Final = 0.035
"""Least height of a peak of the phase correlation that is looked into; unrelated images of 200 px reach 0.03."""
ALIKE: Final = 0.8
"""Least correlation of the overlap. On NEU-DET 1,822 pairs reach it, most of them 0.9, and few lie between 0.3 and 0.8."""
SURE: Final = (0.1, 0.6)
"""With a peak of the first number the second is enough: another exposure, or a second photograph of one place."""
SMOOTH: Final = 3.0
"""Standard deviation, pixels, of the blur that is taken off, so that only fine detail counts."""
LEAST: Final = 0.06
"""Least share of an image that overlaps."""


class Overlap(NamedTuple):
    """Two images that show one place.

    Attributes:
        first: number of the one.
        second: number of the other.
        down: rows by which the second lies lower in the photograph.
        right: columns by which it lies further right.
        alike: correlation of the overlap's fine detail.
    """

    first: int
    second: int
    down: int
    right: int
    alike: float


def overlaps(images: Sequence[npt.NDArray[np.uint8]], peak: float = PEAK) -> list[Overlap]:
    """Compare all pairs of some images.

    Straight lines that run through whole images correlate wherever they are; look at what is found.

    Args:
        images: grey squares of one side, (S, S) uint8, 64 pixels or more.
        peak: least height of the peak of the phase correlation; noise reaches about 5 / S.
    """
    detail = np.stack([_detail(image) for image in images])
    side = detail.shape[1]
    window = np.minimum(1, 4 * np.hanning(side + 2)[1:-1]).astype(np.float32)
    spectra = np.fft.rfft2(detail * window[:, None] * window).astype(np.complex64)
    spectra /= np.abs(spectra) + 1e-3
    found = []
    for first in range(len(images) - 1):
        shifts = np.fft.irfft2(
            spectra[first] * np.conj(spectra[first + 1 :]), s=(side, side)
        ).reshape(-1, side * side)
        best = shifts.argmax(axis=1)
        height = shifts[np.arange(len(shifts)), best]
        for k in np.flatnonzero(height > peak):
            second = first + 1 + int(k)
            down, right, alike = _check(detail[first], detail[second], divmod(int(best[k]), side))
            if alike >= ALIKE or (height[k] >= SURE[0] and alike >= SURE[1]):
                found.append(Overlap(first, second, down, right, alike))
    return found


def _detail(image: npt.NDArray[np.uint8]) -> Images:
    pixels = image.astype(np.float32)
    pixels = pixels - gaussian_filter(pixels, SMOOTH)
    return np.asarray(pixels / (pixels.std() + 1e-6), np.float32)


def _check(first: Images, second: Images, shift: tuple[int, int]) -> tuple[int, int, float]:
    """Of the four shifts that a circular one can mean, give the one whose overlap is most alike."""
    side = len(first)
    best = (0, 0, -1.0)
    for down in (shift[0], shift[0] - side):
        for right in (shift[1], shift[1] - side):
            height, width = side - abs(down), side - abs(right)
            if height * width < LEAST * side * side or min(height, width) < 8:
                continue
            ours = first[max(down, 0) :, max(right, 0) :][:height, :width]
            theirs = second[max(-down, 0) :, max(-right, 0) :][:height, :width]
            alike = float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
            if alike > best[2]:
                best = (down, right, alike)
    return best
