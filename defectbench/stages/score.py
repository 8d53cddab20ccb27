"""The score stage: how good are the synthetic images themselves?

They are compared with the defective test images, which no generator saw; what is about memorising, with the defective
training images. Beside each score stand its floor, what a perfect generator reaches with as many images of the same labels,
and its ceiling, training images replayed in the numbers of the synthetic ones: what copying is worth, and what the control
`memoriser` reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defectbench.plan.job import Job
from defectbench.rng import numpy_rng

if TYPE_CHECKING:
    from defectbench.features.feature_store import Extractor, FeatureStore
    from defectbench.features.images import ImageSet
    from defectbench.features.lpips import Lpips
    from defectbench.metrics.base import Array, Metric
    from defectbench.metrics.parts.scoring import Kind, ScoreRow
    from defectbench.stages.context import Context
    from defectbench.stages.image_values import Indices
    from defectbench.stages.scored_sets import Side


def score(job: Job, folder: Path, context: Context) -> dict[str, Any]:  # noqa: ARG001
    """Score the synthetic images of a sample job, or, without one (arm `ideal`), real images against real ones.

    Returns:
        scores, intervals, floors, ceilings, reasons and numbers of images by name of the score.
    """
    from defectbench.data.cache.prepared import Prepared
    from defectbench.metrics.parts import catalogue
    from defectbench.metrics.parts.scoring import score_sets
    from defectbench.stages.scored_sets import mixes, scored_sets

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    synthetic = None
    if "synthetic" in job.parents:
        synthetic = Prepared.open(store.folder(job.parents["synthetic"]) / "cache")
    device = "cuda" if _cuda(context) else "cpu"
    asked = [catalogue.find(name) for name in spec["metrics"]]
    clusters = [metric for metric in asked if metric.on == "clusters"]
    on_images = [metric for metric in asked if metric.on == "masks"]
    on_features = [m for m in asked if m.on in ("rows", "distances")]
    sides = scored_sets(real, synthetic, spec["seed"])

    found = _features(on_features, sides, store.root / "features", device)
    for side, values in _values(on_images, sides, job, context, device).items():
        found[side].update(values)
    rows = score_sets(
        found["unseen"],
        found.get("generated", {}),
        [metric for metric in asked if metric not in clusters],
        numpy_rng(spec["seed"], "score"),
        replicates=spec["replicates"],
        training=found["training"],
        copies=found.get("copies"),
        mix=mixes(sides),
    )
    for metric in clusters:
        rows += _clustered(metric, sides, device, spec)
    if synthetic is None:  # the best that a generator can be expected to reach
        rows = [replace(row, kind="score") for row in rows if row.kind == "floor"]
    counts = {
        "real": len(sides["unseen"]),
        "synthetic": len(sides["generated"]) if synthetic else 0,
        "train": len(sides["training"]),
    }
    return {**told(rows, _name), "counts": counts}


def told(rows: Sequence[ScoreRow], name: Callable[[ScoreRow], str]) -> dict[str, Any]:
    """Rows as a record keeps them: everything by name of the score.

    Args:
        rows: scores, floors and ceilings.
        name: gives the name of a row.
    """
    scores = [row for row in rows if row.kind == "score"]
    return {
        "metrics": {name(row): _plain(row.value) for row in scores},
        "intervals": {
            name(row): [_plain(row.ci_low), _plain(row.ci_high)]
            for row in scores
            if row.ci_low is not None and row.ci_high is not None
        },
        "floors": {name(row): _plain(row.value) for row in rows if row.kind == "floor"},
        "ceilings": {name(row): _plain(row.value) for row in rows if row.kind == "ceiling"},
        "reasons": {name(row): f"n/a ({row.reason})" for row in scores if row.value is None},
        "better": {name(row): row.better for row in scores},
        "sizes": {name(row): [row.n_real, row.n_fake] for row in scores},
    }


def _features(
    metrics: Sequence[Metric], sides: Mapping[str, Side], kept: Path, device: str
) -> dict[str, dict[str, Any]]:
    """Stored features of every side; a copy has those of the training image that it replays."""
    from defectbench.features import extractors as features
    from defectbench.features.feature_store import FeatureStore

    nets: list[Extractor] = [
        features.build(name) for name in dict.fromkeys(m.extractor for m in metrics)
    ]
    store = FeatureStore(kept, workers=1)
    found = {
        name: store.get(side.image_set(), nets, device=device)
        for name, side in sides.items()
        if name != "copies"
    }
    if copies := sides.get("copies"):
        found["copies"] = replayed(
            found["training"], copies.of_training, copies.image_set(), nets, store, device
        )
    return found


def replayed(
    training: Mapping[str, Array],
    places: Indices,
    copies: ImageSet,
    nets: Iterable[Extractor],
    store: FeatureStore,
    device: str,
) -> dict[str, Array]:
    """Features of training images that are replayed: what is known of each, and LPIPS distances among them.

    Args:
        training: features of the training images.
        places: which of them are replayed, (N,) indices.
        copies: the same as images.
        nets: the extractors.
        store: where features lie.
        device: where missing ones are computed.
    """
    pairs = [net for net in nets if net.gives == "distances"]
    distances = store.get(copies, pairs, device=device)
    return distances | {
        name: rows[places] for name, rows in training.items() if name not in distances
    }


def _values(
    metrics: Sequence[Metric],
    sides: Mapping[str, Side],
    job: Job,
    context: Context,
    device: str,
) -> dict[str, dict[str, Any]]:
    """Values per image of every side; real images have no source, so they have no background."""
    if not metrics:
        return {}
    from defectbench.metrics import mask_scores
    from defectbench.stages.checkpoints import load_task
    from defectbench.stages.image_values import image_values
    from defectbench.stages.inspector import Inspector

    inspector = None
    if "inspector" in job.parents:
        inspector = Inspector(load_task(context.store.folder(job.parents["inspector"])), device)
    nets = {
        m.extractor: _lpips(m.extractor, device) for m in metrics if m.extractor in mask_scores.NETS
    }
    seen = [metric for metric in metrics if metric.extractor == mask_scores.INSPECTOR]
    found = {
        name: image_values(side.looked(), metrics if name == "generated" else seen, nets, inspector)
        for name, side in sides.items()
        if name != "copies"
    }
    if copies := sides.get("copies"):
        found["copies"] = {
            name: values[copies.of_training] for name, values in found["training"].items()
        }
    return found


def _clustered(
    metric: Metric, sides: Mapping[str, Side], device: str, spec: Mapping[str, Any]
) -> list[ScoreRow]:
    """Intra-cluster LPIPS by defect type around its training images; floor and ceiling likewise."""
    from defectbench.features.lpips_streams import intra_cluster_rows

    net = _lpips(metric.protocol.extractor, device)
    masked, references = metric.protocol.masked, sides["training"].by_defect(metric.protocol.masked)
    rows: list[ScoreRow] = []
    kinds: dict[Kind, str] = {"score": "generated", "floor": "unseen", "ceiling": "copies"}
    for kind, side in kinds.items():
        if side not in sides:
            continue
        images = sides[side].by_defect(masked)
        rows += intra_cluster_rows(
            net,
            [(images[defect], references[defect]) for defect in images if defect in references],
            metric,
            numpy_rng(spec["seed"], "score", metric.name),
            kind=kind,
            replicates=spec["replicates"] if kind == "score" else 0,
        )
    return rows


def _lpips(name: str, device: str) -> Lpips:
    from defectbench.features import extractors as features

    net = features.build(name)
    if net.gives != "distances":
        raise TypeError(f"{name} is no LPIPS network")
    return net.to(device)


def _name(row: ScoreRow) -> str:
    """Name a score with its protocol: the metric, and which of its values where it has several."""
    return row.key if row.key.startswith(row.metric) else f"{row.metric}.{row.key}"


def _cuda(context: Context) -> bool:
    from defectbench.machine import Machine

    return Machine(**context.machine).on_cuda


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 8)
