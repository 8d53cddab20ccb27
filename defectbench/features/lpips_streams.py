"""LPIPS scores of sets whose embeddings do not fit in memory: one pass, sums only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from defectbench.features.images import ImageSet
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import (
    BUDGET,
    ClusterSums,
    Embedder,
    between,
    check_fit,
    exact_arithmetic,
    fits,
    squared_distances,
)
from defectbench.metrics.base import Floats, Metric, Undefined, stored
from defectbench.metrics.ic_lpips import (
    Protocol,
    assign,
    averaged,
    visiting_order,
)
from defectbench.metrics.pairwise import GROUPS, jackknife_values, means_of_groups
from defectbench.metrics.parts.scoring import (
    REPLICATES,
    Kind,
    ScoreRow,
    missing_row,
    score_row,
)
from defectbench.rng import numpy_rng

FEWEST_GROUPS = 2


@dataclass(frozen=True)
class Streamed:
    """A score from sums, with values spread as its jackknife says (none where groups are too few)."""

    values: dict[str, float] | Undefined
    replicates: dict[str, Floats] = field(default_factory=dict)
    groups: int = 1


def grouped_distances(net: Lpips, images: ImageSet, *, groups: int = GROUPS) -> Floats:
    """Mean distances between and within groups of images, as `pairwise.stored` keeps them.

    Image i goes to group i modulo the number of groups. Costs N forward passes and the memory of one
    batch and one embedding per group.

    Args:
        net: the network, on the device to be used.
        images: N >= 1 images of one size.
        groups: G, at most half the images.

    Returns:
        (G, G + 1).

    Raises:
        ValueError: sizes differ or are too small for the network.
    """
    groups = max(min(groups, len(images) // 2), 1)
    with exact_arithmetic():
        source = Embedder(net, images)
        sums = ClusterSums(1, groups, source.dimensions, source.device)
        for some, rows in source.stream(range(len(images))):
            sums.add(rows, np.zeros(len(some), np.int64), np.array(some) % groups)
        return stored(sums.means()[0], sums.counts[0])


def streamed_ic_lpips(
    net: Lpips,
    images: ImageSet,
    references: ImageSet,
    protocol: Protocol,
    rng: np.random.Generator,
    *,
    budget: int = BUDGET,
    count: int = 1000,
) -> Streamed:
    """Intra-cluster LPIPS with M + K forward passes and memory for references and sums only.

    Images arrive in the protocol's order; each is assigned by its distances to the references and,
    while its cluster has places, added to the sums of its cluster. Members are the same as those of
    `ic_lpips.clusters` from the same `rng`.

    Args:
        net: the network, on the device to be used.
        images: M images.
        references: K images of the same size.
        protocol: which code to follow.
        rng: draws the members where the protocol does.
        budget: bytes that references and sums may take; the interval's groups are as many as fit.
        count: values wanted for the interval.

    Raises:
        ValueError: sizes differ, or the references and one sum each do not fit the budget.
    """
    with exact_arithmetic():
        source = Embedder(net, references)
        clusters, dimensions = len(references), source.dimensions
        check_fit(dimensions, 2 * clusters, budget)
        room = budget // (4 * dimensions * clusters) - 1
        groups = int(np.clip(room, 1, GROUPS))
        near = source.all(range(clusters))
        far = Embedder(net, images, centre=source.centre)
        if far.dimensions != dimensions:
            raise ValueError("images and references differ in size; resize one to the other")
        sums = ClusterSums(clusters, groups, dimensions, far.device)
        taken = np.zeros(clusters, np.int64)
        for _, rows in far.stream(visiting_order(len(images), protocol, rng).tolist()):
            nearest = assign(squared_distances(rows, near), protocol)
            kept: list[int] = []
            places: list[int] = []
            for row, k in enumerate(nearest):
                if taken[k] < protocol.cap:
                    kept.append(row)
                    places.append(taken[k] % groups)
                    taken[k] += 1
            # Around its own reference a cluster's embeddings are short, and their sums exact.
            own = nearest[np.array(kept, np.int64)]
            sums.add(rows[kept] - near[own], own, np.array(places, np.int64))
    return _from_sums(sums, protocol, count)


def _from_sums(sums: ClusterSums, protocol: Protocol, count: int) -> Streamed:
    """Score and jackknife of filled sums."""
    means, sizes = sums.means(), sums.counts
    groups = sizes.shape[1]
    left_out = np.vstack(
        [np.zeros((1, groups), bool), np.eye(groups, dtype=bool)]
    )  # none, then each
    by_cluster = np.column_stack(
        [means_of_groups(means[k], sizes[k], sizes[k] * ~left_out) for k in range(len(sizes))]
    )
    whole, *parts = (averaged(row, protocol) for row in by_cluster)
    if isinstance(whole, Undefined) or groups < FEWEST_GROUPS or not count:
        return Streamed(whole)
    known = [part for part in parts if not isinstance(part, Undefined)]
    if len(known) < groups:
        return Streamed(whole)
    spread = {
        key: jackknife_values(value, np.array([part[key] for part in known]), count)
        for key, value in whole.items()
    }
    return Streamed(whole, spread, groups)


def intra_cluster(
    net: Lpips,
    images: ImageSet,
    references: ImageSet,
    measure: Metric,
    rng: np.random.Generator,
    *,
    budget: int = BUDGET,
    count: int = REPLICATES,
) -> Streamed:
    """Intra-cluster LPIPS, from all pairs where they fit the budget and from sums where not.

    Args:
        net: the network that `measure` names, on the device to be used.
        images: M generated images (masked ones for the masked protocol).
        references: K real images of the same size.
        measure: what to compute.
        rng: draws the members where the protocol does, and resamples.
        budget: bytes of embeddings that may be held.
        count: values wanted for the interval; 0 for none.

    Raises:
        ValueError: sizes differ, or references alone do not fit the budget.
    """
    members = int(rng.integers(2**62))  # the same for the score and its resamples
    if not fits(net, images, len(images) + len(references), budget=budget):
        return streamed_ic_lpips(
            net,
            images,
            references,
            measure.protocol,
            numpy_rng(members),
            budget=budget,
            count=count,
        )
    cross, inner = between(net, images, references, inner=True, budget=budget)
    among = stored(np.asarray(inner))
    values = measure(cross, among, numpy_rng(members))
    if isinstance(values, Undefined) or not count:
        return Streamed(values)
    return Streamed(values, measure.replicates(cross, among, numpy_rng(members), count))


def intra_cluster_rows(
    net: Lpips,
    sets: Sequence[tuple[ImageSet, ImageSet]],
    measure: Metric,
    rng: np.random.Generator,
    *,
    kind: Kind = "score",
    budget: int = BUDGET,
    replicates: int = REPLICATES,
) -> list[ScoreRow]:
    """Intra-cluster LPIPS averaged over sets (defect types, as its sources do) with its interval.

    Args:
        net: the network that `measure` names, on the device to be used.
        sets: generated images and their references, by defect type.
        measure: what to compute.
        rng: where all draws come from.
        kind: of the rows.
        budget: bytes of embeddings that may be held.
        replicates: bootstrap resamples; 0 for no interval.

    Returns:
        rows of the mean over the sets that have a value, or one that says why there is none.

    Raises:
        ValueError: sizes differ, or references alone do not fit the budget.
    """
    streams = [numpy_rng(int(rng.integers(2**62)), measure.name) for _ in sets]
    found = [
        intra_cluster(net, *pair, measure, stream, budget=budget, count=replicates)
        for pair, stream in zip(sets, streams, strict=True)
    ]
    sizes = (sum(len(references) for _, references in sets), sum(len(images) for images, _ in sets))
    known = [one.values for one in found if not isinstance(one.values, Undefined)]
    if not known:
        why = [one.values.reason for one in found if isinstance(one.values, Undefined)]
        reason = why[0] if why else "no defect type has both images and references"
        return [missing_row(measure, kind, *sizes, reason)]
    scored = [one for one in found if not isinstance(one.values, Undefined)]
    groups = max(one.groups for one in scored)
    rows = []
    for key in known[0]:
        spread = [one.replicates.get(key, np.empty(0)) for one in scored]
        length = min(map(len, spread))
        rows.append(
            score_row(
                measure,
                kind,
                key,
                float(np.mean([values[key] for values in known])),
                sizes,
                np.mean([values[:length] for values in spread], axis=0) if length else None,
                f"jackknife_{groups}" if groups > 1 else f"bootstrap_{length}",
            )
        )
    return rows
