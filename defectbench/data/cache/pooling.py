"""Several decoded caches put together, so that one generator can learn from several products."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.config import UserError
from defectbench.data.cache.prepare import begin_cache, finish_cache
from defectbench.data.cache.prepared import NUMBERS, REVISION, Prepared, is_whole


def pool(members: Mapping[str, Prepared], folder: Path) -> Prepared:
    """Put caches together: images, masks, splits and groups stay as they are, so nothing can leak.

    Args:
        members: caches of one size, by the names that their products get in the pool; ids and groups get them in front.
        folder: the new cache.

    Returns:
        the cache; its defects are the members' in order of appearance, its products the members' names.

    Raises:
        UserError: the members differ in size.
    """
    sizes = {cache.size for cache in members.values()}
    if len(sizes) != 1:
        raise UserError(f"{folder}: pools images of sizes {sorted(sizes)}; prepare them alike")
    (size,) = sizes
    told = {
        name: hashlib.sha256((cache.folder / "prepared.json").read_bytes()).hexdigest()
        for name, cache in members.items()
    }
    plan = hashlib.sha256(json.dumps([REVISION, told]).encode()).hexdigest()
    if is_whole(folder, plan):
        return Prepared.open(folder)
    tables = []
    for name, cache in members.items():
        table = cache.table.copy()
        for column in ("id", "origin", "group"):
            table[column] = name + "/" + table[column]
        tables.append(table.assign(product=name))
    table = pd.concat(tables, ignore_index=True)
    if "mask_empty" in table.columns:  # only some datasets have the column
        table["mask_empty"] = table["mask_empty"].eq(True)
    words = [column for column in table.columns if column not in {*NUMBERS, "mask_empty"}]
    table[words] = table[words].fillna("")
    partial = folder.with_name(f"{folder.name}.partial")
    begin_cache(partial, plan, len(table), size)
    images = np.load(partial / "images.npy", mmap_mode="r+")
    masks = np.load(partial / "masks.npy", mmap_mode="r+")
    first = 0
    for cache in members.values():
        here = slice(first, first + len(cache))
        images[here], masks[here] = cache.images, cache.masks
        first += len(cache)
    images.flush()
    masks.flush()
    header = {
        "plan": plan,
        "images": len(table),
        "size": size,
        "dataset": "+".join(dict.fromkeys(cache.dataset for cache in members.values())),
        "defects": list(dict.fromkeys(d for cache in members.values() for d in cache.defects)),
        "products": list(members),
        "stand_in": any(cache.stand_in for cache in members.values()),
    }
    finish_cache(partial, folder, table, header)
    return Prepared.open(folder)
