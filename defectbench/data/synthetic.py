"""Synthetic images: what is asked of a generator, and the manifest of what it made.

Only training images are read: normals to start from, references, masks. Each image's request is a function of (seed,
index), so a set can be made in any number of pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from defectbench.batch import Batch, Request, to_float
from defectbench.config import UserError, nearest
from defectbench.data.manifest import Manifest
from defectbench.data.module import ImageSet, View
from defectbench.data.prepare import Prepared
from defectbench.rng import numpy_rng


@dataclass(frozen=True)
class Asked:
    """One batch of requests.

    Attributes:
        index: number of the first image.
        request: for the generator.
        normals: (B, H, W, 3) uint8: the normal of each request, for compositing; all zero if there are none.
        provenance: one dictionary per image: label, seed, normal, reference.
    """

    index: int
    request: Request
    normals: npt.NDArray[np.uint8]
    provenance: list[dict[str, Any]]


def requests(
    prepared: Prepared,
    counts: Mapping[str, int],
    *,
    reads: frozenset[str],
    view: View,
    batch: int,
    seed: int,
    needs_normals: bool = False,
) -> Iterator[Asked]:
    """Ask for `counts[defect]` images of each defect, defect by defect.

    Args:
        prepared: the real images; only its train split is read.
        counts: images per defect name.
        reads: what the generator's requests must hold.
        view: what the generator sees of reference images.
        batch: images per request; a batch holds one defect.
        seed: seed of the sampling.
        needs_normals: whether normals are needed besides what `reads` says (compositing).

    Raises:
        UserError: a defect is unknown, or there are no training normals or references for it.
    """
    normals = prepared.rows(split="train", defective=False)
    if not len(normals) and (needs_normals or "normal" in reads):
        raise UserError(
            f"{prepared.dataset}: sampling needs normal training images, and there are none"
        )
    number = 0
    for defect, count in counts.items():
        if defect not in prepared.defects:
            raise UserError(f"no defect {defect!r}; {nearest(defect, prepared.defects)}")
        references = prepared.rows(split="train", defect=defect)
        if not len(references) and reads & {"mask", "reference"}:
            raise UserError(
                f"{prepared.dataset}: no training image of {defect!r} to take as reference"
            )
        for start in range(0, count, batch):
            size = min(batch, count - start)
            yield _ask(
                prepared,
                defect,
                normals,
                references,
                number,
                size,
                reads=reads,
                view=view,
                seed=seed,
            )
            number += size


def _ask(
    prepared: Prepared,
    defect: str,
    normals: npt.NDArray[np.int64],
    references: npt.NDArray[np.int64],
    index: int,
    size: int,
    *,
    reads: frozenset[str],
    view: View,
    seed: int,
) -> Asked:
    side = prepared.images.shape[1]
    rngs = [numpy_rng(seed, "request", index + i) for i in range(size)]
    rows = [int(normals[rng.integers(len(normals))]) if len(normals) else -1 for rng in rngs]
    refs = [
        int(references[rng.integers(len(references))]) if len(references) else -1 for rng in rngs
    ]
    shapes = [
        int(references[rng.integers(len(references))]) if len(references) else -1 for rng in rngs
    ]
    pictures = np.zeros((size, side, side, 3), dtype=np.uint8)
    if len(normals):
        pictures[:] = prepared.images[rows]
    label = np.zeros((size, len(prepared.defects)), dtype=np.float32)
    label[:, prepared.defects.index(defect)] = 1
    table = prepared.table
    product = table["product"].iloc[rows[0] if len(normals) else refs[0]]
    request = Request(
        defects=torch.from_numpy(label),
        product=torch.full((size,), prepared.products.index(product), dtype=torch.int64),
    )
    if "normal" in reads:
        request["normal"] = to_float(torch.from_numpy(pictures).permute(0, 3, 1, 2)).contiguous()
    if "mask" in reads:
        masks = np.stack(
            [_turn(prepared.masks[s], rng) for s, rng in zip(shapes, rngs, strict=True)]
        )
        request["mask"] = torch.from_numpy(masks).unsqueeze(1).float()
    if "reference" in reads:
        chosen = ImageSet.of(prepared, np.array(refs, dtype=np.int64))
        request["reference"] = view.apply(chosen.all())
    provenance = [
        {
            "label": defect,
            "seed": str(seed),
            "normal": str(table["id"].iloc[rows[i]]) if len(normals) else "",
            "reference": str(table["id"].iloc[refs[i]]) if "reference" in reads else "",
            "mask_of": str(table["id"].iloc[shapes[i]]) if "mask" in reads else "",
        }
        for i in range(size)
    ]
    return Asked(index=index, request=request, normals=pictures, provenance=provenance)


def _turn(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn a real mask by a random symmetry of the square: a new place and pose for the defect."""
    turned = np.rot90(np.asarray(mask), int(rng.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if rng.integers(2) else turned)


def write_images(
    folder: Path,
    index: int,
    images: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.bool_] | None,
) -> list[tuple[str, str]]:
    """Write synthetic images and masks as PNG.

    Args:
        folder: gets `images/NNNNNN.png` and `masks/NNNNNN.png`.
        index: number of the first image.
        images: (B, H, W, 3) uint8.
        masks: (B, H, W) bool, or None.

    Returns:
        paths of image and mask relative to `folder`, mask "" where there is none.
    """
    paths = []
    for i, image in enumerate(images):
        name = f"{index + i:06d}.png"
        for sub in ("images", "masks"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "images" / name)
        mask = ""
        if masks is not None:
            Image.fromarray(masks[i].astype(np.uint8) * 255).save(folder / "masks" / name)
            mask = f"masks/{name}"
        paths.append((f"images/{name}", mask))
    return paths


def synthetic_manifest(
    folder: Path, rows: list[dict[str, Any]], prepared: Prepared, job: str
) -> Manifest:
    """Make the manifest of synthetic images, with where each came from.

    Args:
        folder: where the images lie.
        rows: image, mask, mask_source and provenance of each.
        prepared: the real images they stand beside; gives names.
        job: id of the job that made them.
    """
    table = pd.DataFrame(rows)
    table["id"] = [f"{job}/{Path(image).stem}" for image in table["image"]]
    table["product"] = prepared.products[0]
    table["defects"] = [(label,) for label in table["label"]]
    table["split"], table["source"] = "train", job
    table["group"] = table["id"]
    return Manifest(
        table=table,
        root=folder,
        dataset=prepared.dataset,
        defects=prepared.defects,
        products=prepared.products,
        mask_threshold=128,
        stand_in=prepared.stand_in,
    )


def as_uint8_images(batch: Batch) -> npt.NDArray[np.uint8]:
    """Give a batch's images as (B, H, W, 3) uint8 arrays."""
    from defectbench.batch import to_uint8

    return to_uint8(batch["image"]).permute(0, 2, 3, 1).cpu().numpy()
