"""What one training step costs: every learning generator at one small setting, and three as they ran against the official code.

All go through our whole loop: reading and augmenting a batch, Lightning, the clock, the curves. Times are processor
milliseconds of this process, which has one thread, averaged over whole cycles of the lazy regularisers.

`official.csv` holds what was measured against the official implementations: a training iteration of theirs and of ours,
in turns, in one process, at 64 px with 8 images a step, in float32, with equal widths, numbers of parameters
(asserted), regularisers and intervals, without augmentation. `steps` of each were timed per turn; `ratio` is the median
over pairs of turns, `lowest` and `highest` its range. The machine did nothing else meanwhile, unless the row says
shared. Batches were ready-made on both sides; all else that a step does was counted: Lightning, reseeding, clock and
curves here, reading the losses there. Their code ran unchanged but for imports that training does not use and three
things: the width that StarGAN v2 fixes, the depth of StarGAN's critic (5 at 64 px, as ours), and StyleGAN2-ADA's outer
loop, which insists on CUDA and was written again with its phases, optimisers and average. It is no part of this
project, so that run cannot be repeated from here; what it recorded stands beside today's time of our side.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from defectbench import names
from defectbench.data.cache.prepare import prepare
from defectbench.data.cache.prepared import Prepared
from defectbench.data.splitting.splits import split
from defectbench.data.streams.module import DefectData, ImageSet, Stream, View
from defectbench.machine import Machine
from defectbench.stages.training import fit_generator, initialised
from defectbench.standin import write_standin
from defectbench.standin.order import Order

RECORDED = Path(__file__).with_name("official.csv")
SIZE, IMAGES = 64, 8
STEPS = 16  # a whole cycle of the rarest regulariser


def seconds(
    name: str, prepared: Prepared, arguments: dict[str, Any], steps: int
) -> dict[str, float]:
    """Train a few steps in each stage, and give processor seconds per step by stage; the first step is left out."""
    cls = names.find("generators", name).load()
    generator = initialised(
        0,
        lambda: cls(
            size=prepared.size, defects=prepared.defects, products=prepared.products, **arguments
        ),
    )
    wanted = cls.streams
    defect = prepared.defects[0] if cls.scope == "defect" else None
    rows = {
        "defect": prepared.rows(split="train", defective=True, defect=defect),
        "normal": prepared.rows(split="train", defective=False),
    }
    view = View("contents", 0, 1) if cls.mask_source == "watershed" else View()
    sets = {key: ImageSet.of(prepared, found) for key, found in rows.items()}
    streams = [
        Stream(sets["defect"], "defect", view, ("flip",), "defect"),
        Stream(sets["normal"], "normal", augment=("flip",)),
    ]
    generator.observe(view.apply(sets["defect"].all()), sets["normal"].all())
    batch = IMAGES // len(wanted)
    stages = [s._replace(images=batch * (steps + 2)) for s in generator.stages(10**6)]
    marks: dict[int, list[float]] = {}

    def mark(*_: Any) -> None:
        marks.setdefault(generator.clock.stage, []).append(time.process_time())

    generator.stages = lambda images: stages  # noqa: ARG005
    generator.on_train_batch_start = mark
    data = DefectData(streams, batch=batch, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fit_generator(
            generator,
            data,
            Path(folder),
            images=sum(stage.images for stage in stages),
            machine=Machine("cpu"),
            checkpoint_every=10**9,
        )
    return {stage.name: (marks[i][-1] - marks[i][1]) / steps for i, stage in enumerate(stages)}


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = names.find("datasets", "mvtec_ad").load()()
        root = write_standin(
            "mvtec_ad",
            Path(folder) / "raw",
            Order(size=SIZE, normals=24, defective=12, seed=0, products=["wood"]),
        )
        manifest = split(dataset.scan(root, ["wood"]), "one_third")
        prepared = prepare(manifest, Path(folder) / "cache", size=SIZE)

        print(
            f"{SIZE} px, {IMAGES} images a step, the contract tests' arguments, ms of processor time"
        )
        for name, entry in sorted(names.entries("generators").items()):
            if not entry.facts.get("learns", True):
                continue
            found = seconds(name, prepared, dict(entry.load().tiny), STEPS)
            stages = ", ".join(f"{stage} {1000 * spent:.1f}" for stage, spent in found.items())
            print(f"{name}: {stages}", flush=True)

        with RECORDED.open(newline="") as file:
            recorded = [
                row
                for row in csv.DictReader(file)
                if row["threads"] == "1" and row["clock"] == "processor"
            ]
        for row in recorded:
            arguments = yaml.safe_load(row["arguments"])
            (spent,) = seconds(row["generator"], prepared, arguments, int(row["steps"])).values()
            print(
                f"{row['generator']} {row['arguments']}: {1000 * spent:.1f} ms now; on {row['date']} "
                f"{row['ours_ms']} against {row['theirs_ms']} ms of {row['official']} "
                f"({row['machine']}), ratio {row['ratio']} (at most 1.0)",
                flush=True,
            )


if __name__ == "__main__":
    main()
