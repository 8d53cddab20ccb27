"""Anyone's images against anyone's images: scores, a record that `collect` reads, and a picture of neighbours.

No training and no table. Images, masks and names are checked first; nothing is written before that.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from defectbench.config import UserError
from defectbench.features import extractors as features
from defectbench.features.feature_store import Extractor, FeatureStore
from defectbench.features.images import PickedImages
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import between
from defectbench.files import keep_out
from defectbench.metrics.base import Array, Metric
from defectbench.metrics.mask_scores import NETS
from defectbench.metrics.parts.scoring import ScoreRow, score_sets
from defectbench.nn.weights import is_offline, locate
from defectbench.plan.job import Job
from defectbench.plan.plan import Cell
from defectbench.plan.planner import SCORES_REVISION
from defectbench.rng import numpy_rng
from defectbench.single.chosen_metrics import WEIGHTS, chosen_metrics
from defectbench.single.image_folders import (
    Opened,
    check_sizes,
    list_images,
    open_images,
)
from defectbench.single.mask_folders import Masked, looked, match_masks, open_masks
from defectbench.single.neighbour_sheet import neighbour_sheet
from defectbench.stages.image_values import image_values
from defectbench.stages.score import replayed, told
from defectbench.store.jobs import Store
from defectbench.store.provenance import provenance
from defectbench.store.records import append_records, read_records, records_path

SELF = "every generated image is one of the real images: these scores do not enter the leaderboard"
NAME = re.compile(r"[\w+-][\w.+-]*")


@dataclass(frozen=True)
class Wish:
    """What is to be scored.

    Attributes:
        real: folder of real images.
        fake: folder of generated images.
        train: folder of the images that the generator was trained on, for floors and ceilings.
        masks: folder of the defects' masks, same stems as the generated images.
        sources: folder of the normal images that the generated ones were made from, same stems.
        metrics: names; () for what this machine has the weights for.
        out: where results go.
        name: of the generated set in records; "" for its folder's name.
        size: side in pixels to which all images are resized.
        replicates: bootstrap resamples at most.
        seed: of every draw.
    """

    real: Path
    fake: Path
    train: Path | None = None
    masks: Path | None = None
    sources: Path | None = None
    metrics: tuple[str, ...] = ()
    out: Path = Path("results")
    name: str = ""
    size: int | None = None
    replicates: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Sets:
    """All images, opened.

    Attributes:
        real: real images that the generator did not see.
        fake: the generated images.
        train: those that it was trained on, if they are known.
        masked: masks and sources of the generated ones, if there are both.
    """

    real: Opened
    fake: Opened
    train: Opened | None
    masked: Masked | None


@dataclass(frozen=True)
class Scored:
    """What came out.

    Attributes:
        name: of the generated set.
        rows: scores and floors.
        files: what was written.
        job: id of the record.
    """

    name: str
    rows: tuple[ScoreRow, ...]
    files: tuple[Path, ...]
    job: str


def score_folders(wish: Wish, say: Callable[[str], None]) -> Scored:
    """Score a folder of generated images against a folder of real ones.

    Args:
        wish: what and where.
        say: gets remarks on the images and choices, one line each.

    Raises:
        UserError: folders, images, names or weights are not as expected; nothing is written then.
    """
    started = time.time()
    name = wish.name or name_of(wish.fake)
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name!r}: wants letters, digits, '_', '-', '+' and '.'")
    for folder in (wish.real, wish.fake, wish.train, wish.masks, wish.sources):
        if folder is not None and folder.is_dir():
            keep_out(wish.out, folder)
    records = records_path(wish.out, f"score/{name}", "score")
    before = read_records(records) if records.exists() else []
    if wish.sources and not wish.masks:
        raise UserError(
            f"--sources {wish.sources}: give --masks DIR too; they are looked at together"
        )
    paired = bool(wish.masks and wish.sources)
    asked, on_masks = chosen_metrics(wish.metrics, masks=paired, say=say)
    sets = _inputs(wish, say)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets = {e: _build(e, say) for e in dict.fromkeys(metric.extractor for metric in asked)}
    looking = {
        m.extractor: _lpips(m.extractor, say).to(device) for m in on_masks if m.extractor in NETS
    }

    Store(wish.out / "jobs").open()
    found = _features(sets, asked, nets, FeatureStore(wish.out / "jobs" / "features"), device)
    if sets.masked:
        found["fake"] |= image_values(looked(sets.masked, sets.fake), on_masks, looking)
    try:
        rows = score_sets(
            found["real"],
            found["fake"],
            [*asked, *(on_masks if sets.masked else ())],
            numpy_rng(wish.seed, "score"),
            replicates=wish.replicates,
            training=found.get("train"),
            copies=found.get("copies"),
        )
    except ValueError as error:
        raise UserError(f"{wish.fake} against {wish.real}: {error}") from None

    files = []
    space = next((m.extractor for m in asked if m.on == "rows"), None)
    if space:
        path = wish.out / "score" / f"{name}.neighbours.png"
        neighbour_sheet(path, sets.real, sets.fake, found["real"][space], found["fake"][space])
        files.append(path)
    spec = {
        "real": sets.real.digest,
        "fake": sets.fake.digest,
        "train": sets.train.digest if sets.train else "",
        "masked": sets.masked.digest if sets.masked else "",
        "extractors": {key: net.sha256 for key, net in {**nets, **looking}.items()},
        "metrics": [m.name for m in [*asked, *(on_masks if sets.masked else ())]],
        "size": wish.size,
        "replicates": wish.replicates,
        "revision": SCORES_REVISION,
        "seed": wish.seed,
    }
    job = Job("score", spec, {}, f"score {name} against {wish.real.resolve().name}")
    lines = _lines(job, name, wish, rows, sets)
    lines[-1]["provenance"] = provenance({}, started, time.time() - started)
    if any(line["kind"] == "job" and line["id"] == job.id for line in before):
        lines.pop()
    if next((line for line in reversed(before) if line["kind"] == "plan"), None) == lines[0]:
        lines.pop(0)
    append_records(records, lines)
    return Scored(name, tuple(rows), (records, *files), job.id)


def name_of(folder: Path) -> str:
    """Make a name for a generated set of the name of its folder: what no name may hold becomes "_"."""
    return re.sub(r"[^\w.+-]+", "_", folder.resolve().name).lstrip(".") or "images"


def shown_name(row: ScoreRow) -> str:
    """A score's name in tables: its key, with the extractor where the metric's name has it."""
    if row.metric.endswith(row.extractor) and row.extractor not in row.key:
        return f"{row.key}_{row.extractor}"
    return row.key


def _inputs(wish: Wish, say: Callable[[str], None]) -> Sets:
    """All images, checked."""
    if wish.size is not None and wish.size < 1:
        raise UserError(f"--size {wish.size}: wants a side in pixels, 1 or more")
    listings = [list_images(wish.real, "real"), list_images(wish.fake, "fake")]
    if wish.train:
        listings.append(list_images(wish.train, "train"))
    opening = tuple(listings)
    matched = match_masks(listings[1], wish.masks, wish.sources, say) if wish.masks else None
    if matched:
        listings.append(matched.sources)
    remarks = [line for listing in listings for line in listing.remarks()]
    for line in [*remarks, *check_sizes(listings, wish.size)]:
        say(line)
    real, fake, *train = (open_images(listing, wish.size) for listing in opening)
    if wish.real.resolve() == wish.fake.resolve():
        say(
            f"warning: --real and --fake are the same folder, {wish.real}; these scores mean nothing and "
            "do not enter the leaderboard"
        )
    elif same := len(set(fake.pixels) & set(real.pixels)):
        say(f"warning: {same} generated images are real ones, pixel by pixel")
    if train and (same := len(set(train[0].pixels) & set(real.pixels))):
        say(f"warning: {same} images of --train are among --real; no score is of unseen images")
    if train and (same := len(set(fake.pixels) & set(train[0].pixels))):
        say(f"warning: {same} generated images are images of --train, pixel by pixel")
    masked = open_masks(matched, wish.size) if matched else None
    return Sets(real, fake, train[0] if train else None, masked)


def _build(name: str, say: Callable[[str], None]) -> features.FeatureExtractor | Lpips:
    """An extractor; says so where its weights must be fetched first."""
    file = WEIGHTS.get(features.PARTS.get(name, name))
    if file and file.url and not is_offline() and locate(file) is None:
        say(f"{file.file} is not on this machine; fetching {file.url}")
    return features.build(name)


def _lpips(name: str, say: Callable[[str], None]) -> Lpips:
    """An LPIPS network by its name."""
    net = _build(name, say)
    if net.gives != "distances":
        raise TypeError(f"{name} is no LPIPS network")
    return net


def _features(
    sets: Sets,
    metrics: Sequence[Metric],
    nets: Mapping[str, Extractor],
    kept: FeatureStore,
    device: str,
) -> dict[str, dict[str, Array]]:
    """Features of "real" and "fake", and with training images those of "train" and "copies"."""
    found: dict[str, dict[str, Array]] = {}
    opened = {"real": sets.real, "fake": sets.fake, "train": sets.train}
    for role, one in ((role, one) for role, one in opened.items() if one):
        try:
            found[role] = kept.get(one.images, list(nets.values()), device=device)
        except ValueError as error:
            raise UserError(
                f"{one.listing.folder}: {error} (images are numbered from 0 by file name)"
            ) from None
    if sets.train:
        places = numpy_rng(0, "copies").integers(len(sets.train), size=len(sets.fake))
        copies = PickedImages(sets.train.images, places)
        found["copies"] = replayed(found["train"], places, copies, nets.values(), kept, device)
    references = sets.train or sets.real
    for metric in metrics:
        net, (name, _) = nets[metric.extractor], metric.inputs
        if "real" not in metric.reads or name in found["real"] or net.gives != "distances":
            continue
        try:
            gaps = between(net.to(device), sets.fake.images, references.images, inner=False)[0]
        except ValueError as error:
            where = f"{sets.fake.listing.folder} against {references.listing.folder}"
            raise UserError(f"{where}: {error}") from None
        found["train" if sets.train else "real"][name] = gaps
    return found


def _lines(
    job: Job, name: str, wish: Wish, rows: Sequence[ScoreRow], sets: Sets
) -> list[dict[str, Any]]:
    """The plan line and the job line of the record."""
    real, fake = sets.real, sets.fake
    shown = tuple(shown_name(row) for row in rows if row.kind == "score")
    cell = Cell(
        dataset=f"{wish.real.resolve().name}@{real.digest[:8]}",
        stand_in=False,
        subset="all",
        method=name,
        arm="score",
        kind="score",
        variant="",
        published=(name, ""),
        label=name,
        model="fidelity",
        task="score",
        selection="",
        revision=f"score:{SCORES_REVISION}",
        metrics=shown,
        jobs=(job.id,),
        fits=(),
    )
    sizes = f"{wish.size} px" if wish.size else "their own size"
    plan = {
        "kind": "plan",
        "table": f"score/{name}",
        "paper": "",
        "number": "",
        "title": f"{name} against {wish.real.resolve().name}",
        "preset": "score",
        "layout": {"rows": ["subset", "label"], "columns": "metric"},
        "notes": "",
        "about": f"{len(fake)} generated against {len(real)} real images at {sizes}.",
        "metrics": list(shown),
        "cells": json.loads(json.dumps([asdict(cell)])),  # as they are read back
    }
    result = {
        "kind": "job",
        **job.to_json(),
        **told(rows, shown_name),
        "counts": {"real": len(real), "synthetic": len(fake)},
        "remarks": [*real.listing.remarks(), *fake.listing.remarks()],
    }
    if set(fake.pixels) <= set(real.pixels):  # no score of a generator: kept out of the leaderboard
        result["against_itself"] = True
        result["remarks"].append(SELF)
    return [plan, result]
