"""What a user asks of one fitted generator: read, checked against what it can do, refused before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench import names
from defectbench.config import UserError, nearest
from defectbench.data.files.decoding import BadFile, decode_image, read_header, transparent_share
from defectbench.data.files.listing import IMAGE_SUFFIXES, UNREAD, look, told_unread
from defectbench.data.files.mask_parts import decode_merged
from defectbench.data.files.mask_rule import Levels, levels_of, rule_of
from defectbench.data.files.pairing import told_transparent, told_turned
from defectbench.plan.planner import paints_on_normals

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
BLENDS = ("improved_poisson", "poisson", "alpha", "none")
FEW = 8
"""Images drawn where nothing says how many."""


@dataclass(frozen=True)
class Wish:
    """What is asked for, as typed. Of several masks, boxes and images, each drawn image takes the next in turn.

    Attributes:
        labels: defects to draw, all of them in each image.
        interpolate: `FROM:TO` instead of labels.
        steps: of the interpolation.
        count: images, or series of an interpolation; None for as many as what is given asks for.
        normal: normal image or folder of them.
        mask: mask image or folder of them.
        box: `x0,y0,x1,y1` in pixels of the generator's images.
        reference: defect image, or folder of them, whose defect is taken.
        style_reference: defect image, or folder of them, whose style is taken.
        draw_style: whether each image has a style of its own, drawn, in place of the reference's.
        restore: defective image, or folder of them, to make normal.
        product: name of a product; "" for the first.
        composite: how contents are blended into the normals, of `BLENDS`; "none" leaves them on their background.
        seed: seed of every draw.
    """

    labels: tuple[str, ...] = ()
    interpolate: str = ""
    steps: int = 7
    count: int | None = None
    normal: Path | None = None
    mask: Path | None = None
    box: tuple[str, ...] = ()
    reference: Path | None = None
    style_reference: Path | None = None
    draw_style: bool = False
    restore: Path | None = None
    product: str = ""
    composite: str = "improved_poisson"
    seed: int = 0


class Given(NamedTuple):
    """A picture (H, W, 3) or a mask (H, W) and what the user calls it."""

    name: str
    pixels: npt.NDArray[Any]


@dataclass(frozen=True)
class Order:
    """A wish that can be fulfilled.

    Attributes:
        weights: class weights of each step, (S, K); one step unless it is an interpolation.
        count: images per step.
        product: index.
        start: normal images, or those to restore; empty if none.
        areas: places of the defect; empty if none.
        references: whose defect is taken; empty if none.
        styles: whose style is taken; empty if none.
        restoring: whether normal images are asked for.
        blend: how contents are blended into `start`; "none" if they are not.
        remarks: what the user must know of the files, one line each.
    """

    weights: npt.NDArray[np.float32]
    count: int
    product: int
    start: Sequence[Given]
    areas: Sequence[Given]
    references: Sequence[Given]
    styles: Sequence[Given]
    restoring: bool
    blend: str
    remarks: tuple[str, ...] = ()


def take_order(content: Mapping[str, Any], wish: Wish) -> Order:
    """Check a wish against a checkpoint and read what it names.

    Args:
        content: what `read_checkpoint` gave.
        wish: what is asked.

    Raises:
        UserError: the generator cannot do it, was not trained on a label, or a file is not as expected.
    """
    entry = names.find("generators", content["generator"])
    arguments = content["arguments"]
    size, defects = int(arguments["size"]), tuple(arguments["defects"])
    contents = content.get("view", {}).get("name") == "contents" and not paints_on_normals(
        entry.facts
    )
    _check_options(entry, wish, contents)
    weights = _weights(entry.name, defects, tuple(content.get("trained", defects)), wish)
    product = wish.product or arguments["products"][0]
    if product not in arguments["products"]:
        raise UserError(f"--product {product}: {nearest(product, arguments['products'])}")

    masks, remarks = _masks(wish.mask, size)
    areas = [*masks, *(_box(text, size) for text in wish.box)]
    starts = _files("--restore", wish.restore) or _files("--normal", wish.normal)
    references = _files("--reference", wish.reference)
    styles = _files("--style-reference", wish.style_reference)
    count = wish.count or _count(entry, wish, len(starts), len(areas), len(references), len(styles))
    read = [_pictures(files[:count], size) for files in (starts, references, styles)]
    for files in (starts, references, styles):
        remarks += _remarks(files[:count], size)
    return Order(
        weights=weights,
        count=count,
        product=arguments["products"].index(product),
        start=read[0],
        areas=areas,
        references=read[1],
        styles=read[2],
        restoring=wish.restore is not None,
        blend=wish.composite if contents and wish.normal else "none",
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _check_options(entry: names.Entry, wish: Wish, contents: bool) -> None:
    """Refuse options that the generator has no use for, that contradict each other, or that are missing."""
    if wish.composite not in BLENDS:
        raise UserError(f"--composite {wish.composite}: {nearest(wish.composite, BLENDS)}")
    for option, given, ability in (
        ("--restore", wish.restore, "restoration"),
        ("--interpolate", wish.interpolate, "interpolation"),
        ("--label, several times", len(wish.labels) > 1, "several"),
        ("--mask", wish.mask, "mask"),
        ("--box", wish.box, "mask"),
        ("--reference", wish.reference, "reference"),
        ("--style-reference", wish.style_reference, "style"),
        ("--draw-style", wish.draw_style, "style"),
        ("--normal", wish.normal and not contents, "normal"),
    ):
        if given:
            names.check_ability(entry, ability, option)
    others = (wish.labels, wish.normal, wish.mask, wish.box, wish.reference, wish.style_reference)
    if wish.restore and (any(others) or wish.interpolate or wish.draw_style):
        raise UserError(
            "--restore takes the defect away: leave labels, normals, places and references out"
        )
    if wish.interpolate and wish.labels:
        raise UserError("--interpolate names both labels itself: leave --label out")
    if wish.interpolate and wish.steps < 2:
        raise UserError(f"--steps {wish.steps}: an interpolation has at least 2, its ends")
    if wish.draw_style and (wish.style_reference or not wish.reference):
        raise UserError(
            "--draw-style redraws the style of a --reference: give one, and no --style-reference"
        )
    if wish.restore:
        return
    reads = entry.facts.get("reads", frozenset())
    if "normal" in reads and not wish.normal:
        raise UserError(
            f"{entry.name} starts from a normal image: give --normal IMAGE or a folder of them"
        )
    if "mask" in reads and not (wish.mask or wish.box):
        raise UserError(f"{entry.name} draws the defect inside a mask: give --mask or --box")
    if "reference" in reads and not wish.reference:
        raise UserError(f"{entry.name} needs a defect image to take from: give --reference IMAGE")
    if wish.normal and wish.composite == "none" and not names.is_able(entry, "normal"):
        raise UserError("--composite none blends nothing into --normal: leave one of them out")


def _count(entry: names.Entry, wish: Wish, starts: int, *others: int) -> int:
    """Images per step that what is given asks for."""
    if wish.interpolate:
        return 1
    if wish.restore or entry.facts.get("deterministic"):
        return max(starts, *others)
    return max(others) if max(others) > 1 else FEW


def _weights(
    name: str, defects: tuple[str, ...], trained: Sequence[str], wish: Wish
) -> npt.NDArray[np.float32]:
    """Turn labels or an interpolation into class weights (S, K); zeros ask for a normal image."""
    labels, option = wish.labels, "--label"
    if wish.interpolate:
        labels, option = tuple(wish.interpolate.split(":")), "--interpolate"
        if len(labels) != 2:
            raise UserError(f"--interpolate {wish.interpolate}: expected FROM:TO")
    elif not labels and not wish.restore:
        raise UserError(f"give --label; {name} was trained on: {', '.join(trained)}")
    for label in labels:
        if label not in trained:
            raise UserError(
                f"{option} {label}: this {name} was not trained on it; {nearest(label, trained)}"
            )
    rows = np.zeros((wish.steps if wish.interpolate else 1, len(defects)), np.float32)
    if wish.interpolate:
        share = np.linspace(0, 1, wish.steps, dtype=np.float32)
        rows[:, defects.index(labels[0])] += 1 - share
        rows[:, defects.index(labels[1])] += share
    else:
        rows[:, [defects.index(label) for label in labels]] = 1
    return rows


class File(NamedTuple):
    """A file and the option that named it."""

    option: str
    path: Path


def _files(option: str, path: Path | None) -> list[File]:
    """List an image, or the images of a folder."""
    if path is None:
        return []
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{option} {path}: no such file or folder")
        if path.suffix.lower() in UNREAD:
            raise UserError(f"{option} {path}: {told_unread(path)}")
        return [File(option, path)]
    found = look(path)
    if found.unread:
        raise UserError(f"{option} {found.unread[0]}: {told_unread(found.unread[0])}")
    if not found.images:
        raise UserError(f"{option} {path}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return [File(option, p) for p in found.images]


def _remarks(files: Sequence[File], size: int) -> list[str]:
    """Say what the user must know of images that were read: transparency, EXIF orientation, other sizes; counted."""
    heads = [(file.path, read_header(file.path)) for file in files]
    shares = [transparent_share(path) for path, head in heads if head.see_through]
    said = told_transparent(shares, len(heads))
    said += told_turned([(path.name, head, None) for path, head in heads])
    other = [head for _, head in heads if (head.width, head.height) != (size, size)]
    if other:
        oblong = sum(head.width != head.height for head in other)
        said.append(
            f"{len(other)} of {len(heads)} images are not {size}x{size} pixels (first: {other[0].width}x{other[0].height}) "
            f"and are resized"
            + (f"; {oblong} of them are oblong and are squashed" if oblong else "")
        )
    return [f"{files[0].option}: {line}" for line in said]


def _pictures(files: Sequence[File], size: int) -> list[Given]:
    """Read images as RGB at the generator's size."""
    found = []
    for option, path in files:
        try:
            picture = Image.fromarray(decode_image(path))
        except (BadFile, OSError) as error:
            raise UserError(f"{option} {path}: cannot be read as an image: {error}") from None
        if picture.size != (size, size):
            picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        found.append(Given(str(path), np.asarray(picture)))
    return found


def _masks(path: Path | None, size: int) -> tuple[list[Given], list[str]]:
    """Read a mask, or a folder of them; they must be of the generator's size, and mark something.

    Returns:
        the masks, and what the user must know of them.
    """
    files = _files("--mask", path)
    levels: list[Levels] = []
    for _, file in files:
        try:
            levels.append(levels_of(file))
        except (BadFile, OSError) as error:
            raise UserError(f"--mask {file}: cannot be read as a mask: {error}") from None
    rule = rule_of(levels)
    if rule.problem:
        raise UserError(f"--mask {path}: {rule.problem}")
    found = []
    for _, file in files:
        mask = decode_merged(file, rule.threshold) != 0
        if mask.shape != (size, size):
            raise UserError(
                f"--mask {file}: {mask.shape[1]}x{mask.shape[0]} pixels; the generator draws "
                f"{size}x{size}: resize the mask"
            )
        if not mask.any():
            raise UserError(
                f"--mask {file}: the mask is empty; paint where the defect shall be (>= {rule.threshold})"
            )
        found.append(Given(str(file), mask))
    return found, [f"--mask: {line}" for line in rule.remarks]


def _box(text: str, size: int) -> Given:
    """Read `X0,Y0,X1,Y1` as a mask."""
    try:
        x0, y0, x1, y1 = (int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--box {text}: expected four whole numbers X0,Y0,X1,Y1") from None
    if not (0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size):
        raise UserError(f"--box {text}: must be within 0,0,{size},{size} with X0 < X1 and Y0 < Y1")
    mask = np.zeros((size, size), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return Given(text, mask)
