"""Whether the pixels of a JPEG file are all there.

Where data of a JPEG are missing or overwritten, libjpeg fills up with grey or with noise and warns; Pillow throws the
warning away. The decoder is therefore asked twice more, at an eighth of the size: once with the end mark taken off, where
it must not want for data, and once with the last bytes taken off as well, where it must. The first finds data that are
missing, the second data that belong to nothing, as both leave them that lost their place. Files of several scans
(progressive ones) are not looked at.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

START, SCAN, END = 0xD8, 0xDA, 0xD9
PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
PADDING: Final = b"\xff\x00" * 16
"""Bits of 1, as the standard fills the last byte: what the decoder reads ahead beyond the last block."""
SURPLUS: Final = 16
"""Bytes; more of them than this behind the last block is damage."""


def damage(content: bytes) -> str:
    """Say what is wrong with the pixels of a JPEG file; "" if nothing is, or if it cannot be said."""
    places = _scan(content)
    if places is None:
        return ""
    start, end = places
    if not _is_enough(content[:end] + PADDING):
        return "lacks a part of its pixels, which the decoder would fill up with grey"
    if end - start > 2 * SURPLUS and _is_enough(content[: end - SURPLUS]):
        return "holds data that belong to no pixel, so a part of it was overwritten"
    return ""


def _scan(content: bytes) -> tuple[int, int] | None:
    """Find where the pixels of a file of one scan begin and end; None if it has several or is none."""
    at = 2
    if content[:2] != bytes((0xFF, START)):
        return None
    while at + 4 <= len(content):
        if content[at] != 0xFF or content[at + 1] in PROGRESSIVE:
            return None
        if content[at + 1] == 0xFF:  # padding before a marker
            at += 1
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] == SCAN:
            return _until_end(content, at + 2 + length)
        at += 2 + length
    return None


def _until_end(content: bytes, start: int) -> tuple[int, int] | None:
    """Find the first marker behind `start` that is neither stuffing nor a restart; None if it is not the end mark."""
    at = start
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        following = content[at + 1]
        if following == END:
            return start, at
        if following == 0xFF:
            at += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            at += 2
        else:
            return None
    return None


def _is_enough(content: bytes) -> bool:
    """Say whether a JPEG without end mark gives the decoder all blocks."""
    with Image.open(io.BytesIO(content)) as image:
        image.draft("L", (1, 1))
        try:
            image.load()
        except OSError:
            return False
    return True
