"""Image sets as the feature store reads them: by index, and by a digest of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


class ImageSet(Protocol):
    """Images in a fixed order."""

    @property
    def resize(self) -> str:
        """How images were brought to their size: "native", or the rule, for example "bicubic_256"."""

    def __len__(self) -> int:
        """Number of images."""

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8; threads call it at once."""

    def digest(self) -> str:
        """SHA-256, hexadecimal, of the images' content in order; before any resizing."""


class ArrayImages:
    """Images that lie in one array, in memory or memory-mapped."""

    resize = "native"

    def __init__(self, images: Pixels) -> None:
        """Wrap an array without copying it.

        Args:
            images: (N, H, W, 3) uint8, N >= 1.

        Raises:
            ValueError: another shape or dtype, or no image.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not len(images):
            raise ValueError(
                f"images are {images.shape} {images.dtype}; want (N, H, W, 3) uint8 with N >= 1 "
                "(repeat a grey channel three times; scale 16-bit images to 8 bits)"
            )
        self._images = images

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8."""
        return np.ascontiguousarray(self._images[index].transpose(2, 0, 1))

    def digest(self) -> str:
        """SHA-256 of shape and bytes."""
        content = hashlib.sha256(repr(self._images.shape).encode())
        for image in self._images:
            content.update(np.ascontiguousarray(image).data)
        return content.hexdigest()


class FileImages:
    """Images that lie in files, decoded when asked for."""

    def __init__(
        self,
        paths: Sequence[Path],
        decode: Callable[[Path], Pixels],
        *,
        size: int | None = None,
    ) -> None:
        """Take files in the order given.

        Args:
            paths: one image file each, at least one.
            decode: reads a file as (H, W, 3) uint8.
            size: side in pixels to which images are resized with Pillow's antialiased bicubic filter
                (Parmar et al. 2022); None leaves them as they are.

        Raises:
            ValueError: no path.
        """
        if not paths:
            raise ValueError("no image file; want at least one")
        self.paths = list(paths)
        self.resize = "native" if size is None else f"bicubic_{size}"
        self._decode, self._size = decode, size

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8."""
        pixels = self._decode(self.paths[index])
        side = self._size
        if side is not None and pixels.shape[:2] != (side, side):
            resized = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
            pixels = np.asarray(resized, dtype=np.uint8)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def digest(self) -> str:
        """SHA-256 of the files' digests in order."""
        content = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        return content.hexdigest()


class HeldImages:
    """Another set whose decoded images are kept in memory up to a limit, for a second look."""

    def __init__(self, images: ImageSet, *, limit: int = 1 << 29) -> None:
        """Wrap a set.

        Args:
            images: the set.
            limit: bytes that may be kept; images beyond it are loaded again.
        """
        self.resize = images.resize
        self._images, self._room = images, limit
        self._held: dict[int, Pixels] = {}

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8."""
        found = self._held.get(index)
        if found is None:
            found = self._images.load(index)
            if found.nbytes <= self._room:  # two threads may both pass here; the limit is a guide
                self._room -= found.nbytes
                self._held[index] = found
        return found

    def digest(self) -> str:
        """SHA-256 of the wrapped set."""
        return self._images.digest()


class PickedImages:
    """Some images of another set, in any order, also more than once."""

    def __init__(self, images: ImageSet, places: npt.NDArray[np.int64]) -> None:
        """Pick images.

        Args:
            images: the set.
            places: (N,) indices into it.
        """
        self.resize = images.resize
        self._images, self._places = images, places

    def __len__(self) -> int:
        """Number of images."""
        return len(self._places)

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8."""
        return self._images.load(int(self._places[index]))

    def digest(self) -> str:
        """SHA-256 of the set's digest and the places."""
        content = hashlib.sha256(f"picked {self._images.digest()}".encode())
        content.update(np.asarray(self._places, np.int64).tobytes())
        return content.hexdigest()


class MaskedImages:
    """Images of which only the masked part is kept; the rest is zero before LPIPS sees it.

    The masked IC-LPIPS ("IC-LPIPS(a)") multiplies images by their defect masks.
    """

    def __init__(self, images: ImageSet, masks: npt.NDArray[np.bool_] | Pixels) -> None:
        """Pair images with masks.

        Args:
            images: the set.
            masks: (N, H, W), nonzero = keep.

        Raises:
            ValueError: there is not one mask per image.
        """
        if masks.ndim != 3 or len(masks) != len(images):
            raise ValueError(f"masks are {masks.shape}; want ({len(images)}, H, W), one per image")
        self.resize = images.resize
        self._images, self._masks = images, masks

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def load(self, index: int) -> Pixels:
        """Image `index` as (3, H, W) uint8.

        Raises:
            ValueError: the mask has another size.
        """
        pixels, mask = self._images.load(index), self._masks[index] != 0
        if pixels.shape[1:] != mask.shape:
            raise ValueError(f"image {index} is {pixels.shape[1:]} but its mask is {mask.shape}")
        return np.where(mask, pixels, np.uint8(0))

    def digest(self) -> str:
        """SHA-256 of the images' digest and the masks."""
        content = hashlib.sha256(f"masked {self._images.digest()}".encode())
        content.update(np.packbits(self._masks != 0).tobytes())
        return content.hexdigest()
