"""Intra-cluster LPIPS: four protocols that share the name, and a masked one (protocols by code).

Every generated image goes to the reference it is nearest to; the score is the mean over clusters of
the mean distance between the cluster's members. The published codes differ in network, references,
cap per cluster and the treatment of clusters with fewer than two members, so each has a name here.
With empty clusters left out, a generator that collapses onto one reference is not punished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from defectbench.metrics.base import POSITIVE, Array, Floats, Metric, Undefined, unstored
from defectbench.metrics.parts.bootstrap import resample_counts

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Protocol:
    """One published way to compute it.

    Attributes:
        name: public name of the metric.
        extractor: the LPIPS network.
        references: which real images it is meant for; the caller gives them.
        cap: members per cluster at most.
        choice: whether the cap takes random members or the first in the order given.
        ties: which of equally near references wins.
        zeros: whether clusters with fewer than two members also count as 0; then the value without
            them is given under "<name>_rz".
        resize: what the code does to images before.
        masked: whether images and references are multiplied by their masks.
    """

    name: str
    extractor: str
    references: str
    cap: int
    choice: Literal["random", "first"]
    ties: Literal["first", "last"]
    zeros: bool
    resize: str
    masked: bool = False


PROTOCOLS = (
    Protocol(
        "ic_lpips_ojha",  # Ojha et al. 2021, few-shot-gan-adaptation, feat_cluster.py
        "lpips_vgg",
        "the 10 training images",
        cap=50,
        choice="random",
        ties="first",
        zeros=False,
        resize="256 px",
    ),
    Protocol(
        "ic_lpips_dfmgan",  # Duan et al. 2023, features/lpips.py
        "lpips_alex",
        "all real defect images",
        cap=200,
        choice="first",
        ties="first",
        zeros=True,
        resize="none (256 px data)",
    ),
    Protocol(
        "ic_lpips_anomalydiffusion",  # Hu et al. 2024, cal_ic_lpips.py
        "lpips_vgg",
        "the first third of the defect images",
        cap=50,
        choice="random",  # unseeded there
        ties="last",
        zeros=False,
        resize="256 px",
    ),
    Protocol(
        "ic_lpips_seas",  # Dai et al. 2025, utils/metrics/metrics_lpips.py
        "lpips_vgg",
        "the training images",
        cap=140,
        choice="first",
        ties="first",
        zeros=True,
        resize="256 px, bilinear",
    ),
    Protocol(
        "ic_lpips_masked",  # IC-LPIPS(a), SeaS: images multiplied by their defect masks
        "lpips_vgg",
        "the training images, masked",
        cap=140,
        choice="first",
        ties="first",
        zeros=True,
        resize="256 px, bilinear",
        masked=True,
    ),
)


def assign(to_references: Floats, protocol: Protocol) -> Indices:
    """Nearest reference (M,) of each image, from distances (M, K).

    Raises:
        ValueError: not (M, K) with K >= 1, or a distance is NaN.
    """
    if to_references.ndim != 2 or to_references.shape[1] < 1:
        raise ValueError(f"distances to references are {to_references.shape}; want (M, K), K >= 1")
    if np.isnan(to_references).any():
        raise ValueError(f"{int(np.isnan(to_references).sum())} distances to references are NaN")
    if protocol.ties == "first":
        return np.asarray(to_references.argmin(axis=1), dtype=np.int64)
    last = to_references.shape[1] - 1 - to_references[:, ::-1].argmin(axis=1)
    return np.asarray(last, dtype=np.int64)


def visiting_order(images: int, protocol: Protocol, rng: np.random.Generator) -> Indices:
    """The order in which images claim places under the cap.

    Taking the first `cap` of each cluster in a random order is a random `cap` of each.
    """
    return rng.permutation(images) if protocol.choice == "random" else np.arange(images)


def clusters(to_references: Floats, protocol: Protocol, rng: np.random.Generator) -> list[Indices]:
    """Members of each reference's cluster after the cap.

    Raises:
        ValueError: as `assign`.
    """
    nearest = assign(to_references, protocol)
    order = visiting_order(len(nearest), protocol, rng)
    ordered = nearest[order]
    return [order[ordered == k][: protocol.cap] for k in range(to_references.shape[1])]


def ic_lpips(
    within: Floats, to_references: Floats, protocol: Protocol, rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """Intra-cluster LPIPS from distances.

    Args:
        within: (M, M) distances among the generated images.
        to_references: (M, K) distances to the references.
        protocol: which code to follow.
        rng: draws the members where the protocol does.

    Returns:
        "<name>", and "<name>_rz" where the protocol reports both.

    Raises:
        ValueError: as `assign`, or the two do not fit.
    """
    if within.shape != (len(to_references),) * 2:
        raise ValueError(
            f"distances are {within.shape} and {to_references.shape}; want (M, M) and (M, K)"
        )
    members = clusters(to_references, protocol, rng)
    means = _cluster_means(within, members, np.ones((1, len(within))))
    return averaged(means[0], protocol)


def averaged(cluster_means: Floats, protocol: Protocol) -> dict[str, float] | Undefined:
    """Mean over clusters (K,), nan where a cluster has fewer than two members."""
    usable = cluster_means[np.isfinite(cluster_means)]
    if not len(usable):
        return Undefined("no cluster holds two images")
    without = float(usable.mean())
    if not protocol.zeros:
        return {protocol.name: without}
    counted = float(usable.sum() / len(cluster_means))
    return {protocol.name: counted, f"{protocol.name}_rz": without}


def _cluster_means(within: Floats, members: Sequence[Indices], weights: Array) -> Floats:
    """Mean distances (R, K) within clusters for weightings (R, M); copies make no pair."""
    found = np.full((len(weights), len(members)), np.nan)
    for k, rows in enumerate(members):
        w = weights[:, rows].astype(np.float64)
        total = np.einsum("ri,ri->r", w @ within[np.ix_(rows, rows)], w)
        pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
        np.divide(total, pairs, out=found[:, k], where=pairs > 0)
    return found


def _replicates(
    protocol: Protocol, real: Floats, fake: Array, rng: np.random.Generator, count: int
) -> dict[str, Floats]:
    """Resamples of the generated images; references and clusters stay as they are."""
    within, _ = unstored(fake)
    members = clusters(real, protocol, rng)
    means = _cluster_means(within, members, resample_counts(rng, len(within), count))
    values = [averaged(row, protocol) for row in means]
    kept = [value for value in values if not isinstance(value, Undefined)]
    keys = kept[0] if kept else {}
    return {key: np.array([value[key] for value in kept]) for key in keys}


def _score(
    protocol: Protocol, real: Floats, fake: Array, rng: np.random.Generator
) -> dict[str, float] | Undefined:
    """See `Metric.score`."""
    within, counts = unstored(fake)
    if (counts > 1).any():
        return Undefined("needs all pairs, but the stored distances are of groups")
    return ic_lpips(within, real, protocol, rng)


def metric(protocol: Protocol, extractor: str | None = None) -> Metric:
    """The metric of a protocol; with another LPIPS network its name says so.

    Tables take it by defect type and average, as its sources do.
    """
    named = extractor is not None and extractor != protocol.extractor
    name = f"{protocol.name}_{extractor}" if named else protocol.name
    chosen = Protocol(
        **{**vars(protocol), "name": name, "extractor": extractor or protocol.extractor}
    )
    return Metric(
        name=name,
        on="clusters",
        against="training",
        protocol=chosen,
        extractor=chosen.extractor + ("_masked" if chosen.masked else ""),
        better="higher",
        needs=2,
        reads=("real", "fake"),
        support={name: POSITIVE, f"{name}_rz": POSITIVE},
        score=lambda real, fake, rng: _score(chosen, real, fake, rng),
        resample=lambda real, fake, rng, count: _replicates(chosen, real, fake, rng, count),
    )


METRICS = tuple(metric(protocol) for protocol in PROTOCOLS)
