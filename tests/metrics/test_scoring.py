"""Rows of scores: values, intervals, floors, reasons; and the catalogue of metrics."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from defectbench.config import UserError
from defectbench.features.images import ArrayImages
from defectbench.features.lpips_pairs import between, within
from defectbench.features.lpips_streams import grouped_distances, intra_cluster_rows
from defectbench.metrics.base import stored
from defectbench.metrics.fid import fid
from defectbench.metrics.ic_lpips import PROTOCOLS
from defectbench.metrics.ic_lpips import metric as cluster_metric
from defectbench.metrics.kid import kid
from defectbench.metrics.mask_scores import INSPECTOR, PIXELS, per_image
from defectbench.metrics.parts import catalogue
from defectbench.metrics.parts.scoring import score_sets
from tests.features.stub_lpips import StubLpips

POOL, LOGITS = "inception_tf2015_pool3", "inception_tf2015_logits"


def _features(seed, images, shift=0.0):
    rng = np.random.default_rng(seed)
    return {
        POOL: rng.normal(size=(images, 12)) + shift,
        LOGITS: 2 * rng.normal(size=(images, 9)),
        "lpips_alex": stored(_distances(rng.random((images, 2)))),
    }


def _distances(points):
    return ((points[:, None] - points[None]) ** 2).sum(axis=2)


def _metrics(*names):
    return [catalogue.find(name) for name in names]


def _by_key(rows, kind="score"):
    return {row.key: row for row in rows if row.kind == kind}


def test_rows_carry_value_interval_counts_and_direction():
    real, fake = _features(0, 50), _features(1, 40, 0.5)
    rows = score_sets(
        real, fake, _metrics("fid", "kid", "is", "lpips_alex_pairwise"), np.random.default_rng(0)
    )
    scores = _by_key(rows)
    assert scores["fid"].value == fid(real[POOL], fake[POOL])
    assert scores["kid"].value == kid(real[POOL], fake[POOL])
    for key, better, counts in (
        ("fid", "lower", (50, 40)),
        ("kid", "lower", (50, 40)),
        ("is", "higher", (0, 40)),
        ("lpips_alex_pairwise", "higher", (0, 40)),
    ):
        row = scores[key]
        assert row.ci_low <= row.value <= row.ci_high
        assert (row.better, (row.n_real, row.n_fake)) == (better, counts)
        assert row.status == "ok"
    assert scores["fid"].interval == "bootstrap_200"
    assert scores["kid"].interval == "bootstrap_1000"
    assert scores["is_std"].ci_low is None
    assert "[" in str(scores["fid"])


def test_floors_compare_real_with_real():
    real, fake = _features(0, 60), _features(1, 40, 3.0)
    rows = score_sets(real, fake, _metrics("kid", "is"), np.random.default_rng(0), replicates=0)
    floors = _by_key(rows, "floor")
    assert (floors["kid"].n_real, floors["kid"].n_fake) == (30, 30)
    assert abs(floors["kid"].value) < 0.05 * _by_key(rows)["kid"].value
    assert floors["kid"].ci_low is None
    assert floors["is"].n_fake == 40
    training = _features(2, 25)
    rows = score_sets(
        real, fake, _metrics("kid"), np.random.default_rng(0), replicates=0, training=training
    )
    assert _by_key(rows, "floor")["kid"].value == kid(real[POOL], training[POOL])


def test_memorising_is_looked_for_among_the_training_images_and_quality_among_unseen_ones():
    unseen, training, fake = _features(0, 60), _features(1, 40), _features(2, 30)
    fake[POOL][:15] = training[POOL][:15]
    names = ("memorisation", "fid_training", "fid")
    rows = score_sets(
        unseen, fake, _metrics(*names), np.random.default_rng(0), replicates=0, training=training
    )
    scores, floors = _by_key(rows), _by_key(rows, "floor")
    assert scores["authenticity"].value <= 0.5
    assert scores["nn_ratio"].n_real == 40
    assert floors["nn_ratio"].n_fake == 60
    assert scores["fid_training"].value == fid(training[POOL], fake[POOL])
    assert scores["fid"].value == fid(unseen[POOL], fake[POOL])
    assert floors["fid_training"].value == pytest.approx(floors["fid"].value, rel=0.2)
    assert (floors["fid_training"].n_real, floors["fid_training"].n_fake) == (40, 30)


def test_the_ceiling_is_the_score_of_replayed_training_images():
    unseen, training, fake = _features(0, 60), _features(1, 40), _features(2, 50)
    places = np.random.default_rng(0).integers(40, size=50)
    copies = {name: training[name][places] for name in (POOL, LOGITS)}
    rows = score_sets(
        unseen,
        fake,
        _metrics("fid", "is", "memorisation"),
        np.random.default_rng(0),
        replicates=0,
        training=training,
        copies=copies,
    )
    ceilings = _by_key(rows, "ceiling")
    assert ceilings["fid"].value == fid(unseen[POOL], training[POOL][places])
    assert (ceilings["fid"].n_real, ceilings["fid"].n_fake) == (60, 50)
    assert ceilings["authenticity"].value == 0
    assert ceilings["nn_ratio"].value == pytest.approx(0, abs=1e-6)
    assert ceilings["is"].ci_low is None


def test_a_score_does_not_depend_on_the_others_asked_for():
    real, fake = _features(0, 30), _features(1, 30)
    alone = score_sets(real, fake, _metrics("kid_stylegan"), np.random.default_rng(3))
    names = ("fid", "kid", "kid_stylegan")
    among = score_sets(real, fake, _metrics(*names), np.random.default_rng(3))
    assert [row for row in among if row.metric == "kid_stylegan"] == alone
    other = score_sets(real, fake, _metrics("kid_stylegan"), np.random.default_rng(4))
    assert other[0].ci_low != alone[0].ci_low


def test_what_has_no_value_says_why():
    real, fake = _features(0, 4), _features(1, 3)
    names = ("density_coverage_k5", "fd_dinov2_vitb14", "ic_lpips_dfmgan", "kid")
    rows = score_sets(real, fake, _metrics(*names), np.random.default_rng(0))
    scores = {row.metric: row for row in rows if row.kind == "score"}
    few = scores["density_coverage_k5"]
    assert str(few) == "n/a (needs ≥ 6; has 4 real and 3 fake)"
    assert (few.value, few.status, few.n_real, few.n_fake) == (None, "n/a", 4, 3)
    assert scores["fd_dinov2_vitb14"].reason == "no dinov2_vitb14 features"
    assert scores["ic_lpips_dfmgan"].reason == "no lpips_alex_to_real features"
    assert scores["kid"].status == "ok"


def test_broken_features_are_an_error_not_a_row():
    real, fake = _features(0, 10), _features(1, 10)
    fake[POOL][3, 3] = np.nan
    with pytest.raises(ValueError, match="generated features: 1 of 10 rows"):
        score_sets(real, fake, _metrics("kid"), np.random.default_rng(0))


def _pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    tone = rng.integers(0, 200, (count, 1, 1, 3))
    return ArrayImages((tone + rng.integers(0, 56, (count, 4, 4, 3))).astype(np.uint8))


def test_intra_cluster_rows_are_the_same_from_pairs_and_from_sums():
    sets = [(_pictures(300), _pictures(3, 1))]
    measure = cluster_metric(PROTOCOLS[0])
    pairs = intra_cluster_rows(StubLpips(), sets, measure, np.random.default_rng(5))
    sums = intra_cluster_rows(
        StubLpips(), sets, measure, np.random.default_rng(5), budget=4 * 48 * 40
    )
    assert [row.key for row in pairs] == [row.key for row in sums]
    for first, second in zip(pairs, sums, strict=True):
        assert first.interval == "bootstrap_1000"
        assert second.interval == "jackknife_10"
        assert (first.n_real, first.n_fake) == (second.n_real, second.n_fake) == (3, 300)
        assert first.ci_low < first.value < first.ci_high
        assert second.ci_low < second.value < second.ci_high
        assert first.value == pytest.approx(second.value, rel=1e-5)


def test_intra_cluster_lpips_is_the_mean_over_defect_types():
    protocol = next(p for p in PROTOCOLS if p.name == "ic_lpips_dfmgan")
    measure = cluster_metric(protocol)
    one, two = (_pictures(40), _pictures(2, 1)), (_pictures(30, 2), _pictures(3, 3))

    def value(*sets):
        rows = intra_cluster_rows(StubLpips(), sets, measure, np.random.default_rng(0))
        return {row.key: row for row in rows}

    apart = [value(one)[protocol.name].value, value(two)[protocol.name].value]
    both = value(one, two)[protocol.name]
    assert both.value == pytest.approx(np.mean(apart))
    assert (both.n_real, both.n_fake) == (5, 70)
    assert both.ci_low < both.value < both.ci_high
    lonely = (_pictures(1), _pictures(2, 1))
    assert value(one, lonely)[protocol.name].value == pytest.approx(apart[0])
    assert value(lonely)[protocol.name].reason == "needs ≥ 2; has 1 fake"
    assert value()[protocol.name].reason == "no defect type has both images and references"


def test_grouped_distances_say_jackknife():
    fake = {"lpips_alex": grouped_distances(StubLpips(), _pictures(60))}
    rows = score_sets({}, fake, _metrics("lpips_alex_pairwise"), np.random.default_rng(0))
    full = {"lpips_alex": stored(within(StubLpips(), _pictures(60)))}
    other = score_sets({}, full, _metrics("lpips_alex_pairwise"), np.random.default_rng(0))
    assert (rows[0].interval, other[0].interval) == ("jackknife_10", "jackknife_60")
    assert rows[0].value == pytest.approx(other[0].value, rel=1e-5)
    assert rows[0].n_fake == 60


def test_distances_to_references_are_found_by_their_name():
    images, references = _pictures(50), _pictures(4, 1)
    cross, inner = between(StubLpips(), images, references, inner=True)
    rows = score_sets(
        {"lpips_alex_to_real": cross},
        {"lpips_alex": stored(inner)},
        _metrics("ic_lpips_dfmgan"),
        np.random.default_rng(0),
    )
    assert [row.key for row in rows] == ["ic_lpips_dfmgan", "ic_lpips_dfmgan_rz"]


def test_values_per_image_become_one_row():
    metric = per_image("inside", "change_inside", "pixels", "higher")
    values = {"inside": np.array([[0.2], [0.4], [np.nan], [0.6]])}
    none = {"inside": np.full((2, 1), np.nan)}
    row = score_sets({}, values, [metric], np.random.default_rng(0))[0]
    assert row.value == pytest.approx(0.4)
    assert row.ci_low < 0.4 < row.ci_high
    assert (row.n_real, row.n_fake) == (0, 3)
    rows = score_sets(none, none, [metric], np.random.default_rng(0), copies=values)
    assert str(rows[0]) == "n/a (needs ≥ 1 image with a value; has none)"
    assert [row.kind for row in rows] == ["score", "floor", "ceiling"]
    assert rows[2].value == pytest.approx(0.4)


def test_the_catalogue_knows_every_metric_and_no_torch():
    known = catalogue.metrics()
    assert all(name == metric.name for name, metric in known.items())
    assert set(known) <= set(catalogue.SUMMARIES)
    with pytest.raises(UserError, match="did you mean 'kid_stylegan'"):
        catalogue.find("kid_stylegan2")
    code = "import sys, defectbench.metrics.parts.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_extractor_a_metric_names_can_be_built():
    from defectbench.features.extractors import EXTRACTORS, PARTS

    for metric in catalogue.metrics().values():
        if metric.extractor in (INSPECTOR, PIXELS):
            continue
        name = metric.extractor.removesuffix("_masked")
        assert PARTS.get(name, name) in EXTRACTORS


def _one(metric, real, fake, replicates=200):
    rows = score_sets(real, fake, [metric], np.random.default_rng(0), replicates=replicates)
    return {row.key: row for row in rows if row.kind == "score"}


def test_shares_of_0_and_1_have_an_interval():
    rate = per_image("rate", "without_visible_change", PIXELS, "lower")
    for value, low, high in ((0.0, 0.0, 0.1611), (1.0, 0.8389, 1.0)):
        row = _one(rate, {}, {"rate": np.full((20, 1), value)})["rate"]
        assert (row.ci_low, row.ci_high) == pytest.approx((low, high), abs=5e-5)  # Newcombe 1998
        assert row.interval == "student_t+wilson"
    share = per_image("share", "change_inside", PIXELS, "higher")
    assert _one(share, {}, {"share": np.ones((20, 1))})["share"].ci_low == pytest.approx(
        0.8389, abs=5e-5
    )
    assert _one(rate, {}, {"rate": np.zeros((1, 1))})["rate"].ci_high == pytest.approx(
        0.7935, abs=5e-5
    )
    real, fake = _features(0, 30), _features(1, 40, 50.0)
    precise = _one(catalogue.find("precision_recall_k3"), real, fake)
    assert precise["recall"].value == precise["precision"].value == 0
    assert precise["recall"].ci_high == pytest.approx(0.1135, abs=5e-4)  # of 30 real images
    assert precise["precision"].ci_high == pytest.approx(0.0876, abs=5e-4)  # of 40 generated ones
    assert precise["recall"].interval.endswith("+wilson")
    copies = {POOL: np.repeat(real[POOL][:5], 4, axis=0)}
    authentic = _one(catalogue.find("memorisation"), real, copies)["authenticity"]
    assert (authentic.value, authentic.ci_low) == (0, 0)
    assert authentic.ci_high >= 0.1611


@pytest.mark.parametrize(("real", "fake"), [(2, 2), (2, 50), (50, 2)])
def test_two_images_have_no_interval(real, fake):
    """The only resample of two with two distinct images is themselves."""
    for name in ("kid", "fid"):
        row = _one(catalogue.find(name), _features(0, real), _features(1, fake))[name]
        assert row.value is not None
        assert (row.ci_low, row.ci_high, row.interval) == (None, None, "")
    pair = _one(catalogue.find("lpips_alex_pairwise"), {}, _features(0, 2))["lpips_alex_pairwise"]
    assert pair.ci_low is None


def test_the_interval_of_pairs_of_few_images_holds_the_mean():
    metric, held = catalogue.find("lpips_alex_pairwise"), 0
    for seed in range(200):
        points = np.random.default_rng(seed).normal(size=(10, 3))
        row = _one(metric, {}, {"lpips_alex": stored(_distances(points))}, 300)[
            "lpips_alex_pairwise"
        ]
        held += row.ci_low <= 6 <= row.ci_high  # twice the variance of three normal numbers
    assert held / 200 > 0.87  # resamples: 0.70


def test_values_that_do_not_vary_have_no_interval():
    tone = per_image("tone", "background_lpips", "lpips_alex", "lower", (0.0, np.inf))
    row = _one(tone, {}, {"tone": np.full((9, 1), 0.25)})["tone"]
    assert (row.value, row.ci_low, row.interval) == (0.25, None, "")
