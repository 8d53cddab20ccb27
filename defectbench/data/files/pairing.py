"""What is said of images and their masks from the heads of the files: sizes, EXIF orientation, transparency."""

from __future__ import annotations

from collections.abc import Sequence

from defectbench.data.files.decoding import Header


def told_size(image: Header, mask: Header, name: str) -> str:
    """Say that a mask has not the size of its image, and why if EXIF turned the image; "" if it has it.

    Args:
        image: head of the image.
        mask: head of the mask.
        name: file name of the image.
    """
    if (image.width, image.height) == (mask.width, mask.height):
        return ""
    said = f"is {mask.width}x{mask.height} pixels, its image {name} is {image.width}x{image.height}"
    if image.stored == mask.stored:
        return (
            f"{said} when turned upright as its EXIF orientation ({image.orientation}) says: the mask was drawn on the "
            "image as it is stored. Turn the mask likewise, or take the orientation out of the image"
        )
    return f"{said}; a mask must have the size of its image"


def told_turned(found: Sequence[tuple[str, Header, Header | None]]) -> list[str]:
    """Say how many images EXIF turns, and how many of them lie under a mask that is not turned.

    Args:
        found: name and head of each image and the head of its mask, if there is one.
    """
    turned = [one for one in found if one[1].orientation != 1]
    apart = [name for name, head, mask in turned if mask and mask.orientation != head.orientation]
    if not turned:
        return []
    said = f"{len(turned)} of {len(found)} images are turned upright as their EXIF orientation says"
    if not apart:
        return [said]
    return [
        f"{said}, and {len(apart)} of them have a mask that is not turned (first: {apart[0]}): if it was drawn on the "
        "image as stored, it marks another place. Turn these masks likewise, or take the orientation out of the images"
    ]


def told_transparent(shares: Sequence[float], of: int) -> list[str]:
    """Say how many images have transparent pixels.

    Args:
        shares: of transparent pixels, in each image that may have some.
        of: number of images.
    """
    some = [share for share in shares if share > 0]
    if not some:
        return []
    return [
        f"{len(some)} of {of} images have transparent pixels (up to {max(some):.1%} of an image), which are laid on black"
    ]
