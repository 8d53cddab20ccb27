"""X-SDD drawn: seven folders with blanks in their names, PNG and JPEG mixed in one of them, copies in another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np

from defectbench.datasets.x_sdd import COUNTS, PRODUCT, XSDD
from defectbench.standin import writing
from defectbench.standin.order import LEAST, Order

FIRST: Final = dict(zip(COUNTS, (6001, 3001, 5001, 7001, 2001, 1001, 4001), strict=True))
"""Number of the first image of each folder."""
MIXED: Final = "finishing roll printing"
PNG: Final = (10, 7)
"""Of ten images in the mixed folder so many are PNG."""
COPIED: Final = "red iron"
ODD: Final = 6 / 128
"""By how much one image is narrower than the others, as a share of the side; published are 122 and 130 of 128 pixels."""


def write(out: Path, order: Order) -> None:
    """Write the stand-in.

    `size`: image side, pixels, one image is narrower.
    `defective`: images of each defect.
    `normals`: none, the dataset has no normal images.
    """
    size, defective, seed = order.size, order.defective, order.seed
    inside = out / "X-SDD" / "datas"
    for name, first in FIRST.items():
        for i in range(defective):
            rng = writing.stream(seed, XSDD.folder, name, i)
            odd = name == "slag inclusion" and i == 1
            width = max(LEAST, round(size * (1 - ODD))) if odd else size
            image, _ = writing.defective(PRODUCT, name, (size, width), rng)
            png = name == MIXED and i % PNG[0] < PNG[1]
            path = inside / name / f"{first + i}.{'png' if png else 'jpg'}"
            writing.save(path, np.stack([writing.grey(image)] * 3, axis=-1))
        if name == COPIED and defective > 2:
            shutil.copyfile(
                inside / name / f"{first}.jpg", inside / name / f"{first + defective - 1}.jpg"
            )
    (out / "X-SDD" / "readme.txt").write_text(
        "Drawn by defectbench in the layout of X-SDD; not its images.\n"
    )
