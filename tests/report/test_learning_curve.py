"""Learning curves: which cells of a table are a sweep, and that it is drawn."""

from __future__ import annotations

from pathlib import Path

from defectbench.report.learning_curve import Point, curves, draw_learning_curves


def row(real: str, synthetic: str, mean: str, **given: str) -> dict[str, str]:
    method = "Oracle" if synthetic != "0" else "none"
    return {
        "subset": "tile",
        "method": method,
        "arm": f"enlarge {real}" if synthetic != "0" else f"raw {real}",
        "model": "M",
        "metric": "accuracy",
        "mean": mean,
        "ci_low": "",
        "ci_high": "",
        "n_real": real,
        "n_synthetic": synthetic,
        **given,
    }


ROWS = [
    row("16", "0", "0.7"),
    row("8", "0", "0.6", ci_low="0.5", ci_high="0.7"),
    row("8", "8", "0.7"),
    row("16", "16", "0.8"),
    row("8", "32", "0.9"),
    row("16", "64", "0.95"),
    row("16", "64", "0.5", metric="macro_f1"),
    row("", "", "", arm="enlarge failed"),
    row("3-5", "0", "0.1"),
    row("0", "0", "0.1"),
    row("16", "0", "0.3", arm="score", method="Oracle"),
]


def test_cells_become_a_line_per_ratio_over_the_number_of_real_images():
    found = curves(ROWS)
    assert list(found) == [("tile", "M", "accuracy")]
    lines = found[("tile", "M", "accuracy")]
    assert list(lines) == ["raw", "Oracle, 1 per real image", "Oracle, 4 per real image"]
    assert lines["raw"] == [
        Point(4, 0.1, 0.1, 0.1),
        Point(8, 0.6, 0.5, 0.7),
        Point(16, 0.7, 0.7, 0.7),
    ]
    assert [point.mean for point in lines["Oracle, 4 per real image"]] == [0.9, 0.95]


def test_the_primary_score_is_shown():
    rows = [
        *ROWS,
        row("8", "0", "0.4", metric="macro_f1"),
        row("16", "0", "0.5", metric="macro_f1"),
    ]
    found = curves(rows, {"M": "macro_f1"})
    assert list(found) == [("tile", "M", "macro_f1")]
    assert [point.mean for point in found["tile", "M", "macro_f1"]["raw"]] == [0.4, 0.5]


def test_a_table_with_one_number_of_real_images_has_none():
    assert curves([row("8", "0", "0.6"), row("8", "8", "0.7"), row("8", "32", "0.9")]) == {}


def test_they_are_drawn(tmp_path: Path):
    from PIL import Image

    draw_learning_curves(curves(ROWS), "a title", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 50
