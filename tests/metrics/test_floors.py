"""Floors: a perfect generator, one that draws from the real images' own distribution, beats them half of the time or less."""

from __future__ import annotations

import numpy as np
import pytest

from defectbench.metrics import fid, prdc
from defectbench.metrics.base import Fresh, Mix
from defectbench.metrics.inception_score import METRICS as INCEPTION_SCORES
from defectbench.metrics.parts import catalogue
from defectbench.metrics.parts.scoring import score_sets

POOL = "inception_tf2015_pool3"
RUNS = 40


def _draw(rng, count, dimensions=48, kind=0):
    """Features like a network's: positive, with a few strong directions. Two kinds stand for two labels."""
    mixing = np.random.default_rng(1).normal(size=(64, dimensions)) / 8
    hidden = rng.normal(size=(count, 64)) * np.linspace(1, 0.1, 64)
    hidden[:, 0] += 3 * kind
    return np.maximum(hidden @ mixing + 0.1 * rng.normal(size=(count, dimensions)), 0)


def _beaten(names, real, fake, dimensions=48, runs=RUNS):
    """Share of runs in which a perfect generator is better than its floor, by key."""
    metrics, better = [catalogue.find(name) for name in names], {}
    for run in range(runs):
        rng = np.random.default_rng([real, fake, dimensions, run])
        sets = {POOL: _draw(rng, real, dimensions)}, {POOL: _draw(rng, fake, dimensions)}
        rows = score_sets(*sets, metrics, np.random.default_rng(run), replicates=0)
        floors = {row.key: row for row in rows if row.kind == "floor"}
        for row in rows:
            if row.kind == "score":
                floor = floors[row.key]
                assert (floor.n_real, floor.n_fake) == (row.n_real, row.n_fake)
                ahead = (
                    row.value - floor.value if row.better == "higher" else floor.value - row.value
                )
                better.setdefault(row.key, []).append(ahead > 0)
    return {key: np.mean(values) for key, values in better.items()}


@pytest.mark.parametrize(
    ("real", "fake", "dimensions"),
    [(40, 40, 48), (60, 200, 48), (48, 48, 48), (168, 300, 48), (200, 20, 48), (48, 300, 512)],
)
def test_no_perfect_generator_beats_its_floor_as_a_rule(real, fake, dimensions):
    """Halves of the real images, the floor of before, were beaten in 40 of 40 runs."""
    names = ("fid", "fid_training", "precision_recall_k3", "density_coverage_k5")
    beaten = _beaten(names, real, fake, dimensions)
    for key in ("fid", "fid_training", "precision", "density", "coverage"):
        assert beaten[key] <= 0.7, key  # 40 runs of a half exceed 0.7 once in 150
    assert beaten["recall"] <= 0.75


def test_the_frechet_floor_is_close_to_what_a_perfect_generator_reaches():
    scores, floors = [], []
    for run in range(20):
        rng = np.random.default_rng(run)
        real, fake = _draw(rng, 60), _draw(rng, 120)
        scores.append(fid.fid(real, fake))
        floors.append(fid.floor_of_fid(real, Fresh(120), rng))
    assert np.mean(floors) == pytest.approx(np.mean(scores), rel=0.1)


def test_the_frechet_floor_takes_the_generated_images_mix_of_labels():
    """Real images half and half, generated ones nine to one: even a perfect generator is far from them then."""
    scores, floors, blind = [], [], []
    for run in range(20):
        rng = np.random.default_rng(run)
        real = np.concatenate([_draw(rng, 60), _draw(rng, 60, kind=1)])
        fake = np.concatenate([_draw(rng, 180), _draw(rng, 20, kind=1)])
        mix = Mix(np.repeat([0, 1], 60), np.repeat([180 / 60, 20 / 60], 60))
        scores.append(fid.fid(real, fake))
        floors.append(fid.floor_of_fid(real, Fresh(200, mix), rng))
        blind.append(fid.floor_of_fid(real, Fresh(200), rng))
    assert np.mean(floors) == pytest.approx(np.mean(scores), rel=0.15)
    assert np.mean(blind) < 0.85 * np.mean(scores)
    assert np.mean(np.array(scores) < np.array(floors)) <= 0.6
    equal = np.ones(120)
    assert fid.reweighted_fid(real, equal) == pytest.approx(0, abs=1e-9)


def test_coverage_of_a_perfect_generator_is_known_exactly():
    values = []
    for run in range(200):
        rng = np.random.default_rng(run)
        values.append(prdc.density_coverage(rng.random((20, 3)), rng.random((15, 3))))
    floor = prdc.floor_of_density_coverage(np.zeros((20, 3)), Fresh(15), np.random.default_rng(0))
    assert np.mean([v.density for v in values]) == pytest.approx(floor["density"], abs=0.06)
    assert np.median([v.coverage for v in values]) == pytest.approx(floor["coverage"], abs=0.051)
    many = prdc.floor_of_density_coverage(np.zeros((20, 3)), Fresh(5000), np.random.default_rng(0))
    assert many["coverage"] == 1


def test_the_inception_scores_floor_has_the_score_s_number_of_images():
    (metric,) = INCEPTION_SCORES
    logits = 2 * np.random.default_rng(0).normal(size=(400, 9))
    fresh = [
        np.mean([metric.floor(logits, Fresh(n), np.random.default_rng(s))["is"] for s in range(9)])
        for n in (40, 200)
    ]
    assert fresh[0] < fresh[1]  # the score grows with the number


def test_too_few_real_images_have_no_floor_and_say_so():
    rng = np.random.default_rng(0)
    sets = {POOL: _draw(rng, 6)}, {POOL: _draw(rng, 30)}
    rows = score_sets(*sets, [catalogue.find("fid")], rng, replicates=0)
    assert str(rows[1]) == "n/a (needs >= 8 real and 4 generated images; has 6 and 30)"
