"""Sheets of many images: sample grids and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageDraw, ImageFont

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PAPER = 255  # grey value between and around the tiles
INK = (40, 40, 40)
TEXT_GAP = 3  # pixels between a text and its tile
FONT_SIZES = 10, 18  # smallest and largest, pixels; a fifth of the tile between them


def grid(
    images: Sequence[Image | Mask],
    columns: int,
    labels: Sequence[str] | None = None,
    pad: int = 2,
    *,
    column_labels: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    scale: int = 1,
) -> Image:
    """Lay out images of one size in rows, on white.

    Args:
        images: uint8 (H, W, 3), uint8 (H, W) grey images or bool (H, W) masks (drawn black and
            white), in reading order; the last row may be short.
        columns: tiles per row.
        labels: one text per image, printed below its tile.
        pad: pixels between tiles and round the sheet.
        column_labels: one text per column, printed above the first row.
        row_labels: one text per row, printed left of it.
        scale: whole factor by which tiles are enlarged, without smoothing.

    Returns:
        The sheet, (H', W', 3). Texts wider than their tile end in an ellipsis; row labels get the
        width that they need.

    Raises:
        ValueError: there is no image, sizes differ, or a number of labels does not fit.
    """
    tiles = [_tile(image, scale) for image in images]
    if not tiles or columns < 1 or pad < 0:
        raise ValueError(
            f"{len(tiles)} images in {columns} columns, pad {pad}; wants at least one image, one "
            "column and no negative pad"
        )
    sizes = {tile.shape for tile in tiles}
    if len(sizes) > 1:
        raise ValueError(f"images of sizes {sorted(sizes)} in one grid; resize them to one size")
    height, width, _ = tiles[0].shape
    rows = -(-len(tiles) // columns)
    for name, texts, wanted in (
        ("labels", labels, len(tiles)),
        ("column_labels", column_labels, columns),
        ("row_labels", row_labels, rows),
    ):
        if texts is not None and len(texts) != wanted:
            raise ValueError(f"{len(texts)} {name}; wants {wanted}")

    font = ImageFont.load_default(size=int(np.clip(height // 5, *FONT_SIZES)))
    line = int(np.ceil(font.getbbox("Ég", anchor="la")[3])) + TEXT_GAP
    left = pad + max((_wide(text, font) + 2 * TEXT_GAP for text in row_labels or ()), default=0)
    top = pad + (line if column_labels else 0)
    across, down = width + pad, height + pad + (line if labels else 0)

    sheet = np.full((top + rows * down, left + columns * across, 3), PAPER, np.uint8)
    places = [
        (left + index % columns * across, top + index // columns * down)
        for index in range(len(tiles))
    ]
    for (x, y), tile in zip(places, tiles, strict=True):
        sheet[y : y + height, x : x + width] = tile

    canvas = PIL.Image.fromarray(sheet)
    pen = ImageDraw.Draw(canvas)
    middle = width // 2
    for text, (x, y) in zip(labels or (), places, strict=False):
        pen.text((x + middle, y + height + 1), _fit(text, font, width), INK, font, anchor="ma")
    for text, (x, _) in zip(column_labels or (), places, strict=False):
        pen.text((x + middle, pad), _fit(text, font, width), INK, font, anchor="ma")
    for row, text in enumerate(row_labels or ()):
        centre = top + row * down + height // 2
        pen.text((left - 2 * TEXT_GAP, centre), text, INK, font, anchor="rm")
    return np.asarray(canvas)


def _tile(image: Image | Mask, scale: int) -> Image:
    """Return an image as uint8 (H, W, 3), enlarged."""
    if scale < 1:
        raise ValueError(f"scale is {scale}; wants a whole factor, 1 or more")
    grey = image[..., None] if image.ndim == 2 else image
    known = str(image.dtype) in {"uint8", "bool"}
    if not known or grey.ndim != 3 or grey.shape[2] not in {1, 3}:
        raise ValueError(
            f"image is {image.dtype} {image.shape}; wants uint8 (H, W, 3) or (H, W), or bool (H, W)"
        )
    pixels = grey.astype(np.uint8) * np.uint8(255 if image.dtype == np.bool_ else 1)
    colour = np.broadcast_to(pixels, (*image.shape[:2], 3))
    return colour.repeat(scale, axis=0).repeat(scale, axis=1)


def _wide(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    """Return the width of a text in whole pixels."""
    return int(np.ceil(font.getlength(text)))


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Shorten a text until it is no wider than its tile."""
    if _wide(text, font) <= width:
        return text
    while text and _wide(text + "…", font) > width:
        text = text[:-1]
    return text.rstrip() + "…"
