"""Restored normals: defective training images that a generator gave back as normal, the synthetic side of class "normal".

Without them every synthetic image is a defect, and a head that tells synthetic from real tells defect from normal
(docs/tasks.md). Defect-GAN's paper trains with them too (section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from defectbench.batch import Request, to_float
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.learned import Learned
from defectbench.data.streams.synthetic import Asked
from defectbench.rng import numpy_rng

FOLDER = "restored"
"""Where a sample job keeps them, apart from its defects: scores of synthetic images never see them."""


def restorations(
    prepared: Prepared,
    count: int,
    *,
    batch: int,
    seed: int,
    learned: Learned,
    defects: Iterable[str],
) -> Iterator[Asked]:
    """Ask for `count` restored images; each starts from a training image with one of `defects`, drawn by the seed.

    Args:
        prepared: the real images that the restored ones join; only its train split is read.
        count: images.
        batch: images per request.
        seed: seed of the sampling; image i is a function of (seed, i).
        learned: what the generator has learned from; it must know the product.
        defects: the target's names of the defects that the generator can take away.
    """
    rows = np.unique(
        np.concatenate(
            [np.zeros(0, np.int64)]
            + [prepared.rows(split="train", defect=defect) for defect in defects]
        )
    )
    if not len(rows):
        return
    table, products = prepared.table, learned.prepared.products
    for start in range(0, count, batch):
        size = min(batch, count - start)
        rngs = [numpy_rng(seed, "restored", start + i) for i in range(size)]
        chosen = np.array([rows[rng.integers(len(rows))] for rng in rngs], dtype=np.int64)
        pictures = np.asarray(prepared.images[chosen])
        known = [str(table["product"].iloc[row]) for row in chosen]
        request = Request(
            defects=torch.zeros(size, len(learned.prepared.defects)),
            product=torch.tensor(
                [
                    products.index(learned.product or name)
                    if (learned.product or name) in products
                    else 0
                    for name in known
                ]
            ),
            normal=to_float(torch.from_numpy(pictures).permute(0, 3, 1, 2)).contiguous(),
        )
        provenance: list[dict[str, Any]] = [
            {
                "defects": (),
                "label": "normal",
                "seed": str(seed),
                "normal": str(table["id"].iloc[row]),
                "reference": "",
                "mask_of": "",
            }
            for row in chosen
        ]
        yield Asked(index=start, request=request, normals=pictures, provenance=provenance)


def open_restored(folder: Path) -> Prepared | None:
    """Give the restored normals of a sample job; None if it was asked for none."""
    cache = folder / FOLDER / "cache"
    return Prepared.open(cache) if cache.is_dir() else None
