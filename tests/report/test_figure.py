"""Figures have a panel for each dataset, category and model."""

from __future__ import annotations

from PIL import Image

from defectbench.report.figure import draw_figure

CELL = {"subset": "all", "method": "none", "arm": "raw", "model": "U-Net", "variant": ""}


def drawn(tmp_path, datasets, statuses=("ok",)):
    labels = [f"Raw {n}" for n in range(len(statuses))]
    columns = [{**CELL, "method": label} for label in labels]
    cells = [{**c, "label": label} for c, label in zip(columns, labels, strict=True)]
    plan = {"table": "x/1", "preset": "smoke", "cells": cells}
    row = {"metric": "miou", "mean": "0.5", "ci_low": "", "ci_high": ""}
    rows = [
        {**column, **row, "dataset": dataset, "status": status}
        for dataset in datasets
        for column, status in zip(columns, statuses, strict=True)
    ]
    path = tmp_path / "figure.png"
    draw_figure(plan, rows, path)
    with Image.open(path) as image:
        return image.size


def test_datasets_do_not_share_a_panel(tmp_path):
    three, four = drawn(tmp_path, ["A", "B", "C"]), drawn(tmp_path, ["A", "B", "C", "D"])
    assert four[0] - three[0] == round(2.6 * 110)


def test_a_column_of_which_nothing_was_run_takes_no_place(tmp_path):
    one, three = drawn(tmp_path, ["A"]), drawn(tmp_path, ["A"], ("ok", "ok", "failed"))
    assert three[1] > one[1]
    assert drawn(tmp_path, ["A"], ("ok", "not run", "not run")) == one
    assert drawn(tmp_path, ["A"], ("not run",) * 3) == three, "nothing at all was run"
