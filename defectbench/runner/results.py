"""The files of a table: records, CSV, Markdown, pictures and the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from defectbench.config import UserError
from defectbench.files import write_text
from defectbench.plan.plan import Plan
from defectbench.report.collect import COLUMNS, collect, published, write_csv
from defectbench.report.further import further
from defectbench.report.gain import GAIN_COLUMNS, gains
from defectbench.report.leaderboard import LEADERBOARD_COLUMNS, entrants, leaderboard
from defectbench.report.learning_curve import curves, draw_learning_curves
from defectbench.report.tables import markdown
from defectbench.store.jobs import Store, read_json
from defectbench.store.records import (
    read_records,
    records_path,
    telling_of_records,
    told_leaks,
    update_records,
)

INDEX = "sweep.json"
"""Name of the file that says which case of a sweep file each of its tables is."""


def write_results(plan: Plan, store: Store, out: Path) -> list[Path]:
    """Bring records up to date and write the table's files from them."""
    path = records_path(out, plan.spec.name, plan.preset)
    update_records(path, plan, store)
    files = [path, *write_table(path, out)]
    files += write_pictures(plan, store, out)
    return files


def write_table(records: Path, out: Path) -> list[Path]:
    """Write CSV, Markdown and figures of one records file.

    Raises:
        UserError: the file holds no records of this version.
    """
    with telling_of_records(records):
        return _write_table(read_records(records), out)


def _write_table(lines: list[dict[str, Any]], out: Path) -> list[Path]:
    printed = published()
    rows = collect(lines, printed)
    plan = [line for line in lines if line["kind"] == "plan"][-1]
    base = out / f"{plan['table']}.{plan['preset']}"
    base.parent.mkdir(parents=True, exist_ok=True)
    csv_path, md_path = base.with_name(base.name + ".csv"), base.with_name(base.name + ".md")
    figure_path = base.with_name(base.name + ".png")
    files = [csv_path, md_path, figure_path]
    changed = write_if_changed(csv_path, write_csv(rows))
    if (changed or not is_whole_picture(figure_path)) and any(
        row["arm"] != "score" for row in rows
    ):
        from defectbench.report.figure import draw_figure

        draw_figure(plan, rows, figure_path)
    sweeps = any(str(cell.get("variant", "")).startswith("real ") for cell in plan["cells"])
    primary = (plan.get("judgement") or {}).get("primary", {})
    swept = curves(rows, primary) if sweeps else {}
    if swept:
        curve_path = base.with_name(base.name + ".learning_curve.png")
        if changed or not is_whole_picture(curve_path):
            title = f"{plan['table']}, preset {plan['preset']}"
            draw_learning_curves(swept, title, curve_path)
        files.append(curve_path)
    gained = gains(lines, printed)
    others, below = further(lines)
    for other in others:
        other_path = base.with_name(f"{base.name}.{other.name}.csv")
        picture = other_path.with_suffix(".png")
        changed = write_if_changed(other_path, other.csv)
        files.append(other_path)
        if other.draw:
            if changed or not picture.exists():
                other.draw(picture)
            files.append(picture)
    write_if_changed(md_path, markdown(plan, rows, gained, told_leaks(lines), below))
    if gained:
        gain_path = base.with_name(base.name + ".gain.csv")
        write_if_changed(gain_path, write_csv(gained, GAIN_COLUMNS))
        files.append(gain_path)
    return files


def is_whole_picture(path: Path) -> bool:
    """Say whether there is a PNG file that ends as one does."""
    return path.exists() and path.read_bytes()[-12:-4] == b"\0\0\0\0IEND"


def write_if_changed(path: Path, text: str) -> bool:
    """Write a text file whole, unless it says so already.

    Returns:
        whether it was written.
    """
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def write_pictures(plan: Plan, store: Store, out: Path) -> list[Path]:
    """Put each method's sample grids beside the table: one PNG per generator, all its subsets."""
    written = []
    for method in plan.spec.methods:
        samples: dict[str, Path] = {}
        for cell in plan.cells:
            if cell.method != method or not cell.jobs:
                continue
            parent = plan.jobs[cell.jobs[0]].parents.get("synthetic")
            if parent is None:
                continue
            grid = store.folder(parent) / "samples.png"
            if is_whole_picture(grid):
                samples.setdefault(cell.subset, grid)
        if not samples:
            continue
        slug = "".join(c if c.isalnum() else "_" for c in method).strip("_").lower()
        path = out / f"{plan.spec.name}.{plan.preset}.samples" / f"{slug}.png"
        newest = max(p.stat().st_mtime for p in samples.values())
        if not is_whole_picture(path) or path.stat().st_mtime < newest:
            _stack(samples, path)
        written.append(path)
    return written


def _stack(pictures: Mapping[str, Path], path: Path) -> None:
    """Stack pictures, each under its name."""
    from PIL import Image, ImageDraw

    images = {name: Image.open(p).convert("RGB") for name, p in pictures.items()}
    head = 16
    sheet = Image.new(
        "RGB",
        (max(i.width for i in images.values()), sum(i.height + head for i in images.values())),
        "white",
    )
    draw, top = ImageDraw.Draw(sheet), 0
    for name, image in images.items():
        draw.text((3, top + 2), name, fill="black")
        sheet.paste(image, (0, top + head))
        top += image.height + head
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def write_leaderboard(out: Path) -> Path:
    """Gather every records file below `out` into `leaderboard.csv`."""
    rows: list[dict[str, str]] = []
    printed = published()
    for path in sorted((out / "records").glob("*.jsonl")):
        lines = read_records(path)
        if any(
            line["kind"] == "plan" for line in lines
        ):  # else damaged, and named when it was read
            with telling_of_records(path):
                rows += entrants(lines, collect(lines, printed))
    path = out / "leaderboard.csv"
    write_if_changed(path, write_csv(leaderboard(rows), LEADERBOARD_COLUMNS))
    return path


def write_joint(out: Path) -> list[Path]:
    """Write what stands on more than one table: the leaderboard, and the files of each sweep file."""
    files = [write_leaderboard(out)]
    for index in sorted((out / "sweeps").glob(f"*/{INDEX}")):
        files += write_cases(index, out)
    return files


def write_cases(index: Path, out: Path) -> list[Path]:
    """Write the long CSV and the leaderboard of a sweep file, which name the keys that were varied.

    Args:
        index: what `runner.cases.write_tables` wrote.
        out: where the records are; cases without records are left out.

    Returns:
        the files.
    """
    told = read_json(index)
    keys = list(told["keys"])
    rows: list[dict[str, str]] = []
    entered: list[dict[str, str]] = []
    for stem, case in told["cases"].items():
        records = records_path(out, f"{told['paper']}/{stem}", told["preset"])
        if not records.exists():
            continue
        with telling_of_records(records):
            lines = read_records(records)
            found = collect(lines, {})
            values = {key: _spell(case["values"][key]) for key in keys}
            here = {"table": case["table"], **values}
            rows += [{**row, **here} for row in found]
            entered += [{**row, **here} for row in entrants(lines, found)]
    base = index.parent
    files = [base.with_name(f"{base.name}.csv"), base.with_name(f"{base.name}.leaderboard.csv")]
    write_if_changed(files[0], write_csv(rows, _with_keys(COLUMNS, keys)))
    ranked = leaderboard(entered, keys)
    write_if_changed(files[1], write_csv(ranked, _with_keys(LEADERBOARD_COLUMNS, keys)))
    return files


def _with_keys(columns: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    place = columns.index("arm") + 1
    return (*columns[:place], *keys, *columns[place:])


def _spell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def recollect(out: Path) -> list[Path]:
    """Write every table and the leaderboard again from the records alone.

    Raises:
        UserError: there are no records.
    """
    paths = sorted((out / "records").glob("*.jsonl"))
    if not paths:
        raise UserError(
            f"{out / 'records'}: no records; run a table first, or give its folder with --out"
        )
    planned = [p for p in paths if any(line["kind"] == "plan" for line in read_records(p))]
    written = [file for path in planned for file in write_table(path, out)]
    return [*written, *write_joint(out)]
