"""The score stage: how good are the synthetic images themselves, beside real ones that no generator saw?

The reference is the defective test images; the floor of every score is the defective training images against the same
reference, which is what copying the training set would reach at best.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from defectbench.bench.job import Job
from defectbench.rng import numpy_rng

if TYPE_CHECKING:
    from defectbench.bench.stages import Context
    from defectbench.metrics.scoring import ScoreRow


def score(job: Job, folder: Path, context: Context) -> dict[str, Any]:  # noqa: ARG001
    """Score the synthetic images of a sample job.

    Returns:
        scores, intervals, floors and reasons by name, and the numbers of images.
    """
    from defectbench.data.prepared import Prepared
    from defectbench.metrics import catalogue, features
    from defectbench.metrics.images import ArrayImages
    from defectbench.metrics.scoring import score_sets
    from defectbench.metrics.store import FeatureStore

    spec, store = job.spec, context.store
    real = Prepared.open(store.folder(job.parents["data"]) / "cache")
    synthetic = Prepared.open(store.folder(job.parents["synthetic"]) / "cache")
    metrics = [catalogue.find(name) for name in spec["metrics"]]
    extractors = [features.build(name) for name in dict.fromkeys(m.extractor for m in metrics)]
    kept = FeatureStore(store.root / "features", workers=1)
    reference, training = (
        ArrayImages(np.ascontiguousarray(real.images[real.rows(split=part, defective=True)]))
        for part in ("test", "train")
    )
    generated = ArrayImages(np.ascontiguousarray(synthetic.images[:]))
    device = "cuda" if _cuda(context) else "cpu"
    rows = score_sets(
        kept.get(reference, extractors, device=device),
        kept.get(generated, extractors, device=device),
        metrics,
        numpy_rng(spec["seed"], "score"),
        replicates=spec["replicates"],
        held_out=kept.get(training, extractors, device=device),
    )
    scores = [row for row in rows if row.kind == "score"]
    return {
        "metrics": {_name(row): _plain(row.value) for row in scores},
        "intervals": {
            _name(row): [_plain(row.ci_low), _plain(row.ci_high)]
            for row in scores
            if row.ci_low is not None and row.ci_high is not None
        },
        "floors": {_name(row): _plain(row.value) for row in rows if row.kind == "floor"},
        "reasons": {_name(row): f"n/a ({row.reason})" for row in scores if row.value is None},
        "better": {_name(row): row.better for row in scores},
        "counts": {"real": len(reference), "synthetic": len(generated), "train": len(training)},
    }


def _name(row: ScoreRow) -> str:
    """Name a score with its protocol: the metric, and which of its values where it has several."""
    return row.metric if row.key == row.metric else f"{row.metric}.{row.key}"


def _cuda(context: Context) -> bool:
    from defectbench.bench.training import Machine

    return Machine(**context.machine).on_cuda


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 8)
