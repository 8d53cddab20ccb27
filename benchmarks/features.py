"""Do scores see what is wrong with images? Five known degradations of real images, through pretrained and random features.

    python -m benchmarks.features --data DIR

`DIR` holds the real sets that are there of `mtd` (crops around defects) and `x_sdd`. Real images of one kind are divided, image
by image, into a reference and images that stand for a generator's; the latter are made worse in three steps, in five ways. A score is right about
a step if it calls the images worse than a step before. Writes `results/features/degradations.csv`: figures, no image.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage

from defectbench import names
from defectbench.data.files.decoding import decode_image
from defectbench.features.extractors import FeatureExtractor, build
from defectbench.features.feature_store import FeatureStore
from defectbench.features.images import ArrayImages, Pixels
from defectbench.metrics.base import Floats
from defectbench.metrics.parts import catalogue
from defectbench.rng import numpy_rng

SIDE = 96  # pixels
POOL = 60  # images from which each draw takes N; two disjoint pools, and one of the wrong class
N = 50
TILES = (
    ("Blowhole", "Break"),
    "Uneven",
)  # kinds of the magnetic tiles that are right, and the wrong one
KINDS = 1  # classes of x_sdd that are looked at, the first by name; each image costs a quarter of a second of a core
DRAWS = 10
EXTRACTORS = ("lite0_imagenet", "vgg16_random_s0")
OUT = Path(__file__).parents[1] / "results" / "features" / "degradations.csv"

BLUR = (1.0, 2.0, 4.0)  # sigma, pixels
NOISE = (8.0, 16.0, 32.0)  # standard deviation, grey levels
WRONG = (0.25, 0.5, 1.0)  # share of images of another class
MODES = (20, 8, 3)  # different images among the N
COPIED = (0.25, 0.5, 1.0)  # share of images that are reference images, shifted by 3 pixels

SCORES: Mapping[str, tuple[str, ...]] = {
    "blur": ("fd", "kd", "precision"),
    "noise": ("fd", "kd", "precision"),
    "wrong class": ("fd", "kd", "precision"),
    "fewer modes": ("fd", "recall", "coverage"),
    "copies": ("nn_ratio", "authenticity"),
}
METRICS: Mapping[str, str] = {
    "precision": "precision_recall_k3",
    "recall": "precision_recall_k3",
    "coverage": "density_coverage_k5",
    "nn_ratio": "memorisation",
    "authenticity": "memorisation",
}
KNOWN = catalogue.metrics()
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """Real images of one kind, and of another that stands for the wrong class: (POOL, SIDE, SIDE, 3) uint8 each."""

    dataset: str
    right: str
    wrong: str
    reference: Pixels
    fresh: Pixels
    others: Pixels


def decoded(path: Path) -> Pixels:
    """An image as (SIDE, SIDE, 3) uint8, stretched to a square."""
    image = Image.fromarray(decode_image(path)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def around_defect(path: Path, mask: Path) -> Pixels:
    """The SIDE x SIDE pixels around the largest region of the mask, moved inside the image; all of an image that is smaller."""
    image = decode_image(path)
    regions, _ = ndimage.label(np.asarray(Image.open(mask).convert("L")) > 0)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    window = []
    for centre, length in zip(
        ndimage.center_of_mass(regions == largest), image.shape[:2], strict=True
    ):
        first = int(np.clip(centre - SIDE / 2, 0, max(length - SIDE, 0)))
        window.append(slice(first, first + SIDE))
    cut = Image.fromarray(image[tuple(window)]).convert("RGB")
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.uint8)


def halves(images: list[Pixels], seed: str) -> tuple[list[Pixels], list[Pixels]]:
    """Two lists of POOL images."""
    if len(images) < 2 * POOL:
        raise SystemExit(f"{seed}: {len(images)} images; want two halves of {POOL}")
    order = numpy_rng(0, "halves", seed).permutation(len(images))
    return [images[at] for at in order[:POOL]], [images[at] for at in order[POOL : 2 * POOL]]


def tiles(root: Path) -> Iterator[tuple[str, str, list[Pixels], list[Pixels]]]:
    """Crops around the defects of the magnetic tiles: two kinds, and another as the wrong class."""
    dataset: Any = names.find("datasets", "mtd").load()()
    table = dataset.scan(root).table
    usable = [
        len(d) == 1 and not empty
        for d, empty in zip(table["defects"], table["mask_empty"], strict=True)
    ]
    table = table[usable]
    kinds = [defects[0] for defects in table["defects"]]
    right, wrong = TILES
    yield (
        "+".join(right),
        wrong,
        *(
            [
                around_defect(root / image, root / mask)
                for image, mask, kind in zip(table["image"], table["mask"], kinds, strict=True)
                if kind in some
            ]
            for some in (right, (wrong,))
        ),
    )


def steel(root: Path) -> Iterator[tuple[str, str, list[Pixels], list[Pixels]]]:
    """Images of a class of X-SDD, and of the next class as the wrong one."""
    folders = [path for path in sorted(root.rglob("*")) if path.is_dir()]
    files = {folder: [p for p in sorted(folder.iterdir()) if p.is_file()] for folder in folders}
    large = [folder for folder, images in files.items() if len(images) >= 2 * POOL]
    for right, wrong in itertools.pairwise(large[: KINDS + 1]):
        yield right.name, wrong.name, [*map(decoded, files[right])], [*map(decoded, files[wrong])]


def settings(data: Path) -> list[Setting]:
    """The kinds of images that are there."""
    made = []
    for name, read in (("mtd", tiles), ("x_sdd", steel)):
        if (data / name).is_dir():
            for right, wrong, ours, theirs in read(data / name):
                sides = *halves(ours, right), theirs[:POOL]
                made.append(Setting(name, right, wrong, *map(np.stack, sides)))
    return made


def versions(setting: Setting) -> dict[str, Pixels]:
    """All images that any step shows, by name."""
    fresh, rng = setting.fresh.astype(np.float64), numpy_rng(0, "noise", setting.right)
    grain = rng.normal(size=fresh.shape)
    made = {"reference": setting.reference, "fresh": setting.fresh, "others": setting.others}
    for step, sigma in enumerate(BLUR, 1):
        made[f"blur {step}"] = _grey_levels(ndimage.gaussian_filter(fresh, (0, sigma, sigma, 0)))
    for step, deviation in enumerate(NOISE, 1):
        made[f"noise {step}"] = _grey_levels(fresh + deviation * grain)
    made["copies"] = np.roll(setting.reference, 3, axis=2)
    return made


def _grey_levels(values: Floats) -> Pixels:
    return np.asarray(values.round().clip(0, 255), dtype=np.uint8)


def shown(kind: str, step: int, fresh: Rows, rng: np.random.Generator) -> list[tuple[str, Rows]]:
    """Which images a generator shows at a step of a degradation: names of versions, and rows of them."""
    if step == 0:
        return [("fresh", fresh)]
    if kind in ("blur", "noise"):
        return [(f"{kind} {step}", fresh)]
    if kind == "fewer modes":
        return [("fresh", fresh[np.arange(N) % MODES[step - 1]])]
    share = (WRONG if kind == "wrong class" else COPIED)[step - 1]
    number = round(share * N)
    instead = rng.permutation(POOL)[:number]
    return [("others" if kind == "wrong class" else "copies", instead), ("fresh", fresh[number:])]


def scored(features: Mapping[str, Floats], space: str, kind: str, draw: int) -> dict[str, Floats]:
    """Values of each score at the steps 0 to 3 of one draw, by name."""
    rng = numpy_rng(draw, "draw")
    reference, fresh = rng.permutation(POOL)[:N], rng.permutation(POOL)[:N]
    asked = dict.fromkeys(METRICS.get(name, name) for name in SCORES[kind])
    metrics = [KNOWN[f"{metric}_{space}"] for metric in asked]
    found: dict[str, list[float]] = {name: [] for name in SCORES[kind]}
    for step in range(4):
        some = shown(kind, step, fresh, numpy_rng(draw, "others"))
        fake = np.concatenate([features[name][rows] for name, rows in some])
        real = features["reference"] if kind == "copies" else features["reference"][reference]
        for metric in metrics:
            values = metric(real, fake, rng)
            for key, value in (values if isinstance(values, dict) else {}).items():
                short = key.removesuffix(f"_{space}")
                if short in found:
                    found[short].append(value)
    return {name: np.array(values) for name, values in found.items()}


def rows_of(setting: Setting, space: str, features: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """One row per degradation and score."""
    made = []
    for kind, wanted in SCORES.items():
        draws = [scored(features, space, kind, draw) for draw in range(DRAWS)]
        for name in wanted:
            values = np.array([draw[name] for draw in draws])  # (DRAWS, 4)
            worse = values if name in ("fd", "kd") else -values
            spread = float(values[:, 0].std(ddof=1)) or math.nan
            made.append(
                {
                    "dataset": setting.dataset,
                    "images": setting.right,
                    "wrong_class": setting.wrong,
                    "degradation": kind,
                    "score": name,
                    "features": space,
                    "n": N,
                    "draws": DRAWS,
                    **{f"step_{step}": f"{values[:, step].mean():.4f}" for step in range(4)},
                    "steps_in_order": f"{(np.diff(worse, axis=1) > 0).mean():.3f}",
                    "first_step_in_order": f"{(worse[:, 1] > worse[:, 0]).mean():.3f}",
                    "first_step_in_sd": f"{(worse[:, 1] - worse[:, 0]).mean() / spread:.2f}",
                }
            )
    return made


def main(arguments: list[str], say: Callable[[str], None] = print) -> None:
    """Read the sets below `--data`, score, and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--features", type=Path, default=Path("features-of-degradations"))
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    nets = [net for net in map(build, EXTRACTORS) if isinstance(net, FeatureExtractor)]
    store, made = FeatureStore(given.features), []
    for setting in settings(given.data):
        say(f"{setting.dataset}: {setting.right}")
        found = {
            name: store.get(ArrayImages(images), nets) for name, images in versions(setting).items()
        }
        for space in EXTRACTORS:
            by_name = {name: np.array(rows[space], np.float64) for name, rows in found.items()}
            made += rows_of(setting, space, by_name)
    if not made:
        raise SystemExit(f"{given.data}: neither mtd nor x_sdd is there")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    for line in summary(made):
        say(line)


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """Means over kinds of images: steps in order and first step in standard deviations, by degradation and score."""
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        for kind, wanted in SCORES.items():
            for name in wanted:
                parts = []
                for space in EXTRACTORS:
                    some = [
                        row
                        for row in rows
                        if (row["dataset"], row["degradation"], row["score"], row["features"])
                        == (dataset, kind, name, space)
                    ]
                    order, first, size = (
                        np.mean([float(row[key]) for row in some])
                        for key in ("steps_in_order", "first_step_in_order", "first_step_in_sd")
                    )
                    parts.append(f"{order:.2f} {first:.2f} {size:6.1f}")
                lines.append(f"| {dataset} | {kind} | {name} | {' | '.join(parts)} |")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
