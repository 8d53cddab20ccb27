"""LPIPS scores of sets whose embeddings do not fit in memory: one pass, sums only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from defectbench.metrics.base import Floats, Undefined
from defectbench.metrics.ic_lpips import Protocol, assign, averaged, metric, visiting_order
from defectbench.metrics.images import ImageSet
from defectbench.metrics.lpips import Lpips
from defectbench.metrics.lpips_pairs import (
    BUDGET,
    ClusterSums,
    Embedder,
    between,
    check_fit,
    exact_arithmetic,
    fits,
    squared_distances,
)
from defectbench.metrics.pairwise import GROUPS, jackknife_values, means_of_groups, stored
from defectbench.metrics.scoring import (
    REPLICATES,
    ScoreRow,
    missing_row,
    score_row,
    score_sets,
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


def intra_cluster_rows(
    net: Lpips,
    images: ImageSet,
    references: ImageSet,
    protocol: Protocol,
    rng: np.random.Generator,
    *,
    budget: int = BUDGET,
    replicates: int = REPLICATES,
) -> list[ScoreRow]:
    """Intra-cluster LPIPS with its interval, from all pairs where they fit and from sums where not.

    Args:
        net: the protocol's network, or another one, which the metric's name then says.
        images: M generated images (masked ones for the masked protocol).
        references: K real images of the same size.
        protocol: which code to follow.
        rng: where all draws come from.
        budget: bytes of embeddings that may be held.
        replicates: bootstrap resamples; 0 for no interval.

    Raises:
        ValueError: sizes differ, or references alone do not fit the budget.
    """
    measure = metric(protocol, net.name)
    if fits(net, images, len(images) + len(references), budget=budget):
        cross, inner = between(net, images, references, inner=True, budget=budget)
        among = {} if inner is None else {measure.inputs[1]: stored(inner)}
        return score_sets({measure.inputs[0]: cross}, among, [measure], rng, replicates=replicates)
    named = replace(protocol, name=measure.name)
    stream = numpy_rng(int(rng.integers(2**62)), measure.name)  # as in score_sets: same members
    found = streamed_ic_lpips(
        net, images, references, named, stream, budget=budget, count=replicates
    )
    sizes = (len(references), len(images))
    if isinstance(found.values, Undefined):
        return [missing_row(measure, "score", *sizes, found.values.reason)]
    return [
        score_row(
            measure,
            "score",
            key,
            value,
            sizes,
            found.replicates.get(key),
            f"jackknife_{found.groups}",
        )
        for key, value in found.values.items()
    ]
