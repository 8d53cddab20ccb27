"""Anyone's images against anyone's images: scores, a record that `collect` reads, and a picture of neighbours.

No training and no table. Images, masks and names are checked first; nothing is written before that.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from defectbench.bench.image_folders import (
    Opened,
    check_sizes,
    list_images,
    open_images,
)
from defectbench.bench.job import Job
from defectbench.bench.mask_folders import MASK_METRICS, Masked, mask_rows, match_masks, open_masks
from defectbench.bench.neighbour_sheet import neighbour_sheet
from defectbench.bench.plan import Cell
from defectbench.bench.planning import SCORES_REVISION
from defectbench.bench.provenance import provenance
from defectbench.bench.records import append_records, read_records, records_path
from defectbench.bench.store import Store
from defectbench.config import UserError, nearest
from defectbench.metrics import catalogue, features, weights
from defectbench.metrics.base import Array, Floats, SetMetric
from defectbench.metrics.lpips import Lpips
from defectbench.metrics.lpips_pairs import between
from defectbench.metrics.scoring import ScoreRow, score_sets
from defectbench.metrics.store import FeatureStore
from defectbench.rng import numpy_rng

WEIGHTS: Mapping[str, weights.WeightFile] = {
    "inception_tf2015": weights.INCEPTION,
    "dinov2_vitb14": weights.DINOV2_VITB14,
    "dinov2_vitl14": weights.DINOV2_VITL14,
    "clip_vitb32": weights.CLIP_VITB32,
    "lpips_alex": weights.ALEXNET,
    "lpips_vgg": weights.VGG16,
}
INCEPTION_METRICS = (
    "fid",
    "kid",
    "is",
    "precision_recall_k3",
    "density_coverage_k5",
    "memorisation",
)
SPACE_METRICS = ("fd", "kd", "precision_recall_k3", "density_coverage_k5", "memorisation")
INSPECTOR_METRICS = ("mask_iou", "without_predicted_defect")
NAME = re.compile(r"[\w+-][\w.+-]*")


@dataclass(frozen=True)
class Wish:
    """What is to be scored.

    Attributes:
        real: folder of real images.
        fake: folder of generated images.
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
    masks: Path | None = None
    sources: Path | None = None
    metrics: tuple[str, ...] = ()
    out: Path = Path("results")
    name: str = ""
    size: int | None = None
    replicates: int = 200
    seed: int = 0


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
    name = wish.name or wish.fake.resolve().name
    if not NAME.fullmatch(name):
        raise UserError(f"--name {name!r}: wants letters, digits, '_', '-', '+' and '.'")
    records = records_path(wish.out, f"score/{name}", "score")
    before = read_records(records) if records.exists() else []
    asked, on_masks = _chosen(wish, say)
    real, fake, masked = _inputs(wish, say)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets = {e: _build(e, say) for e in dict.fromkeys(metric.extractor for metric in asked)}
    background = _background_net(say).to(device) if "background_lpips" in on_masks else None

    Store(wish.out / "jobs").open()
    kept = FeatureStore(wish.out / "jobs" / "features")
    real_features, fake_features = (
        _features(kept, opened, list(nets.values()), device) for opened in (real, fake)
    )
    for metric in asked:
        if metric.inputs[0] not in real_features and isinstance(nets[metric.extractor], Lpips):
            gaps = _to_real(nets[metric.extractor], fake, real, device)
            real_features = {**real_features, metric.inputs[0]: gaps}
    rng = numpy_rng(wish.seed, "score")
    try:
        rows = score_sets(real_features, fake_features, asked, rng, replicates=wish.replicates)
    except ValueError as error:
        raise UserError(f"{wish.fake} against {wish.real}: {error}") from None
    if masked:
        rows += mask_rows(
            masked, fake, on_masks, background, replicates=wish.replicates, seed=wish.seed
        )

    files = []
    space = next((m.extractor for m in asked if not isinstance(nets[m.extractor], Lpips)), None)
    if space:
        path = wish.out / "score" / f"{name}.neighbours.png"
        neighbour_sheet(path, real, fake, real_features[space], fake_features[space])
        files.append(path)
    spec = {
        "real": real.digest,
        "fake": fake.digest,
        "masked": masked.digest if masked else "",
        "extractors": {key: net.sha256 for key, net in nets.items()},
        "metrics": [metric.name for metric in asked] + (list(on_masks) if masked else []),
        "size": wish.size,
        "replicates": wish.replicates,
        "revision": SCORES_REVISION,
        "seed": wish.seed,
    }
    job = Job("score", spec, {}, f"score {name} against {wish.real.resolve().name}")
    lines = _lines(job, name, wish, rows, (real, fake))
    lines[-1]["provenance"] = provenance({}, started, time.time() - started)
    if any(line["kind"] == "job" and line["id"] == job.id for line in before):
        lines.pop()
    if next((line for line in reversed(before) if line["kind"] == "plan"), None) == lines[0]:
        lines.pop(0)
    append_records(records, lines)
    return Scored(name, tuple(rows), (records, *files), job.id)


def shown_name(row: ScoreRow) -> str:
    """A score's name in tables: its key, with the extractor where the metric's name has it."""
    if row.metric.endswith(row.extractor) and row.extractor not in row.key:
        return f"{row.key}_{row.extractor}"
    return row.key


def default_metrics() -> tuple[tuple[str, ...], str]:
    """Metrics whose weight files are on this machine, else those of seeded networks.

    Returns:
        their names, and a line that says which networks they look through.
    """
    found = {name for name, file in WEIGHTS.items() if weights.locate(file)}
    chosen: list[str] = []
    if "inception_tf2015" in found:
        chosen += INCEPTION_METRICS
    spaces: list[str] = [s for s in ("dinov2_vitb14", "dinov2_vitl14") if s in found]
    if not chosen and not spaces:
        spaces = ["vgg16_random_s0"]
    chosen += [f"{metric}_{space}" for space in spaces for metric in SPACE_METRICS]
    lpips = "lpips_alex" if "lpips_alex" in found else "lpips_alex_random_s0"
    chosen.append(f"{lpips}_pairwise")
    looks = [*(["inception_tf2015"] if "inception_tf2015" in found else []), *spaces, lpips]
    absent = ""
    if any(look.endswith("random_s0") for look in looks):
        absent = (
            "; random_s0: seeded random weights, as pretrained files are not here "
            "(`defectbench doctor` lists them)"
        )
    return tuple(chosen), f"metrics: {', '.join(looks)}{absent}"


def _chosen(wish: Wish, say: Callable[[str], None]) -> tuple[list[SetMetric], tuple[str, ...]]:
    """Metrics on features, and those on masks."""
    if wish.sources and not wish.masks:
        raise UserError(
            f"--sources {wish.sources}: give --masks DIR too; they are looked at together"
        )
    on_masks = MASK_METRICS if wish.masks and wish.sources else ()
    if not wish.metrics:
        names, told = default_metrics()
        say(told)
        return [catalogue.find(name) for name in names], on_masks
    names = tuple(dict.fromkeys(wish.metrics))
    for name in names:
        if name in INSPECTOR_METRICS:
            raise UserError(
                f"--metrics {name}: needs a segmentation network trained on real images, which "
                "`score` does not train; tables do"
            )
        if name in MASK_METRICS and not on_masks:
            raise UserError(f"--metrics {name}: needs --masks DIR and --sources DIR")
        known = catalogue.metrics()
        if name not in known and name not in MASK_METRICS:
            raise UserError(f"no metric {name!r}; {nearest(name, [*known, *MASK_METRICS])}")
        if name in known and known[name].extractor.endswith("_masked"):
            raise UserError(f"--metrics {name}: needs masks of the real images too; leave it out")
    given = tuple(name for name in names if name in MASK_METRICS)
    return [catalogue.find(n) for n in names if n not in MASK_METRICS], given


def _inputs(wish: Wish, say: Callable[[str], None]) -> tuple[Opened, Opened, Masked | None]:
    """All images, checked."""
    if wish.size is not None and wish.size < 1:
        raise UserError(f"--size {wish.size}: wants a side in pixels, 1 or more")
    listings = [list_images(wish.real, "real"), list_images(wish.fake, "fake")]
    matched = match_masks(listings[1], wish.masks, wish.sources, say) if wish.masks else None
    if matched:
        listings.append(matched.sources)
    remarks = [line for listing in listings for line in listing.remarks()]
    for line in [*remarks, *check_sizes(listings, wish.size)]:
        say(line)
    real, fake = (open_images(listing, wish.size) for listing in listings[:2])
    if wish.real.resolve() == wish.fake.resolve():
        say(
            f"warning: --real and --fake are the same folder, {wish.real}; these scores mean nothing"
        )
    elif same := len(set(fake.pixels) & set(real.pixels)):
        say(f"warning: {same} generated images are real ones, pixel by pixel")
    return real, fake, open_masks(matched, wish.size) if matched else None


def _build(name: str, say: Callable[[str], None]) -> features.FeatureExtractor | Lpips:
    """An extractor; says so where its weights must be fetched first."""
    file = WEIGHTS.get(features.PARTS.get(name, name))
    online = os.environ.get(weights.OFFLINE_VARIABLE, "") in ("", "0")
    if file and online and weights.locate(file) is None:
        say(f"{file.file} is not on this machine; fetching {file.url}")
    return features.build(name)


def _background_net(say: Callable[[str], None]) -> Lpips:
    """LPIPS for backgrounds: pretrained where its weights are here."""
    found = weights.locate(weights.ALEXNET)
    net = _build("lpips_alex" if found else "lpips_alex_random_s0", say)
    if not isinstance(net, Lpips):
        raise TypeError(f"{net.name} is no LPIPS network")
    return net


def _features(
    kept: FeatureStore,
    opened: Opened,
    nets: Sequence[features.FeatureExtractor | Lpips],
    device: str,
) -> dict[str, Array]:
    """Stored features of a set."""
    try:
        return kept.get(opened.images, nets, device=device)
    except ValueError as error:
        raise UserError(
            f"{opened.listing.folder}: {error} (images are numbered from 0 by file name)"
        ) from None


def _to_real(net: Any, fake: Opened, real: Opened, device: str) -> Floats:
    """LPIPS distances (M, K) from generated to real images."""
    try:
        return between(net.to(device), fake.images, real.images, inner=False)[0]
    except ValueError as error:
        raise UserError(f"{fake.listing.folder} against {real.listing.folder}: {error}") from None


def _lines(
    job: Job, name: str, wish: Wish, rows: Sequence[ScoreRow], sets: tuple[Opened, Opened]
) -> list[dict[str, Any]]:
    """The plan line and the job line of the record."""
    real, fake = sets
    scores = [row for row in rows if row.kind == "score"]
    shown = tuple(shown_name(row) for row in scores)
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
        "cells": [{**asdict(cell), "metrics": list(shown), "jobs": [job.id], "fits": []}],
    }
    result = {
        "kind": "job",
        **job.to_json(),
        "metrics": {shown_name(row): _plain(row.value) for row in scores},
        "intervals": {
            shown_name(row): [_plain(row.ci_low), _plain(row.ci_high)]
            for row in scores
            if row.ci_low is not None
        },
        "floors": {shown_name(row): _plain(row.value) for row in rows if row.kind == "floor"},
        "reasons": {shown_name(row): f"n/a ({row.reason})" for row in scores if row.value is None},
        "better": {shown_name(row): row.better for row in scores},
        "counts": {"real": len(real), "synthetic": len(fake)},
        "remarks": [*real.listing.remarks(), *fake.listing.remarks()],
    }
    return [plan, result]


def _plain(value: float | None) -> float | None:
    return None if value is None else round(float(value), 8)
