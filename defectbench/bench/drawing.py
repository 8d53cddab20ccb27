"""Draw from one fitted generator outside any table: what a user wishes, checked against what the generator can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from defectbench.config import UserError, nearest

Picture = npt.NDArray[np.uint8]
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        labels: defects to draw, all of them in each image.
        interpolate: `FROM:TO` instead of labels.
        count: images, or steps of the interpolation.
        normal: normal image or folder of them.
        mask: mask image.
        box: `x0,y0,x1,y1` in pixels of the generator's images.
        reference: defect image.
        composite: how contents are blended into the normals; "none" leaves them on their background.
        seed: seed of every draw.
    """

    labels: tuple[str, ...] = ()
    interpolate: str = ""
    count: int = 8
    normal: Path | None = None
    mask: Path | None = None
    box: str = ""
    reference: Path | None = None
    composite: str = "improved_poisson"
    seed: int = 0


def draw(checkpoint: Path, wish: Wish, out: Path) -> dict[str, Any]:
    """Draw images, write them with masks, `manifest.csv` and `samples.png`.

    Returns:
        counts and paths, for printing.

    Raises:
        UserError: the generator cannot do what is wished, or an input file is not as expected.
    """
    import torch

    from defectbench.batch import Batch, Request, to_float
    from defectbench.bench.loading import load_generator, read_checkpoint
    from defectbench.bench.sampling import compositing, finish_sample, synthesise
    from defectbench.data.module import View
    from defectbench.data.synthetic import write_images
    from defectbench.imaging.grid import grid
    from defectbench.rng import torch_rng

    content = read_checkpoint(checkpoint)
    generator = load_generator(checkpoint)
    name, view = content["generator"], View(**content.get("view", {}))
    able = generator.reads | generator.takes
    size = generator.size
    weights = _weights(name, generator, wish)
    normals = _normals(wish, size)
    composite = compositing(generator, view, wish.composite) if normals is not None else "none"
    if normals is None and "normal" in generator.reads:
        raise UserError(
            f"{name} starts from a normal image: give --normal IMAGE or a folder of them"
        )
    if normals is not None and "normal" not in able and view.name != "contents":
        raise UserError(f"{name} does not start from a normal image: leave --normal out")
    count = len(weights)
    chosen = (
        np.stack([normals[i % len(normals)] for i in range(count)]) if normals is not None else None
    )
    request = Request(
        defects=torch.from_numpy(weights), product=torch.zeros(count, dtype=torch.int64)
    )
    if chosen is not None and "normal" in able:
        request["normal"] = to_float(torch.from_numpy(chosen).permute(0, 3, 1, 2)).contiguous()
    area = _area(name, able, wish, size, optional="mask" not in generator.reads)
    if area is not None:
        request["mask"] = (
            torch.from_numpy(area)[None, None].float().expand(count, 1, size, size).contiguous()
        )
    if wish.reference is not None:
        if "reference" not in able:
            raise UserError(f"{name} takes no reference image: leave --reference out")
        image = to_float(torch.from_numpy(_picture(wish.reference, size)).permute(2, 0, 1))[None]
        request["reference"] = Batch(
            image=image.expand(count, 3, size, size).contiguous(),
            mask=torch.ones(count, 1, size, size),
            defects=request["defects"],
            product=request["product"],
            synthetic=torch.zeros(count, dtype=torch.bool),
        )
    elif "reference" in generator.reads:
        raise UserError(
            f"{name} needs a defect image to take the look from: give --reference IMAGE"
        )
    made = finish_sample(
        synthesise(generator, request, torch_rng(wish.seed, "draw")),
        chosen if chosen is not None else np.zeros((count, size, size, 3), np.uint8),
        view,
        composite,
        generator.mask_source,
    )
    out.mkdir(parents=True, exist_ok=True)
    paths = write_images(out, 0, made.images, made.masks)
    _write_manifest(out, paths, made, weights, generator, checkpoint, wish)
    Image.fromarray(grid(list(made.images), columns=min(count, 8))).save(out / "samples.png")
    return {
        "images": count,
        "with_mask": sum(made.valid),
        "manifest": str(out / "manifest.csv"),
        "grid": str(out / "samples.png"),
    }


def _weights(name: str, generator: Any, wish: Wish) -> npt.NDArray[np.float32]:
    """Turn labels or an interpolation into (count, K) class weights."""
    known: Sequence[str] = generator.defects
    if wish.interpolate:
        if "interpolation" not in generator.takes:
            raise UserError(f"{name} cannot interpolate between labels: leave --interpolate out")
        first, sign, second = wish.interpolate.partition(":")
        for label in (first, second):
            if not sign or label not in known:
                raise UserError(
                    f"--interpolate {wish.interpolate}: expected FROM:TO; {nearest(label, known)}"
                )
        share = np.linspace(0, 1, wish.count, dtype=np.float32)
        weights = np.zeros((wish.count, len(known)), np.float32)
        weights[:, known.index(first)] += 1 - share
        weights[:, known.index(second)] += share
        return weights
    if not wish.labels:
        raise UserError(f"give --label; {name} was trained on: {', '.join(known)}")
    row = np.zeros(len(known), np.float32)
    for label in wish.labels:
        if label not in known:
            raise UserError(
                f"--label {label}: {name} was not trained on it; {nearest(label, known)}"
            )
        row[known.index(label)] = 1
    return np.tile(row, (wish.count, 1))


def _area(
    name: str, able: frozenset[str], wish: Wish, size: int, *, optional: bool
) -> npt.NDArray[np.bool_] | None:
    """Read the wished place of the defect, (H, W)."""
    if wish.mask is None and not wish.box:
        if "mask" in able and not optional:
            raise UserError(f"{name} draws the defect inside a mask: give --mask or --box")
        return None
    if "mask" not in able:
        raise UserError(f"{name} cannot place a defect: leave --mask and --box out")
    if wish.mask is not None:
        with Image.open(wish.mask) as file:
            mask = np.asarray(file.convert("L")) >= 128
        if mask.shape != (size, size):
            raise UserError(
                f"{wish.mask}: {mask.shape[1]}x{mask.shape[0]} pixels; {name} draws {size}x{size}: resize the mask"
            )
    else:
        try:
            x0, y0, x1, y1 = (int(part) for part in wish.box.split(","))
        except ValueError:
            raise UserError(f"--box {wish.box}: expected four whole numbers X0,Y0,X1,Y1") from None
        if not (0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size):
            raise UserError(
                f"--box {wish.box}: must be within 0,0,{size},{size} with X0 < X1 and Y0 < Y1"
            )
        mask = np.zeros((size, size), dtype=bool)
        mask[y0:y1, x0:x1] = True
    if not mask.any():
        raise UserError(f"{wish.mask}: the mask is empty; paint where the defect shall be (>= 128)")
    return np.asarray(mask, dtype=bool)


def _normals(wish: Wish, size: int) -> list[Picture] | None:
    if wish.normal is None:
        return None
    paths = [wish.normal]
    if wish.normal.is_dir():
        paths = sorted(p for p in wish.normal.iterdir() if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise UserError(f"{wish.normal}: holds no image ({', '.join(sorted(SUFFIXES))})")
    return [_picture(path, size) for path in paths[: max(wish.count, 1)]]


def _picture(path: Path, size: int) -> Picture:
    """Read an image as RGB at the generator's size."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    except OSError as error:
        raise UserError(f"{path}: cannot be read as an image ({error})") from None


def _write_manifest(
    out: Path,
    paths: list[tuple[str, str]],
    made: Any,
    weights: npt.NDArray[np.float32],
    generator: Any,
    checkpoint: Path,
    wish: Wish,
) -> None:
    import pandas as pd

    from defectbench.data.manifest import Manifest

    rows = [
        {
            "id": f"{out.name}/{Path(image).stem}",
            "image": image,
            "mask": mask if ok else "",
            "product": generator.products[0],
            "defects": tuple(
                sorted(d for d, w in zip(generator.defects, row, strict=True) if w > 0)
            ),
            "split": "",
            "group": f"{out.name}/{Path(image).stem}",
            "source": checkpoint.parent.name,
            "mask_source": source,
            "seed": str(wish.seed),
            "label": "+".join(
                f"{d}:{w:.2f}" for d, w in zip(generator.defects, row, strict=True) if w > 0
            ),
            "normal": str(wish.normal or ""),
            "reference": str(wish.reference or ""),
        }
        for (image, mask), ok, source, row in zip(
            paths, made.valid, made.sources, weights, strict=True
        )
    ]
    Manifest(
        table=pd.DataFrame(rows),
        root=out,
        dataset="drawn",
        defects=generator.defects,
        products=generator.products,
    ).save(out)
