"""Some rows of several decoded caches put into one, e.g. an equal share of several generators' images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config import UserError
from defectbench.data.cache.prepare import begin_cache, finish_cache
from defectbench.data.cache.prepared import NUMBERS, REVISION, Prepared, Rows, is_whole


def gather(parts: Sequence[tuple[Prepared, Rows]], folder: Path) -> Prepared:
    """Put rows of caches together, in the order given; names, ids and all columns stay as they are.

    Args:
        parts: caches of one size, with the same defects and products, and the rows to take of each.
        folder: the new cache.

    Returns:
        the cache.

    Raises:
        UserError: the caches differ in size or names, or no row is taken.
    """
    first = parts[0][0]
    for cache, _ in parts:
        told = [(c.size, c.defects, c.products) for c in (first, cache)]
        if told[0] != told[1]:
            raise UserError(
                f"{folder}: gathers from caches with different sizes or names: {told[0]} and {told[1]}; "
                "prepare them alike"
            )
    total = sum(len(rows) for _, rows in parts)
    if not total:
        raise UserError(f"{folder}: gathers no image")
    asked = [
        [
            hashlib.sha256((cache.folder / "prepared.json").read_bytes()).hexdigest(),
            [int(row) for row in rows],
        ]
        for cache, rows in parts
    ]
    plan = hashlib.sha256(json.dumps([REVISION, asked]).encode()).hexdigest()
    if is_whole(folder, plan):
        return Prepared.open(folder)
    table = pd.concat([cache.table.iloc[rows] for cache, rows in parts], ignore_index=True)
    if "mask_empty" in table.columns:  # only some datasets have the column
        table["mask_empty"] = table["mask_empty"].eq(True)
    words = [column for column in table.columns if column not in {*NUMBERS, "mask_empty"}]
    table[words] = table[words].fillna("")
    partial = folder.with_name(f"{folder.name}.partial")
    begin_cache(partial, plan, total, first.size)
    images = np.load(partial / "images.npy", mmap_mode="r+")
    masks = np.load(partial / "masks.npy", mmap_mode="r+")
    start = 0
    for cache, rows in parts:
        here = slice(start, start + len(rows))
        images[here], masks[here] = cache.images[rows], cache.masks[rows]
        start += len(rows)
    images.flush()
    masks.flush()
    header = {
        "plan": plan,
        "images": total,
        "size": first.size,
        "dataset": first.dataset,
        "defects": list(first.defects),
        "products": list(first.products),
        "stand_in": any(cache.stand_in for cache, _ in parts),
    }
    finish_cache(partial, folder, table, header)
    return Prepared.open(folder)
