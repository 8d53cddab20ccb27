"""Makes the pictures of docs/ and writes its generated tables again: `make docs`, or `python docs/make.py STEP...`.

A step is a function that writes files and returns their paths; `STEPS` lists them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from defectbench import names
from defectbench.data.files.scanning import GOOD
from defectbench.datasets.base import Dataset
from defectbench.single.checking import ANY, contact_sheet
from defectbench.standin import write_standin
from defectbench.standin.order import Order

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "pictures"

SHEETS: dict[str, tuple[str, tuple[str, ...], int, int, int]] = {
    # picture: dataset, products (none: all), images per defect, tiles per row, side of a tile in pixels
    "standin_mvtec_ad_carpet": ("mvtec_ad", ("carpet",), 6, 6, 112),
    "standin_mvtec_ad_tile": ("mvtec_ad", ("tile",), 6, 5, 96),
    "standin_mvtec_ad_wood": ("mvtec_ad", ("wood",), 6, 6, 112),
    "standin_mtd": ("mtd", (), 6, 6, 112),
    "standin_codebrim": ("codebrim", (), 16, 5, 88),
    "standin_dagm2007": ("dagm2007", (), 6, 5, 88),
    "standin_kolektor_sdd": ("kolektor_sdd", (), 6, 6, 176),
    "standin_kolektor_sdd2": ("kolektor_sdd2", (), 6, 6, 176),
    "standin_sdi": ("sdi", (), 6, 6, 96),
    "standin_neu_det": ("neu_det", (), 4, 6, 96),
    "standin_x_sdd": ("x_sdd", (), 4, 7, 96),
    "standin_mvtec_loco": ("mvtec_loco", (), 6, 5, 112),
    "standin_visa": ("visa", ("capsules",), 8, 5, 96),
}


def stand_in_pictures() -> list[Path]:
    """Render stand-ins and lay them out, masks outlined."""
    PICTURES.mkdir(exist_ok=True)
    written = []
    for picture, (name, products, defective, columns, side) in SHEETS.items():
        dataset: Dataset = names.find("datasets", name).load()()
        with tempfile.TemporaryDirectory() as folder:
            root = write_standin(
                name,
                Path(folder) / dataset.folder,
                Order(
                    size=2 * side,
                    normals=columns,
                    defective=defective,
                    seed=0,
                    products=products or None,
                ),
            )
            manifest = dataset.scan(root)
            if len(manifest.products) > 3:  # a row per product is enough
                manifest = manifest.where(manifest.defective)
            sheet = contact_sheet(manifest, size=side, columns=columns)
        path = PICTURES / f"{picture}.jpg"
        Image.fromarray(sheet).save(path, quality=80, optimize=True)
        written.append(path)
    return written


def dataset_tables() -> list[Path]:
    """Write the adapters' class attributes into datasets.md, between `generated` markers."""
    path = DOCS / "datasets.md"
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    return [path]


def with_tables(text: str) -> str:
    """Replace the text between `<!-- generated: NAME -->` and `<!-- end -->`."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        lines = _overview() if name == "overview" else _facts(names.find("datasets", name).load())
        return "\n".join([f"<!-- generated: {name} -->", *lines, "<!-- end -->"])

    return re.sub(r"<!-- generated: (\w+) -->.*?<!-- end -->", fill, text, flags=re.DOTALL)


def _overview() -> list[str]:
    from defectbench.data.download.fetch import SOURCES

    lines = ["| name | dataset | products | licence | commercial use | `data fetch` |"]
    lines.append("|---|---|---|---|---|---|")
    for name, entry in names.entries("datasets").items():
        dataset: type[Dataset] = entry.load()
        products = str(len(dataset.products)) if dataset.products else "yours"
        short = dataset.licence.name.split(":")[0].split(" (")[0]
        cells = [f"[`{name}`](#{name})", dataset.title, products, short, _use(dataset)]
        lines.append(f"| {' | '.join(cells)} | {'yes' if name in SOURCES else 'no'} |")
    return lines


def _facts(dataset: type[Dataset]) -> list[str]:
    lines = [
        f"- **Cite**: {dataset.citation}",
        f"- **Licence**: {dataset.licence.name}. Commercial use: {_use(dataset)}.",
        f"- **Get it**: {dataset.obtain}",
        f"- **Mask rule**: {dataset.mask_rule}.",
    ]
    if not dataset.counts:
        return lines
    rows: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for kind, number in dataset.counts.items():
        product, split, defect = kind.split("/", 2)
        rows[product, split][defect] = number
    lines += ["", "| product | split | normal | defective |", "|---|---|---:|---|"]
    for (product, split), numbers in rows.items():
        good = numbers.pop(GOOD, "")
        defects = ", ".join(f"{'any' if k == ANY else k} {n}" for k, n in numbers.items())
        lines.append(f"| {product} | {split or '-'} | {good} | {defects} |")
    return lines


def _use(dataset: type[Dataset]) -> str:
    return {True: "allowed", False: "not allowed", None: "unclear"}[dataset.licence.commercial]


def samples_picture() -> list[Path]:
    """Lay out the sample grids of DCDGANc's Table 5 at smoke, three generators beside each other."""
    folder = DOCS.parent / "results" / "dcdgan_c" / "table5.smoke.samples"
    titles = {
        "dcdganc": "DCDGANc",
        "cyclegan": "CycleGAN",
        "dcdganc_adain": "DCDGANc, AdaIN",
        "dcdganc_instancenorm": "DCDGANc, InstanceNorm",
        "stylegan2": "StyleGAN2",
        "stargan": "StarGAN",
    }
    grids = [(title, Image.open(folder / f"{name}.png")) for name, title in titles.items()]
    wide, high = (max(grid.size[i] for _, grid in grids) for i in (0, 1))
    sheet = Image.new("RGB", (3 * (wide + 8), 2 * (high + 24)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, grid) in enumerate(grids):
        x, y = i % 3 * (wide + 8), i // 3 * (high + 24)
        draw.text((x + 2, y + 4), title, fill="black", font_size=14)
        sheet.paste(grid, (x, y + 24))
    path = PICTURES / "table5-samples.png"
    sheet.quantize(256).save(path, optimize=True)
    return [path]


STEPS: list[Callable[[], list[Path]]] = [stand_in_pictures, dataset_tables, samples_picture]


def main() -> None:
    """Run the steps that are named, or all."""
    known = {step.__name__: step for step in STEPS}
    for name in sys.argv[1:] or known:
        if name not in known:
            sys.exit(f"no step {name!r}; known: {', '.join(known)}")
        for path in known[name]():
            print(path.relative_to(DOCS.parent))  # what was written


if __name__ == "__main__":
    main()
