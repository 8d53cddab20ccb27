"""Intra-cluster LPIPS: each protocol written out, forward passes counted, sums against matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from defectbench.features.images import ArrayImages, MaskedImages
from defectbench.features.lpips_pairs import between
from defectbench.features.lpips_streams import streamed_ic_lpips
from defectbench.metrics.base import Undefined, stored
from defectbench.metrics.ic_lpips import METRICS, PROTOCOLS, assign, ic_lpips, metric
from tests.features.stub_lpips import StubLpips

each = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}


def _points(images: int, references: int, seed: int = 0):
    """Distances among images and to references, from points in the plane."""
    rng = np.random.default_rng(seed)
    first, second = rng.random((images, 2)), rng.random((references, 2))

    def gaps(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    return gaps(first, first), gaps(first, second)


def _written_out(within, cross, protocol, order):
    """Clusters filled one image at a time in the given order, then plain means."""
    members = [[] for _ in range(cross.shape[1])]
    for image in order:
        row = list(cross[image])
        best = min(row)
        places = [k for k, value in enumerate(row) if value == best]
        k = places[0] if protocol.ties == "first" else places[-1]
        if len(members[k]) < protocol.cap:
            members[k].append(image)
    means = []
    for cluster in members:
        pairs = list(itertools.combinations(cluster, 2))
        means.append(np.mean([within[i, j] for i, j in pairs]) if pairs else None)
    known = [mean for mean in means if mean is not None]
    return np.mean(known), sum(known) / len(means)


@each
def test_value_is_that_of_its_definition(protocol):
    within, cross = _points(400, 3)
    cross[:20] = cross[0, 1]  # ties
    values = ic_lpips(within, cross, protocol, np.random.default_rng(4))
    order = range(400)
    if protocol.choice == "random":
        order = np.random.default_rng(4).permutation(400)
    dropped, counted = _written_out(within, cross, protocol, order)
    if protocol.zeros:
        assert values[protocol.name] == pytest.approx(counted)
        assert values[f"{protocol.name}_rz"] == pytest.approx(dropped)
    else:
        assert values == {protocol.name: pytest.approx(dropped)}


def test_random_members_follow_the_seed_and_first_members_do_not():
    within, cross = _points(300, 2)

    def value(name, seed):
        return ic_lpips(within, cross, BY_NAME[name], np.random.default_rng(seed))

    assert value("ic_lpips_ojha", 1) == value("ic_lpips_ojha", 1) != value("ic_lpips_ojha", 2)
    assert value("ic_lpips_seas", 1) == value("ic_lpips_seas", 2)


def test_collapse_onto_one_reference_is_punished_only_where_zeros_count():
    within, cross = _points(40, 4)
    cross[:, 2] = 0
    dropped = ic_lpips(within, cross, BY_NAME["ic_lpips_ojha"], np.random.default_rng(0))
    both = ic_lpips(within, cross, BY_NAME["ic_lpips_seas"], np.random.default_rng(0))
    assert both["ic_lpips_seas"] == pytest.approx(both["ic_lpips_seas_rz"] / 4)
    assert dropped["ic_lpips_ojha"] == pytest.approx(both["ic_lpips_seas_rz"])


def test_one_image_per_cluster_has_no_value():
    answer = ic_lpips(np.zeros((2, 2)), np.eye(2), PROTOCOLS[0], np.random.default_rng(0))
    assert isinstance(answer, Undefined)
    assert "no cluster holds two images" in str(answer)


def _pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    tone = rng.integers(0, 200, (count, 1, 1, 3))
    return (tone + rng.integers(0, 56, (count, 4, 4, 3))).astype(np.uint8)


def test_a_thousand_images_and_six_references_cost_1006_forward_passes():
    images, references = ArrayImages(_pictures(1000)), ArrayImages(_pictures(6, 1))
    net = StubLpips()
    between(net, images, references, inner=True)
    assert net.passes == 1006
    for protocol in PROTOCOLS:
        net = StubLpips()
        streamed_ic_lpips(net, images, references, protocol, np.random.default_rng(0))
        assert net.passes == 1006


@each
@pytest.mark.parametrize("groups", [1, 10])
def test_sums_give_the_value_of_the_matrix(protocol, groups):
    images, references = ArrayImages(_pictures(700)), ArrayImages(_pictures(3, 1))
    cross, inner = between(StubLpips(), images, references, inner=True)
    expected = ic_lpips(inner, cross, protocol, np.random.default_rng(8))
    budget = 4 * 48 * 3 * (groups + 1)
    found = streamed_ic_lpips(
        StubLpips(), images, references, protocol, np.random.default_rng(8), budget=budget
    )
    assert found.values == pytest.approx(expected, rel=1e-5)
    assert bool(found.replicates) == (groups > 1)


def test_interval_of_sums_is_about_as_wide_as_that_of_the_matrix():
    protocol = BY_NAME["ic_lpips_dfmgan"]
    images, references = ArrayImages(_pictures(500)), ArrayImages(_pictures(4, 1))
    cross, inner = between(StubLpips(), images, references, inner=True)
    rng = np.random.default_rng(0)
    matrix = metric(protocol).replicates(cross, stored(inner), rng, 400)
    sums = streamed_ic_lpips(StubLpips(), images, references, protocol, rng).replicates
    for key in ("ic_lpips_dfmgan", "ic_lpips_dfmgan_rz"):
        width = [np.diff(np.quantile(found[key], [0.16, 0.84])) for found in (matrix, sums)]
        assert 0.4 < width[1] / width[0] < 2.5


def test_references_over_the_budget_are_refused_with_their_size():
    images = ArrayImages(_pictures(9))
    with pytest.raises(ValueError, match="embeddings of 18 images take"):
        streamed_ic_lpips(
            StubLpips(), images, images, PROTOCOLS[0], np.random.default_rng(0), budget=1000
        )


def test_masked_images_keep_only_the_mask():
    images = ArrayImages(_pictures(2))
    masks = np.zeros((2, 4, 4), np.uint8)
    masks[0, 1:3, 2] = 255
    masked = MaskedImages(images, masks)
    found = masked.load(0)
    assert np.array_equal(found[:, 1:3, 2], images.load(0)[:, 1:3, 2])
    assert found.sum() == images.load(0)[:, 1:3, 2].sum()
    assert not masked.load(1).any()
    assert masked.digest() != images.digest()
    with pytest.raises(ValueError, match=r"want \(2, H, W\), one per image"):
        MaskedImages(images, masks[:1])


def test_metrics_say_their_network_and_refuse_groups():
    assert [m.name for m in METRICS] == [p.name for p in PROTOCOLS]
    seeded = metric(BY_NAME["ic_lpips_dfmgan"], "lpips_alex_random_s0")
    assert seeded.name == "ic_lpips_dfmgan_lpips_alex_random_s0"
    groups = stored(np.ones((2, 2)), [3, 4])
    answer = seeded(np.ones((7, 2)), groups, np.random.default_rng(0))
    assert "the stored distances are of groups" in str(answer)


def test_broken_distances_are_refused():
    with pytest.raises(ValueError, match="2 distances to references are NaN"):
        assign(np.array([[1.0, np.nan], [np.nan, 0.0]]), PROTOCOLS[0])
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(2, 1\)"):
        ic_lpips(np.zeros((3, 3)), np.zeros((2, 1)), PROTOCOLS[0], np.random.default_rng(0))
