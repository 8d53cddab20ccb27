"""Draws the pictures of docs/gallery.md: `python docs/gallery.py RUN...`, each RUN an `--out` folder of `defectbench fit`.

Per defect a row of plain images and, where there are masks, a row of the same images with their masks outlined; for
contents on a constant background a row of them first. Normal images are the test images of the run's own stand-in.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from defectbench.data.cache.prepared import Prepared
from defectbench.imaging.grid import grid
from defectbench.imaging.masks import outline
from defectbench.single.generate import Wish, draw
from defectbench.stages.checkpoints import load_generator, read_checkpoint

PICTURES = Path(__file__).resolve().parent / "pictures" / "gallery"
COLUMNS = 8
SCALE = 2
RED = (255, 40, 40)
Picture = npt.NDArray[np.uint8]


def picture(run: Path) -> Path:
    """Draw from `RUN/generator.ckpt`, write `pictures/gallery/RUN.jpg`, and give its path."""
    checkpoint = run / "generator.ckpt"
    content, generator = read_checkpoint(checkpoint), load_generator(checkpoint)
    contents = content["view"]["name"] == "contents"
    wants_normals = contents or "normal" in generator.reads
    labels = content.get("trained", generator.defects)
    columns = COLUMNS
    tiles: list[Picture] = []
    names: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        normals = save_normals(run, Path(folder) / "normals") if wants_normals else None
        rounds = [(label, seed) for label in labels for seed in range(3 if len(labels) == 1 else 1)]
        for label, seed in rounds:
            wish = Wish(labels=(label,), count=columns, normal=normals, seed=seed)
            if contents:
                bare = Wish(labels=(label,), count=columns, composite="none", seed=seed)
                tiles += drawn(checkpoint, bare, Path(folder) / f"{label}-{seed}-contents")[0]
                names.append(f"{label}, contents")
            plain, outlined = drawn(checkpoint, wish, Path(folder) / f"{label}-{seed}")
            tiles += plain
            names.append(label)
            if outlined:
                tiles += outlined
                names.append("mask")
    sheet = grid(tiles, columns=columns, row_labels=names)
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{run.name}.jpg"
    Image.fromarray(sheet).save(path, quality=85, optimize=True)
    return path


def save_normals(run: Path, folder: Path) -> Path:
    """Write normal test images of the run's data, at the generator's size."""
    (cache,) = run.glob("jobs/*/cache")
    prepared = Prepared.open(cache)
    folder.mkdir()
    rows = prepared.rows(split="test", defective=False)
    for number, row in enumerate(rows[:: max(len(rows) // COLUMNS, 1)][:COLUMNS]):
        Image.fromarray(np.asarray(prepared.images[row])).save(folder / f"{number:03d}.png")
    return folder


def drawn(checkpoint: Path, wish: Wish, folder: Path) -> tuple[list[Picture], list[Picture]]:
    """Draw images, enlarged; and the same with valid masks outlined, if there is any mask."""
    draw(checkpoint, wish, folder)
    plain, outlined, masked = [], [], False
    for row in pd.read_csv(folder / "manifest.csv", keep_default_na=False).itertuples():
        image = enlarge(np.asarray(Image.open(folder / str(row.image))))
        plain.append(image)
        if row.mask:
            masked = True
            image = outline(
                image, enlarge(np.asarray(Image.open(folder / str(row.mask))) > 127), RED
            )
        outlined.append(image)
    return plain, outlined if masked else []


def enlarge(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Repeat each pixel `SCALE` times both ways."""
    return pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


if __name__ == "__main__":
    for given in sys.argv[1:] or sys.exit(__doc__):
        print(picture(Path(given)).relative_to(PICTURES.parents[2]))
