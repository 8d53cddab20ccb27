"""Ranges of scores and what guessing reaches."""

from __future__ import annotations

import math

import pytest

from defectbench import names
from defectbench.report.bounds import below_chance, chance, clip, clip_gain, is_fraction


def job(**given):
    spec = {"arguments": given.pop("arguments", {}), "normals": given.pop("normals", 0)}
    return {"stage": "task", "spec": spec, "parents": {"data": "d"}, **given}


JOBS = {"d": {"counts": {"test_defective": 30, "test_normal": 70}}}


def test_every_score_of_the_tasks_is_known_to_be_a_fraction():
    for entry in names.entries("tasks").values():
        if "defectbench" in str(entry.path):
            assert all(is_fraction(name) for name in entry.facts["better"])


def test_scores_without_ends_are_not_cut():
    for name in ("fd_vgg16_random_s0", "kd_vgg16_random_s0", "density_coverage_k5_x.density"):
        assert clip(name, -3.0, 3.0) == (-3.0, 3.0)
        assert clip_gain(name, -3.0, 3.0) == (-3.0, 3.0)
    assert clip("pixel_ap", -0.2, 1.3) == (0.0, 1.0)
    assert clip_gain("pixel_ap", -1.2, 1.3) == (-1.0, 1.0)
    assert all(math.isnan(end) for end in clip("pixel_ap", math.nan, math.nan))


def test_what_guessing_reaches():
    four = job(details={"accuracy": dict.fromkeys("abcd", 0.5)})
    assert chance(four, "balanced_accuracy", JOBS) == 0.25
    assert chance(four, "accuracy", JOBS) is None
    several = job(details={"accuracy": {"a": 1.0}}, arguments={"multi_label": True})
    assert chance(several, "balanced_accuracy", JOBS) is None
    assert chance(job(), "image_auroc", JOBS) == 0.5
    assert chance(job(normals=10), "image_ap", JOBS) == pytest.approx(0.3)
    assert chance(job(), "image_ap", JOBS) == 1.0
    assert chance(job(normals=10), "image_ap", {}) is None
    assert chance(job(details={"chance": {"pixel_ap": 0.02}}), "pixel_ap", JOBS) == 0.02
    assert chance(job(), "pixel_ap", JOBS) is None
    assert chance({"stage": "score"}, "image_auroc", JOBS) is None


def test_a_value_below_it_is_remarked():
    done = [job(), job()]
    assert below_chance("pixel_auc", 0.4, done, JOBS) == "pixel_auc is below chance (0.5000)"
    assert below_chance("pixel_auc", 0.5, done, JOBS) == ""
    assert below_chance("pixel_ap", 0.0, done, JOBS) == ""
    assert below_chance("pixel_auc", math.nan, done, JOBS) == ""
