"""Learning curves: a score over the number of real training images, a line per synthetic-to-real ratio.

Drawn for every table whose entries differ in `real`; a pure function of the rows of its CSV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHOUT = "none"  # method of arms without synthetic images
LEGEND_INCHES = 1.8  # an entry of the legend, with room for its name


@dataclass(frozen=True, order=True)
class Point:
    """One cell of a sweep.

    Attributes:
        real: real training images with a defect.
        mean: the score's mean over seeds.
        low: lower end of its interval; the mean where there is none.
        high: upper end.
    """

    real: int
    mean: float
    low: float
    high: float


Curves = dict[tuple[str, str, str], dict[str, list[Point]]]


def curves(rows: Sequence[Mapping[str, str]], primary: Mapping[str, str] | None = None) -> Curves:
    """Find the sweeps of a table.

    Args:
        rows: what `collect` gave for it.
        primary: the score that is shown, by model; by default each model's first.

    Returns:
        points by number of real images, by (subset, model, metric) and then by line: "raw", or the method and how many
        synthetic images it adds per real one. Only what has two sizes of the real set or more, and of each model one
        metric.
    """
    found: Curves = {}
    shown = dict(primary or {})
    for row in rows:
        if row["arm"] == "score" or not row["mean"] or not row["n_real"]:
            continue
        real, mean = middle(row["n_real"]), float(row["mean"])
        if shown.setdefault(row["model"], row["metric"]) != row["metric"] or not real:
            continue
        low, high = (float(row[end]) if row["ci_low"] else mean for end in ("ci_low", "ci_high"))
        panel = found.setdefault((row["subset"], row["model"], row["metric"]), {})
        panel.setdefault(_line(row), []).append(Point(real, mean, low, high))
    swept = {}
    for key, lines in found.items():
        many = {
            name: sorted(points)
            for name, points in lines.items()
            if len({point.real for point in points}) > 1
        }
        if many:
            swept[key] = many
    return swept


def _line(row: Mapping[str, str]) -> str:
    """Name the line of a cell."""
    if row["method"] == WITHOUT:
        return row["arm"].split(" ")[0]
    synthetic = int(row["n_synthetic"].split("-")[-1])
    return f"{row['method']}, {synthetic / middle(row['n_real']):.2g} per real image"


def middle(span: str) -> int:
    """Give the middle of a count over seeds: of `7-8` the rounded mean of both ends, of `8` itself."""
    ends = [int(end) for end in span.split("-")]
    return round((ends[0] + ends[-1]) / 2)


def draw_learning_curves(found: Curves, title: str, path: Path) -> None:
    """Draw sweeps as PNG, a panel per subset and model.

    Args:
        found: what `curves` gave; not empty.
        title: above all panels.
        path: file to write.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for lines in found.values() for name in lines))
    learned = [name for name in names if ", " in name]
    shades = colormaps["viridis_r"]
    colours = {n: shades(0.2 + 0.7 * i / max(len(learned) - 1, 1)) for i, n in enumerate(learned)}
    width = 0.6 + 3.2 * len(found)
    figure = Figure(figsize=(width, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, ((subset, model, metric), lines) in zip(panels, found.items(), strict=True):
        ticks = sorted({point.real for points in lines.values() for point in points})
        for name, points in lines.items():
            colour = colours.get(name, "0.35")
            x = [point.real for point in points]
            axis.fill_between(
                x, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.12, lw=0
            )
            style = "-" if name in colours else "--"
            axis.plot(
                x, [p.mean for p in points], style, marker="o", ms=4, color=colour, label=name
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=7)
        axis.minorticks_off()
        axis.tick_params(axis="y", labelsize=7)
        axis.set_title(f"{subset} · {model}", fontsize=8)
        axis.set_xlabel("real defective training images", fontsize=8)
        axis.set_ylabel(metric, fontsize=8)
        axis.grid(lw=0.3)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, int(width / LEGEND_INCHES))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=7)
    figure.suptitle(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
