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

from defectbench.batch import Request, to_float
from defectbench.data.cache.prepare import Prepared
from defectbench.data.manifest import Manifest
from defectbench.data.streams.learned import Learned, check_requests
from defectbench.data.streams.module import ImageSet, View
from defectbench.rng import numpy_rng


@dataclass(frozen=True)
class Asked:
    """One batch of requests.

    Attributes:
        index: number of the first image.
        request: for the generator.
        normals: (B, H, W, 3) uint8: the normal of each request, for compositing; all zero if there are none.
        provenance: one dictionary per image: defects, label, seed, and the ids of the normal that it is made from, of the
            reference and of the mask's image, "" where there is none.
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
    learned: Learned | None = None,
    joint: bool = False,
) -> Iterator[Asked]:
    """Ask for `counts[defect]` images of each defect, defect by defect.

    Args:
        prepared: the real images that the synthetic ones join; normals come from its train split.
        counts: images per defect name.
        reads: what the generator's requests must hold.
        view: what the generator sees of reference images.
        batch: images per request; a batch holds one defect.
        seed: seed of the sampling.
        needs_normals: whether normals are needed besides what `reads` says (compositing).
        learned: what the generator has learned from; `prepared` itself by default.
        joint: ask for all defects that some training image with this defect has, not for this one alone.

    Raises:
        UserError: as `check_requests`.
    """
    learned = learned or Learned(
        prepared, product=prepared.products[0] if len(prepared.products) == 1 else None
    )
    check_requests(prepared, counts, reads=reads, needs_normals=needs_normals, learned=learned)
    normals = prepared.rows(split="train", defective=False)
    number = 0
    for defect, count in counts.items():
        references = learned.references(learned.labels.get(defect, defect))
        for start in range(0, count, batch):
            size = min(batch, count - start)
            draws = _Draws.make(seed, number, size, normals, references)
            yield _ask(
                prepared,
                learned,
                draws,
                defect,
                number,
                reads=reads,
                view=view,
                joint=joint,
                on_normals=needs_normals or "normal" in reads,
            )
            number += size


@dataclass(frozen=True)
class _Draws:
    """What is drawn for each image of a batch; -1 where there is nothing to draw from.

    Attributes:
        rngs: the generator of each, for what is drawn later.
        normals: rows of the target.
        references: rows of the source.
        shapes: rows of the source whose masks are taken.
    """

    rngs: list[np.random.Generator]
    normals: list[int]
    references: list[int]
    shapes: list[int]
    seed: int

    @classmethod
    def make(
        cls,
        seed: int,
        index: int,
        size: int,
        normals: npt.NDArray[np.int64],
        references: npt.NDArray[np.int64],
    ) -> _Draws:
        rngs = [numpy_rng(seed, "request", index + i) for i in range(size)]
        chosen, guides, shapes = (
            [int(rows[rng.integers(len(rows))]) if len(rows) else -1 for rng in rngs]
            for rows in (normals, references, references)
        )
        return cls(rngs, chosen, guides, shapes, seed)


def _ask(
    prepared: Prepared,
    learned: Learned,
    draws: _Draws,
    defect: str,
    index: int,
    *,
    reads: frozenset[str],
    view: View,
    joint: bool,
    on_normals: bool,
) -> Asked:
    source, size, side = learned.prepared, len(draws.rngs), prepared.images.shape[1]
    asked = learned.labels.get(defect, defect)
    pictures = np.zeros((size, side, side, 3), dtype=np.uint8)
    has_normals = min(draws.normals) >= 0
    if has_normals:
        pictures[:] = prepared.images[draws.normals]
    label = np.zeros((size, len(source.defects)), dtype=np.float32)
    label[:, source.defects.index(asked)] = 1
    if joint:
        label = source.multi_hot(np.array(draws.references, dtype=np.int64))
    request = Request(
        defects=torch.from_numpy(label),
        product=torch.tensor(_products(prepared, learned, draws), dtype=torch.int64),
    )
    if "normal" in reads:
        request["normal"] = to_float(torch.from_numpy(pictures).permute(0, 3, 1, 2)).contiguous()
    if "mask" in reads:
        masks = np.stack(
            [
                _turn(source.masks[row], rng)
                for row, rng in zip(draws.shapes, draws.rngs, strict=True)
            ]
        )
        request["mask"] = torch.from_numpy(masks).unsqueeze(1).float()
    if "reference" in reads:
        request["reference"] = view.apply(
            ImageSet.of(source, np.array(draws.references, dtype=np.int64)).all()
        )
    back = {learned.labels.get(name, name): name for name in prepared.defects}
    ids, theirs = prepared.table["id"], source.table["id"]
    provenance = [
        {
            "defects": tuple(
                back.get(name, name)
                for name, there in zip(source.defects, label[i], strict=True)
                if there
            )
            if joint
            else (defect,),
            "label": defect,
            "seed": str(draws.seed),
            "normal": str(ids.iloc[draws.normals[i]]) if on_normals else "",
            "reference": str(theirs.iloc[draws.references[i]]) if "reference" in reads else "",
            "mask_of": str(theirs.iloc[draws.shapes[i]]) if "mask" in reads else "",
        }
        for i in range(size)
    ]
    return Asked(index=index, request=request, normals=pictures, provenance=provenance)


def _products(prepared: Prepared, learned: Learned, draws: _Draws) -> list[int]:
    """Give the product of each request, as an index into what the generator knows."""
    source = learned.prepared
    if learned.product in source.products:
        return [source.products.index(learned.product)] * len(draws.rngs)
    if source is prepared and min(draws.normals) >= 0:  # a pool draws beside its own normals
        rows = draws.normals
    elif min(draws.references) >= 0:
        rows = draws.references
    else:
        return [0] * len(draws.rngs)
    table = source.table["product"]
    return [source.products.index(str(table.iloc[row])) for row in rows]


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
