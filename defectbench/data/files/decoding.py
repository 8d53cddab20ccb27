"""How a file becomes pixels: one set of rules for every dataset, for images and for masks.

Images become RGB uint8: grey is repeated; palettes are looked up; 16-bit values keep their high byte (as Pillow does for
16-bit colour); CMYK and YCbCr are converted; transparent pixels are laid on black; EXIF orientation is applied.
Masks become one grey value per pixel: the largest channel (so that a red overlay or a coloured palette entry counts as
bright as a white one), laid on black where transparent; a pixel is a defect if that value reaches the dataset's threshold.
16-bit masks that hold nothing above 255 are read as they are, others by their high byte.
Refused by name: empty and truncated files, Git LFS pointers, several pages, 32-bit and other scientific modes, JPEG files
whose pixels are not all there, 16-bit images that are black but for their low byte, images that are mostly transparent.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from defectbench.data.files import jpeg

Pixels = npt.NDArray[np.uint8]

LFS_MAGIC: Final = b"version https://git-lfs.github.com/spec/"
ORIENTATION: Final = 0x0112
TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
WIDE: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
NARROW: Final = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}
)
GREY: Final = frozenset({"1", "L", "LA", "La"}) | WIDE
TRANSPARENT: Final = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
DARKEST: Final = 16
"""Grey levels: a 16-bit image below it has at most 12 bits, and would lose most of them."""
MOST: Final = 0.5
"""An image with a larger share of transparent pixels is refused."""
TAIL: Final = 64
"""Bytes at the end of a file within which its end mark is looked for."""


class BadFile(Exception):  # a finding, gathered into UserErrors by those who scan
    """A file that cannot be used; the message says what is wrong and the cure, without the path."""


@dataclass(frozen=True)
class Header:
    """What the head of an image file says.

    Attributes:
        width: pixels, after EXIF orientation.
        height: pixels, after EXIF orientation.
        mode: Pillow's name of the stored mode, e.g. `"L"`.
        orientation: of EXIF; 1 if the image is shown as it is stored.
        see_through: whether pixels may be transparent.
    """

    width: int
    height: int
    mode: str
    orientation: int = 1
    see_through: bool = False

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as stored, pixels."""
        size = self.width, self.height
        return size[::-1] if self.orientation in TURNED else size

    @property
    def is_grey(self) -> bool:
        """Whether the file stores grey values."""
        return self.mode in GREY


def read_header(path: Path) -> Header:
    """Read size and mode without decoding; decodes only if the file does not end as it should.

    Raises:
        BadFile: the file cannot be used.
    """
    with _opened(path) as image:
        complete = _ends_properly(path, image.format or "")
        width, height = image.size
        orientation = _orientation(image)
        if orientation in TURNED:
            width, height = height, width
        header = Header(width, height, image.mode, orientation, _is_transparent(image))
        if not complete:
            image.load()
    return header


def decode_image(path: Path) -> Pixels:
    """Decode an image to RGB.

    Returns:
        (H, W, 3) uint8 in [0, 255].

    Raises:
        BadFile: the file cannot be used.
    """
    with _opened(path) as image:
        _refuse_damage(path, image)
        upright = _upright(image)
        if upright.mode in WIDE:
            grey = _high_byte(upright)
            if int(grey.max()) < DARKEST:
                raise BadFile(
                    f"has 16 bits but no value above {DARKEST * 256 - 1}, so almost nothing is left of its high byte; "
                    "stretch it to 8 bits"
                )
            return np.repeat(grey[:, :, None], 3, axis=2)
        if _is_transparent(upright):
            share = _transparent(upright)
            if share > MOST:
                raise BadFile(
                    f"is transparent in {share:.0%} of its pixels, which would become black; lay it on the background "
                    "that it shall have"
                )
            upright = _on_black(upright)
        return np.array(upright.convert("RGB"), dtype=np.uint8)


def decode_mask(path: Path, threshold: int) -> Pixels:
    """Decode a mask and binarise it.

    Args:
        path: the file.
        threshold: a pixel is a defect if its value is at least this; in [1, 255].

    Returns:
        (H, W) uint8 in {0, 1}.

    Raises:
        BadFile: the file cannot be used.
    """
    values = decode_mask_values(path)
    return np.asarray(values >= threshold, dtype=np.uint8)


def decode_mask_values(path: Path) -> Pixels:
    """Decode a mask to one value per pixel, before the threshold.

    Returns:
        (H, W) uint8 in [0, 255].

    Raises:
        BadFile: the file cannot be used.
    """
    with _opened(path) as image:
        _refuse_damage(path, image)
        upright = _upright(image)
        if upright.mode in WIDE:
            values = np.asarray(upright)
            if values.size and int(values.max()) <= 255:
                return values.astype(np.uint8)
            return _high_byte(upright)
        if _is_transparent(upright):
            upright = _on_black(upright)
        if upright.mode in {"1", "L"}:
            return np.array(upright.convert("L"), dtype=np.uint8)
        colours: Pixels = np.array(upright.convert("RGB"), dtype=np.uint8)
        return np.asarray(colours.max(axis=2), dtype=np.uint8)


def transparent_share(path: Path) -> float:
    """Share of an image's pixels that are not opaque, in [0, 1].

    Raises:
        BadFile: the file cannot be used.
    """
    with _opened(path) as image:
        image.load()
        return _transparent(image) if _is_transparent(image) else 0.0


def mask_is_empty(path: Path, threshold: int) -> bool:
    """Say whether a mask marks no pixel.

    Raises:
        BadFile: the file cannot be used.
    """
    return not bool((decode_mask_values(path) >= threshold).any())


def is_lfs_pointer(path: Path) -> bool:
    """Say whether a file is a Git LFS pointer, the few lines of text that stand where the content should be."""
    try:
        with path.open("rb") as file:
            return file.read(len(LFS_MAGIC)) == LFS_MAGIC
    except OSError:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a file with Pillow; whatever is wrong with the file, then or in the block, becomes a `BadFile`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which we do not use
        try:
            with Image.open(path) as image:
                _check(image)
                yield image
        except _FAULTS as error:
            raise BadFile(_reason(path, error)) from None


def _check(image: Image.Image) -> None:
    pages = getattr(image, "n_frames", 1) if image.format in {"TIFF", "GIF", "WEBP"} else 1
    if pages > 1:
        raise BadFile(f"holds {pages} pages; wants one image per file")
    if image.mode not in NARROW | WIDE:
        raise BadFile(
            f"has mode {image.mode!r}; wants 8- or 16-bit grey, RGB, palette or CMYK: convert it to 8-bit PNG"
        )


def _reason(path: Path, error: Exception) -> str:
    """Put an exception about a file into words."""
    if isinstance(error, UnidentifiedImageError):
        if is_lfs_pointer(path):
            return "is a Git LFS pointer, not an image; fetch the content with `git lfs pull`"
        if path.stat().st_size == 0:
            return "is empty (0 bytes); get it again"
        return "is not an image that can be decoded; get it again"
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    if isinstance(error, BadFile):
        return str(error)
    detail = " ".join(str(error).split()) or type(error).__name__
    return f"cannot be decoded ({detail}); it may be truncated: get it again"


_FAULTS: Final = (
    BadFile,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    EOFError,
    IndexError,
)
_REASONS: Final = (
    (Image.DecompressionBombError, "is larger than Pillow's limit on pixels; cut it into parts"),
    (FileNotFoundError, "no such file"),
    (IsADirectoryError, "is a folder; wants an image file"),
    (PermissionError, "may not be read; change its permissions"),
)


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation where the head of the file states one (a later PNG chunk would need decoding)."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(ORIENTATION, 1))


def _upright(image: Image.Image) -> Image.Image:
    turn = _orientation(image) != 1
    image.load()
    return ImageOps.exif_transpose(image) if turn else image


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in TRANSPARENT or "transparency" in image.info


def _transparent(image: Image.Image) -> float:
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return float((alpha < 255).mean())


def _refuse_damage(path: Path, image: Image.Image) -> None:
    """Refuse a JPEG file of which the decoder would fill up a part."""
    if image.format in {"JPEG", "MPO"} and (wrong := jpeg.damage(path.read_bytes())):
        raise BadFile(f"{wrong}; get it again")


def _on_black(image: Image.Image) -> Image.Image:
    coloured = image.convert("RGBA")
    black = Image.new("RGBA", coloured.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, coloured).convert("RGB")


def _high_byte(image: Image.Image) -> Pixels:
    values: npt.NDArray[np.uint16] = np.asarray(image).astype(np.uint16)
    return (values >> 8).astype(np.uint8)


def _ends_properly(path: Path, kind: str) -> bool:
    """Say whether the end mark of a PNG or JPEG is where it belongs; other kinds are not trusted."""
    if kind not in {"PNG", "JPEG", "MPO"}:
        return False
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL))
        tail = file.read()
    return tail[-8:-4] == b"IEND" if kind == "PNG" else b"\xff\xd9" in tail
