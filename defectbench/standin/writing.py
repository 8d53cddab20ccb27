"""What every stand-in writer needs: a folder that is safe to write, seeded drawings, and files with stable bytes.

Every image is drawn from its own seed, which follows from the caller's seed and the image's name: asking for more images
changes none of those that were there before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.config import CannotWrite, UserError, nearest
from defectbench.data.files.decoding import Pixels
from defectbench.data.files.scanning import STANDIN_MARKER, mark_standin
from defectbench.rng import numpy_rng
from defectbench.standin import drawing
from defectbench.standin.order import LEAST, Order

Size = int | tuple[int, int]
"""(H, W) in pixels, or the side of a square."""
ATTEMPTS: Final = 10
"""Images drawn before a defect is given up that finds no room."""


def begin(out: Path, dataset: str, order: Order) -> None:
    """Make ready a folder for a stand-in and mark it as one.

    Args:
        out: the folder; may exist if it is empty or holds the same stand-in, which is drawn over.
        dataset: name of the dataset.
        order: size, counts, seed, and which products, where the dataset has several.

    Raises:
        UserError: the folder holds something else, cannot be written, or an option is out of range.
    """
    if order.size < LEAST:
        raise UserError(f"stand-in of {dataset}: size={order.size}; wants at least {LEAST} pixels")
    for name in ("normals", "defective"):
        if getattr(order, name) < 0:
            raise UserError(
                f"stand-in of {dataset}: {name}={getattr(order, name)}; wants 0 or more"
            )
    said: dict[str, object] = {"dataset": dataset, **asdict(order)}
    if order.products is None:
        del said["products"]
    try:
        there = sorted(p.name for p in out.iterdir()) if out.exists() else []
        if there:
            _check_same(out, said)
        mark_standin(out, **said)
    except OSError as error:
        raise CannotWrite(
            f"{out}: cannot be written ({error.strerror}); name another folder"
        ) from None


def _check_same(out: Path, said: dict[str, object]) -> None:
    try:
        old = json.loads((out / STANDIN_MARKER).read_text())
    except (OSError, ValueError):
        raise UserError(f"{out}: is not empty and holds no stand-in; name another folder") from None
    if {k: v for k, v in old.items() if k != "note"} != said:
        raise UserError(
            f"{out}: holds a stand-in drawn with other options; delete it or name another folder"
        )


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Give the random numbers of one image."""
    return numpy_rng(seed, "stand-in", *names)


def normal(product: str, size: Size, rng: np.random.Generator) -> Pixels:
    """Draw a normal image: (H, W, 3) uint8. `product` is a name that `drawing` knows."""
    return drawing.draw(product, size, rng)


def defective(
    product: str, defects: str | Iterable[str], size: Size, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Draw an image with one defect of each given name.

    Returns:
        Image (H, W, 3) uint8, and mask (H, W) uint8 in {0, 1} of all of them.

    Raises:
        UserError: a defect is unknown or finds no room at this size.
    """
    names = [defects] if isinstance(defects, str) else list(defects)
    for name in set(names) - set(drawing.names(product)):
        raise UserError(f"cannot draw {name!r}; {nearest(name, drawing.names(product))}")
    trouble = ""
    for _ in range(ATTEMPTS):
        image = drawing.draw(product, size, rng)
        whole = np.zeros(image.shape[:2], dtype=np.uint8)
        try:
            for name in names:
                image, mask = drawing.add(product, name, image, rng)
                whole |= np.asarray(mask > 0, dtype=np.uint8)
        except ValueError as error:  # a small part leaves no room: another one may
            trouble = str(error)
            continue
        return image, whole
    raise UserError(f"stand-in: {trouble}")


def grey(image: Pixels) -> Pixels:
    """Reduce (H, W, 3) to one channel, (H, W), for datasets of mode L."""
    return np.asarray(Image.fromarray(image).convert("L"), dtype=np.uint8)


def save(path: Path, pixels: Pixels) -> Path:
    """Write an image, with the folders that it needs; the suffix says the format, JPEG at quality 95."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower(), path.suffix[1:].upper())
    options = {"JPEG": {"quality": 95}, "PNG": {"compress_level": 1}}.get(kind, {})
    Image.fromarray(pixels).save(path, kind, **options)
    return path


def save_mask(path: Path, mask: npt.NDArray[np.uint8], value: int = 255) -> Path:
    """Write a mask (H, W) in {0, 1}; a defect pixel gets `value`."""
    return save(path, np.asarray(mask * np.uint8(value), dtype=np.uint8))


def held_out(normals: int) -> int:
    """Say how many normal images the test split gets beside `normals` for training: a fifth, at least 2."""
    return max(2, round(0.2 * normals)) if normals else 0


def allot(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a number in the ratio of published numbers; each share gets one at least where the total allows.

    Largest remainders, the first of equals first, so that shares only grow with the total where weights are equal.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    shares = [int(value) for value in exact]
    order = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: total - sum(shares)]:
        shares[i] += 1
    while total >= len(weights) and 0 in shares:
        shares[shares.index(max(shares))] -= 1
        shares[shares.index(0)] += 1
    return shares


def beside(train: int, published_train: int, published_other: int) -> int:
    """Say how many images another split gets beside `train`, in the ratio of the published numbers; one at least."""
    return max(1, round(train * published_other / published_train)) if train else 0


def oblong(size: int, height: int, width: int) -> tuple[int, int]:
    """Scale published sides so that the area is `size` squared: (H, W) in pixels, neither side under the least."""
    ratio = (height / width) ** 0.5
    return max(LEAST, round(size * ratio)), max(LEAST, round(size / ratio))
