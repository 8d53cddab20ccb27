"""Which images show one and the same part: by frame number, by known links, and by what they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.data.files.decoding import Pixels, decode_image
from defectbench.data.manifest import Manifest

SIDE: Final = 64
"""Pixels; images are compared at this size."""
NEAR: Final = 0.7
"""Least correlation of two signatures for a near-duplicate. On the real Magnetic Tile images, taken under six exposures and
cut out by hand, different tiles reach 0.68; tiles that were photographed again later, 0.70 to 0.99; see mtd.py."""
APART: Final = 0.9
"""How much a near-duplicate's correlation must exceed what is usual for its product (99 of 100 pairs), after Fisher's
transform: products that all look alike (a bottle from above, a wire mesh) ask for more than `NEAR`."""
ENOUGH: Final = 30
"""Images of a product from which on it shows what is usual for it."""
NEAR_OF_FEW: Final = 0.97
"""Least correlation of near-duplicates of a product with fewer images; no product asks for more."""
FEW: Final = 8
"""With fewer images of a product its mean says too little to be taken off."""

Signatures = npt.NDArray[np.float32]


def signature(image: Pixels) -> Signatures:
    """Sum up what an image shows, whatever its exposure, lighting and size.

    The grey image is reduced to `SIDE` pixels, its slow variation taken off and its local contrast evened out.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (SIDE * SIDE,) float32 of mean 0 and norm 1; all 0 for an even image.
    """
    from scipy.ndimage import gaussian_filter

    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.float32)
    detail = pixels - gaussian_filter(pixels, 3.0)
    contrast = np.sqrt(gaussian_filter(detail * detail, 6.0))
    even: Signatures = (detail / (contrast + 1.0)).reshape(1, -1)
    return np.asarray(_unit(even)[0], dtype=np.float32)


def signatures(
    manifest: Manifest, progress: Callable[[int, int], None] | None = None
) -> Signatures:
    """Decode every image of a manifest and sum it up.

    What all images of a product share (the outline of a bottle, a vignette) is taken off, so that only what is
    particular to an image counts.

    Returns:
        (N, SIDE * SIDE) float32, in the order of the rows.

    Raises:
        defectbench.data.files.decoding.BadFile: an image cannot be decoded.
    """
    found = np.zeros((len(manifest), SIDE * SIDE), dtype=np.float32)
    for i, name in enumerate(manifest.table["image"]):
        found[i] = signature(decode_image(manifest.root / name))
        if progress is not None:
            progress(i + 1, len(manifest))
    return without_common(found, manifest.table["product"].tolist())


def without_common(found: Signatures, products: Sequence[str]) -> Signatures:
    """Take the mean of each product off its images' signatures, where there are at least `FEW`."""
    result, names = found.copy(), np.asarray(products)
    for product in sorted(set(products)):
        rows = np.flatnonzero(names == product)
        if len(rows) >= FEW:
            result[rows] -= result[rows].mean(axis=0)
    return _unit(result)


def near_pairs(
    found: Signatures, products: Sequence[str], different: npt.NDArray[np.int64]
) -> list[tuple[int, int, float]]:
    """Find pairs of images of one product that are far more alike than its images are anyway.

    Args:
        found: (N, D) signatures.
        products: product of each image.
        different: (N,) numbers; only pairs of different numbers are looked for, e.g. of different sides of a split.

    Returns:
        (i, j, correlation) with i < j, most alike first.
    """
    pairs: list[tuple[int, int, float]] = []
    names = np.asarray(products)
    for product in sorted(set(products)):
        rows = np.flatnonzero(names == product)
        ours, side = found[rows], different[rows]
        threshold = near_threshold(ours)
        for start in range(0, len(rows), 512):
            alike = ours[start : start + 512] @ ours.T  # (512, n)
            alike[side[start : start + 512, None] == side[None]] = 0
            for i, j in np.argwhere(alike >= threshold):
                if start + i < j:
                    pairs.append((int(rows[start + i]), int(rows[j]), float(alike[i, j])))
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def near_threshold(found: Signatures) -> float:
    """Say from which correlation on two images of one product are near-duplicates: see `NEAR` and `APART`."""
    if len(found) < ENOUGH:
        return NEAR_OF_FEW
    some = found[:: max(1, len(found) // 512)]
    usual = float(np.quantile((some @ some.T)[np.triu_indices(len(some), 1)], 0.99))
    # Where every part was photographed twice, what is usual is itself a near-duplicate.
    return min(NEAR_OF_FEW, max(NEAR, float(np.tanh(np.arctanh(min(usual, 0.999)) + APART))))


def runs(numbers: Iterable[int], gap: int) -> dict[int, int]:
    """Gather numbers that follow each other closely, as the frames of one recording do.

    Args:
        numbers: frame numbers, in any order.
        gap: two neighbours at most so far apart are in one run.

    Returns:
        The first number of its run, by number.
    """
    first: dict[int, int] = {}
    previous: int | None = None
    for number in sorted(set(numbers)):
        joined = previous is not None and number - previous <= gap
        first[number] = first[previous] if joined and previous is not None else number
        previous = number
    return first


def join(first: dict[int, int], links: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Join runs by links between any of their numbers; a joined group is named by its smallest number.

    Links whose numbers do not occur are ignored.
    """
    parent = {name: name for name in first.values()}

    def root(name: int) -> int:
        while parent[name] != name:
            name = parent[name]
        return name

    for a, b in links:
        if a in first and b in first:
            low, high = sorted((root(first[a]), root(first[b])))
            parent[high] = low
    return {number: root(name) for number, name in first.items()}


def _unit(rows: Signatures) -> Signatures:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(norm, 1e-6), dtype=np.float32)
