"""Stand-ins: drawn images in the official layout of a dataset, with its official quirks.

One module per dataset, found by the dataset's name; `writing` holds what they share, `textures` and `defects` draw.
May use: `datasets` for names and counts, `data`. Adapters do not know their stand-in.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.data.files.scanning import wanted
from defectbench.names import find
from defectbench.standin.order import Order
from defectbench.standin.writing import begin

FOLDER = "folder"
"""The user's own folder has no layout of its own: its stand-in is MVTec AD's, by default of wood alone."""


def write_standin(name: str, out: Path, order: Order) -> Path:
    """Draw the stand-in of a dataset in its official layout.

    Args:
        name: the dataset's name, e.g. `mvtec_ad`. An installed package gives the writer of its own dataset under the
            entry-point group `defectbench.standins`: a module with `write(out, order)`, which draws `order.products` into
            the folder, marked already.
        out: folder to write; it becomes what a user would point the adapter's `scan` at.
        order: size, counts, seed, products.

    Returns:
        `out`.

    Raises:
        UserError: the dataset has no stand-in, an option is out of range, or the folder is in use.
    """
    if name == FOLDER:
        order = replace(order, products=["wood"] if order.products is None else order.products)
        name = "mvtec_ad"
    writer, dataset = _writer(name), find("datasets", name).load()
    chosen = wanted(dataset.products, order.products, dataset.title)
    begin(
        out, dataset.folder, replace(order, products=chosen if len(dataset.products) > 1 else None)
    )
    writer.write(out, replace(order, products=chosen))
    return out


def _writer(name: str) -> Any:
    module = f"defectbench.standin.{name}"
    if importlib.util.find_spec(module):
        return importlib.import_module(module)
    for point in entry_points(group="defectbench.standins"):
        if point.name == name:
            return importlib.import_module(point.value)
    raise UserError(f"{name}: has no stand-in; give the folder of the real images with --data")
