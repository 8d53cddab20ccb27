"""Costs: what a row would have cost alone."""

from __future__ import annotations

from defectbench.report.cost import costs


def job(key: str, stage: str, seconds: float, device: str = "CPU", **given) -> dict:
    whence = {"seconds": seconds, "device": device, "precision": "32-true"}
    base = {"kind": "job", "id": key, "stage": stage, "spec": given.pop("spec", {})}
    return {**base, "parents": given.pop("parents", {}), "provenance": whence, **given}


JOBS = [
    job("d", "prepare", 100.0),
    job("shared", "fit", 10.0, "GPU", parents={"data": "d"}, parameters=5, spec={"part": "shared"}),
    job("f1", "fit", 4.0, "GPU", parents={"data": "d", "shared": "shared"}, parameters=7),
    job("f2", "fit", 6.0, "GPU", parents={"data": "d", "shared": "shared"}, parameters=7),
    job("s", "sample", 2.0, "GPU", parents={"data": "d", "fit.a": "f1", "fit.b": "f2"}),
    job("t", "task", 30.0, parents={"data": "d", "synthetic": "s"}, parameters=11),
    job("r0", "task", 20.0, parents={"data": "d"}),
    job("r1", "task", 40.0, parents={"data": "d"}),
]


def table(*cells: dict) -> list[dict]:
    place = {"dataset": "D", "subset": "s", "variant": "", "model": "U"}
    plan = {"kind": "plan", "table": "t", "preset": "p", "cells": [{**place, **c} for c in cells]}
    return [plan, *JOBS]


def test_a_row_counts_all_trainings_behind_it():
    lines = table({"method": "G", "arm": "enlarge", "jobs": ["t"], "fits": ["f1", "f2"]})
    (row,) = costs(lines)
    assert (row["seconds_fit"], row["seconds_sample"], row["seconds_model"]) == (
        "20.0",
        "2.0",
        "30.0",
    )
    assert row["seconds"] == "52.0", "preparing the images is every row's"
    assert row["device"] == "CPU + GPU"
    assert (row["parameters_generator"], row["parameters_model"]) == ("14", "11")


def test_means_over_seeds_and_what_records_do_not_say():
    lines = table({"method": "none", "arm": "raw", "jobs": ["r0", "r1", "missing"], "fits": []})
    (row,) = costs(lines)
    assert (row["seconds"], row["seeds"], row["seconds_fit"]) == ("30.0", "2", "")
    assert row["parameters_model"] == row["parameters_generator"] == ""


def test_a_row_that_was_not_run_has_no_cost():
    assert costs(table({"method": "G", "arm": "enlarge", "jobs": ["x"], "fits": []})) == []
