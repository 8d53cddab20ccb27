"""Draw from one fitted generator outside any table: images, masks, where each came from, and a labelled sheet."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.config import UserError
from defectbench.files import keep_out, read_rows
from defectbench.imaging.grid import grid
from defectbench.rng import torch_rng
from defectbench.single.requests import Given, Order, Picture, Wish, take_order
from defectbench.stages.sample import finish_sample, synthesise

AT_ONCE = 32
"""Images asked for together; part of which draws an image gets."""
WIDEST, LONGEST = 8, 4
"""Columns of the sheet, and how often they are repeated for further images."""
LEAST_TILE = 96
"""Side of a tile, pixels, up to which small images are enlarged."""
UNFINISHED = "unfinished"
"""Folder below the one of samples, which holds them until all are drawn."""
FRAME = 190
"""Grey value of the line round contents."""
SHEETS = (".png", ".jpg")


@dataclass(frozen=True)
class Drawn:
    """One image that was drawn.

    Attributes:
        index: which of the count.
        weights: class weights, (K,).
        raw: what the generator drew, (H, W, 3).
        image: the same, or blended into its normal.
        mask: (H, W) bool, or None if there is no valid one.
        source: the mask's source.
    """

    index: int
    weights: npt.NDArray[np.float32]
    raw: Picture
    image: Picture
    mask: npt.NDArray[np.bool_] | None
    source: str


@dataclass(frozen=True)
class Drawing:
    """Images of one request.

    Attributes:
        images: the images.
        order: the request, checked.
        generator: the generator that made them.
    """

    images: list[Drawn]
    order: Order
    generator: Any


def draw_images(checkpoint: Path, wish: Wish) -> Drawing:
    """Generate images and write nothing.

    Raises:
        UserError: the generator cannot do what is wished, or an input file is not as expected.
    """
    order, generator, images = _begin(checkpoint, wish)
    return Drawing(list(images), order, generator)


def _begin(checkpoint: Path, wish: Wish) -> tuple[Order, Any, Iterator[Drawn]]:
    """Check a request; give it, its generator, and the images, which are drawn when they are asked for, `AT_ONCE` at a time."""
    from defectbench.data.streams.module import View
    from defectbench.stages.checkpoints import load_generator, read_checkpoint

    content = read_checkpoint(checkpoint)
    order = take_order(content, wish)
    generator = load_generator(checkpoint)
    view = View(**content.get("view", {}))

    def images() -> Iterator[Drawn]:
        for first in range(0, order.count, AT_ONCE):
            rows = range(first, min(first + AT_ONCE, order.count))
            # All steps of an interpolation draw the same numbers, so that the label alone makes the difference.
            steps = [_draw(generator, order, wish, view, rows, label) for label in order.weights]
            yield from (one for series in zip(*steps, strict=True) for one in series)

    return order, generator, images()


def draw(checkpoint: Path, wish: Wish, out: Path, sheet: Path | None = None) -> dict[str, Any]:
    """Draw images and write them, as they are drawn, with masks, `manifest.csv` and `samples.png`, a labelled sheet.

    All is written below `out/unfinished` first and takes the place of earlier samples when it is complete.

    Args:
        checkpoint: a `generator.ckpt`.
        wish: what is asked.
        out: folder to write to.
        sheet: another place for the sheet.

    Returns:
        counts and paths, for printing.

    Raises:
        UserError: the generator cannot do what is wished, or an input file is not as expected.
    """
    if sheet and sheet.suffix.lower() not in SHEETS:
        raise UserError(f"--sheet {sheet}: expected a name that ends in {' or '.join(SHEETS)}")
    for given in (wish.normal, wish.mask, wish.reference, wish.style_reference, wish.restore):
        if given is not None and given.is_dir():
            keep_out(out, given)
    earlier = earlier_samples(out)
    order, generator, images = _begin(checkpoint, wish)
    partial = out / UNFINISHED
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        shown, sources, masked = _write(partial, images, order, generator, checkpoint, wish)
        picture = Image.fromarray(draw_sheet(order, shown, generator.defects, masked=masked))
        picture.save(partial / "samples.png", quality=85)
        _put_in_place(partial, out, earlier)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if sheet:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        (out / "samples.png").unlink()
        picture.save(sheet, quality=85)
    sheet = sheet or out / "samples.png"
    return {
        "images": sum(sources.values()),
        "masks": dict(sources),
        "manifest": str(out / "manifest.csv"),
        "sheet": str(sheet),
        **({"remarks": list(order.remarks)} if order.remarks else {}),
    }


def _put_in_place(partial: Path, out: Path, earlier: Sequence[Path]) -> None:
    """Let what was drawn take the place of earlier samples."""
    for path in earlier:
        path.unlink(missing_ok=True)
    for folder in sorted(partial.rglob("*")):
        if folder.is_dir():
            (out / folder.relative_to(partial)).mkdir(exist_ok=True)
    for path in sorted(partial.rglob("*")):
        if path.is_file():
            path.rename(out / path.relative_to(partial))


def earlier_samples(out: Path) -> list[Path]:
    """Find what an earlier `sample` wrote into a folder, which the next one replaces; nothing else may lie there.

    Args:
        out: the folder; need not exist.

    Returns:
        its files.

    Raises:
        UserError: the folder holds files that its manifest does not name.
    """
    if not out.exists():
        return []
    if not out.is_dir():
        raise UserError(f"--out {out}: a file; expected a folder that is new or empty")
    ours: list[Path] = []
    if (out / "manifest.csv").is_file():
        ours = [out / name for name in ("manifest.csv", "manifest.json", "samples.png")]
        named = (row.get(column, "") for row in read_rows(ours[0]) for column in ("image", "mask"))
        ours += [out / name for name in named if name]
    left = set((out / UNFINISHED).rglob("*"))  # by one that was killed
    strange = sorted({path for path in out.rglob("*") if not path.is_dir()} - set(ours) - left)
    if strange:
        raise UserError(
            f"--out {out}: holds {len(strange)} files that no earlier sample wrote ({strange[0].relative_to(out)}); "
            "expected a folder that is new or empty; name another or delete it"
        )
    return [path for path in ours if path.exists()]


def _turn(given: Sequence[Given], rows: Sequence[int]) -> list[Given]:
    """Give each image the next in turn."""
    return [given[row % len(given)] for row in rows]


def _draw(
    generator: Any,
    order: Order,
    wish: Wish,
    view: Any,
    rows: Sequence[int],
    weights: npt.NDArray[np.float32],
) -> list[Drawn]:
    """Draw some images of one step."""
    import torch

    from defectbench.batch import Batch, Request, to_float, to_uint8

    b = len(rows)
    request = Request(
        defects=torch.from_numpy(np.tile(weights, (b, 1))),
        product=torch.full((b,), order.product, dtype=torch.int64),
    )

    def pictures(given: Sequence[Given]) -> npt.NDArray[np.uint8]:
        return np.stack([each.pixels for each in _turn(given, rows)])

    def floats(given: Sequence[Given]) -> torch.Tensor:
        return to_float(torch.from_numpy(pictures(given)).permute(0, 3, 1, 2)).contiguous()

    def batch(given: Sequence[Given]) -> Batch:
        image = floats(given)
        return Batch(
            image=image,
            mask=torch.ones_like(image[:, :1]),
            defects=request["defects"],
            product=request["product"],
            synthetic=torch.zeros(b, dtype=torch.bool),
        )

    side = generator.size
    start = pictures(order.start) if order.start else np.zeros((b, side, side, 3), np.uint8)
    if order.start and "normal" in generator.reads | generator.takes:
        request["normal"] = floats(order.start)
    if order.areas:
        request["mask"] = torch.from_numpy(pictures(order.areas)).unsqueeze(1).float()
    if order.references:
        request["reference"] = batch(order.references)
    if order.styles:
        request["style"] = batch(order.styles)
    if wish.draw_style:
        request["draw_style"] = torch.ones(b, dtype=torch.bool)
    sample = synthesise(generator, request, torch_rng(wish.seed, "draw", rows[0]))
    made = finish_sample(sample, start, view, order.blend, generator.mask_source)
    raw = to_uint8(sample["image"]).permute(0, 2, 3, 1).cpu().numpy()
    return [
        Drawn(
            index=row,
            weights=weights,
            raw=raw[i],
            image=made.images[i],
            mask=made.masks[i] if made.masks is not None and made.valid[i] else None,
            source=made.sources[i],
        )
        for i, row in enumerate(rows)
    ]


def draw_sheet(
    order: Order, drawn: Sequence[Drawn], defects: Sequence[str], *, masked: bool
) -> Picture:
    """Lay out what was given and what was drawn: one row for each kind of picture, one column for each image.

    Args:
        order: what was asked.
        drawn: the images, step after step of each series.
        defects: names of the K defects.
        masked: whether any image, shown or not, has a mask.

    Returns:
        the sheet, (H, W, 3). Of many images the first are shown.
    """
    side = len(drawn[0].image)
    blank = np.full((side, side, 3), 255, np.uint8)
    steps = len(order.weights)
    across = steps if steps > 1 else min(len(drawn), WIDEST)
    tiles: list[npt.NDArray[Any]] = []
    titles: list[str] = []
    for first in range(0, min(len(drawn), LONGEST * across), across):
        block = drawn[first : first + across]
        rows: dict[str, list[npt.NDArray[Any]]] = {}
        for title, given in (
            ("given" if order.restoring else "normal", order.start),
            ("where", order.areas),
            ("reference", order.references),
            ("style of", order.styles),
        ):
            if given:
                rows[title] = [g.pixels for g in _turn(given, [one.index for one in block])]
        if order.blend != "none":
            rows["contents"] = [_framed(one.raw) for one in block]
        bare = order.blend == "none" and not order.start
        rows[_title(order, defects)] = [_framed(one.image) if bare else one.image for one in block]
        if masked:
            last = "changed" if order.restoring else "mask"
            rows[last] = [blank if one.mask is None else one.mask for one in block]
        for title, pictures in rows.items():
            titles.append(title)
            tiles += [*pictures, *[blank] * (across - len(pictures))]
    return grid(
        tiles,
        columns=across,
        row_labels=titles,
        column_labels=[f"{step / (steps - 1):.2f}" for step in range(steps)] if steps > 1 else None,
        scale=max(1, -(-LEAST_TILE // side)),
    )


def _framed(picture: Picture) -> Picture:
    """Draw a grey line round contents, whose background may be as white as the sheet."""
    framed = np.full_like(picture, FRAME)
    framed[1:-1, 1:-1] = picture[1:-1, 1:-1]
    return framed


def _title(order: Order, defects: Sequence[str]) -> str:
    """Name what was drawn."""
    if order.restoring:
        return "restored"
    ends = [[d for d, w in zip(defects, row, strict=True) if w > 0] for row in order.weights]
    return " + ".join(ends[0]) if len(ends) == 1 else f"{ends[0][0]} to {ends[-1][0]}"


def name_label(weights: npt.NDArray[np.float32], defects: Sequence[str]) -> str:
    """Name a label with its weights, e.g. `hole:0.50+liquid:0.50`; zeros are `normal`."""
    named = [f"{d}:{w:.2f}" for d, w in zip(defects, weights, strict=True) if w > 0]
    return "+".join(named) or "normal"


def _write(
    out: Path,
    drawn: Iterable[Drawn],
    order: Order,
    generator: Any,
    checkpoint: Path,
    wish: Wish,
) -> tuple[list[Drawn], Counter[str], bool]:
    """Write images and masks as they come, then the manifest, into `unfinished` below the folder of the samples.

    A restored image is normal: what changed is no mask of a defect.

    Returns:
        the first images, as many as a sheet shows; how many images have a mask of each source; whether any has one.
    """
    import pandas as pd

    from defectbench.data.manifest import Manifest
    from defectbench.data.streams.synthetic import write_images

    def named(given: Sequence[Given], row: int) -> str:
        return given[row % len(given)].name if given else ""

    rows: list[dict[str, Any]] = []
    shown: list[Drawn] = []
    sources: Counter[str] = Counter()
    masked = False
    for number, one in enumerate(drawn):
        if number < LONGEST * max(WIDEST, len(order.weights)):
            shown.append(one)
        sources[one.source] += 1
        masked |= one.mask is not None
        mask = None if one.mask is None or order.restoring else one.mask[None]
        ((image, file),) = write_images(out, number, one.image[None], mask)
        name = f"{out.parent.name}/{Path(image).stem}"
        rows.append(
            {
                "id": name,
                "image": image,
                "mask": file,
                "product": generator.products[order.product],
                "defects": tuple(
                    sorted(d for d, w in zip(generator.defects, one.weights, strict=True) if w > 0)
                ),
                "split": "",
                "group": name,
                "source": checkpoint.parent.name,
                "mask_source": "none" if order.restoring else one.source,
                "seed": str(wish.seed),
                "label": name_label(one.weights, generator.defects),
                "normal": named(order.start, one.index),
                "reference": named(order.references, one.index),
                "style_of": "drawn" if wish.draw_style else named(order.styles, one.index),
                "where": named(order.areas, one.index),
            }
        )
    Manifest(
        table=pd.DataFrame(rows),
        root=out,
        dataset="drawn",
        defects=generator.defects,
        products=generator.products,
    ).save(out)
    return shown, sources, masked
