"""Figures have a panel for each dataset, category and model."""

from __future__ import annotations

from PIL import Image

from defectbench.report.figure import draw_figure

CELL = {"subset": "all", "method": "none", "arm": "raw", "model": "U-Net", "variant": ""}


def drawn(tmp_path, datasets):
    plan = {"table": "x/1", "preset": "smoke", "cells": [{**CELL, "label": "Raw"}]}
    row = {**CELL, "metric": "miou", "status": "ok", "mean": "0.5", "ci_low": "", "ci_high": ""}
    path = tmp_path / f"{len(datasets)}.png"
    draw_figure(plan, [{**row, "dataset": dataset} for dataset in datasets], path)
    with Image.open(path) as image:
        return image.width


def test_datasets_do_not_share_a_panel(tmp_path):
    assert drawn(tmp_path, ["A", "B", "C"]) - drawn(tmp_path, ["A"]) == 2 * round(2.6 * 110)
