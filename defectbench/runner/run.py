"""The runner: plan a table, do what is not done yet, write records, CSV, Markdown, pictures and the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defectbench import names
from defectbench.config import UserError
from defectbench.datasets.base import open_dataset
from defectbench.executors.base import Board, Executor
from defectbench.files import keep_out, write_text
from defectbench.machine import told_device
from defectbench.plan.job import Job
from defectbench.plan.plan import Plan, Source
from defectbench.plan.planner import make_plan
from defectbench.report.collect import collect, published, write_csv
from defectbench.report.further import further
from defectbench.report.gain import GAIN_COLUMNS, gains
from defectbench.report.leaderboard import LEADERBOARD_COLUMNS, entrants, leaderboard
from defectbench.report.learning_curve import curves, draw_learning_curves
from defectbench.report.tables import markdown
from defectbench.runner.foreign import with_foreign
from defectbench.spec.loading import load_table
from defectbench.spec.table import TableSpec
from defectbench.store.jobs import Store
from defectbench.store.records import (
    read_records,
    records_path,
    telling_of_records,
    told_leaks,
    update_records,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a table is run.

    Attributes:
        preset: which preset.
        data: folder that holds the real datasets, if any.
        out: where results go; jobs lie in its `jobs/`.
        only: run only the cells with these values.
        retry: also try again what failed for a reason that would repeat.
        machine: devices and precision, see `training.Machine`.
        tensorboard: whether fits write TensorBoard files.
        foreign: folders of images that another program made, by the name of their column.
        unlabelled: what own images of which nothing says whether they are good are, of `datasets.base.UNLABELLED`.
    """

    preset: str = "smoke"
    data: Path | None = None
    out: Path = Path("results")
    only: Mapping[str, str] = field(default_factory=dict)
    retry: bool = False
    machine: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    foreign: Mapping[str, str] = field(default_factory=dict)
    unlabelled: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        plan: the plan.
        reused: jobs that were done, or had failed, before.
        done: jobs done now.
        failed: reasons of failed jobs that another try might not meet, by label.
        lost: reasons of those that would fail again (divergence, bad input), by label.
        files: what was written.
    """

    plan: Plan
    reused: int
    done: int
    failed: Mapping[str, str]
    lost: Mapping[str, str]
    files: Sequence[Path]


def find_sources(
    spec: TableSpec, preset: str, data: Path | None, cache: Path, say: Say, unlabelled: str = ""
) -> dict[str, Source]:
    """Look for each dataset of a table."""
    if unlabelled and not any(
        names.find("datasets", name).load().own_images for name in spec.datasets
    ):
        raise UserError(
            f"--unlabelled {unlabelled}: {spec.name} has no `dataset: folder`, and of others it is known which images are "
            "good; leave it out"
        )
    return {
        name: find_source(spec, name, preset, data, cache, say, unlabelled)
        for name in spec.datasets
    }


def find_source(
    spec: TableSpec,
    name: str,
    preset: str,
    data: Path | None,
    cache: Path,
    say: Say,
    unlabelled: str = "",
) -> Source:
    """Look for the real dataset below a data root; fall back to its stand-in where the preset allows.

    Of a dataset that is there in part, the products that it lacks are drawn.

    Raises:
        UserError: the root does not exist, or real data are needed and missing.
    """
    own = names.find("datasets", name).load().own_images
    dataset = open_dataset(name, unlabelled if own else "")
    folder, title = dataset.folder, dataset.title
    chosen = spec.preset(preset)
    if data is not None and not data.exists():
        raise UserError(f"{data}: no such folder; --data names the folder that holds {folder}/")
    root = dataset.find(data) if data is not None else None
    if root is not None:
        from defectbench.data.files.digests import data_digest

        if root.is_dir():
            keep_out(cache.parent, root)
        products = {
            subset.product
            for subset in spec.images.values()
            if (subset.dataset or spec.dataset) == name
        }
        lacking: set[str] = set()
        if chosen.stand_in is not None and not own:
            lacking = products - set(dataset.there(root))
        if lacking:
            say(f"{title}: no {', '.join(sorted(lacking))} in {root}, drawing its stand-in")
        scanned = {product: dataset.scan(root, [product]) for product in sorted(products - lacking)}
        for line in dict.fromkeys(line for m in scanned.values() for line in m.remarks):
            say(f"{title}: {line}")
        return Source(
            stand_in=False,
            root=root,
            digests={p: data_digest(m, cache / "digests.json") for p, m in scanned.items()},
            defects={p: m.defects for p, m in scanned.items()},
            without_normals=frozenset(
                p for p, m in scanned.items() if m.table["defects"].map(len).all()
            ),
            drawn=frozenset(lacking),
            unlabelled=dataset.unlabelled,
        )
    if chosen.stand_in is None:
        at = f"{data / folder} does not exist" if data else "no --data was given"
        raise UserError(
            f"{spec.name} {preset}: needs the real {title}, and {at}; put it in ROOT/{folder} and give --data ROOT "
            f"(how to get it: defectbench show {name})"
        )
    say(f"{title}: not found{f' in {data}' if data else ''}, drawing its stand-in")
    return Source(stand_in=True)


def check_data_used(tables: Sequence[str], preset: str, data: Path | None) -> None:
    """Refuse a data root in which no dataset of any of the tables is found: they would all be drawn instead.

    Raises:
        UserError: names the folders that were looked for.
    """
    if data is None or not data.exists():
        return
    specs = [load_table(names.find_table(table)) for table in tables]
    if any(spec.preset(preset).stand_in is None for spec in specs):
        return  # it says itself what it needs
    wanted = {name for spec in specs for name in spec.datasets}
    datasets = {name: names.find("datasets", name).load()() for name in sorted(wanted)}
    if any(dataset.find(data) is not None for dataset in datasets.values()):
        return
    folders = ", ".join(f"{dataset.folder}/ ({name})" for name, dataset in datasets.items())
    raise UserError(
        f"--data {data}: not used; no dataset of {', '.join(tables)} is there; expected {folders}; leave --data (or "
        "DEFECTBENCH_DATA) out to train on stand-ins. Your own images need a table with `dataset: folder`"
    )


def plan_table(name: str, options: Options, say: Say) -> Plan:
    """Load a table and plan it."""
    spec = with_foreign(load_table(names.find_table(name)), options.foreign)
    cache = options.out / "jobs"
    sources = find_sources(spec, options.preset, options.data, cache, say, options.unlabelled)
    return make_plan(spec, options.preset, sources)


def run_table(name: str, options: Options, executor: Executor, board: Board, say: Say) -> Outcome:
    """Run a table; a finished one is left as it is.

    Raises:
        UserError: something that the user can mend; what is finished is kept.
    """
    plan = plan_table(name, options, say)
    store = Store(options.out / "jobs")
    store.open()
    cells = [cell for cell in plan.cells if cell.matches(options.only)]
    if not cells:
        raise UserError(
            f"--only {dict(options.only)}: no cell of {plan.spec.name} has these values"
        )
    needed = plan.needed(cells)
    store.mend(needed.values())
    for key in needed:
        store.forgive(key, all_reasons=options.retry)
    todo = waiting(needed, store)
    if todo:
        say(told_device(options.machine))
        if executor.about:
            say(executor.about)
        from defectbench.stages.context import Context

        context = Context(
            store, options.data, options.machine, options.tensorboard, foreign=plan.foreign
        )
        board.begin(todo, len(needed) - len(todo))
        try:
            first = {key: job for key, job in todo.items() if job.stage == "prepare"}
            executor.run(first, context, board)
            refuse_impossible(todo, plan, store, board)
            executor.run(waiting(needed, store), context, board)
        finally:
            files = write_results(plan, store, options.out)
    else:
        files = write_results(plan, store, options.out)
    for leak in told_leaks(read_records(files[0])):
        say(f"warning: {leak}")
    said_of = [(key, job) for key, job in needed.items() if job.stage == "prepare"]
    for key, job in said_of:
        for line in (store.result(key) or {}).get("remarks", []):
            if "masks without a pixel" in line:
                say(f"{job.spec['dataset']}/{job.spec.get('product', '')}: {line}")
    failed: dict[str, str] = {}
    lost: dict[str, str] = {}
    for key, job in needed.items():
        failure = store.failure(key)
        if failure and not failure.get("blocked") and not failure.get("undefined"):
            (lost if failure["repeats"] else failed)[job.label] = str(failure["reason"])
    return Outcome(plan, len(needed) - len(todo), len(todo), failed, lost, files)


def waiting(needed: Mapping[str, Job], store: Store) -> dict[str, Job]:
    """Give the jobs that are neither done nor failed, without fits whose samples have all failed."""
    states = {key: store.state(key) for key in needed}
    hoped_for: set[str] = set()
    for key, job in reversed(list(needed.items())):  # children before their parents
        if states[key] != "failed" and (job.stage != "fit" or key in hoped_for):
            hoped_for |= set(job.parents.values())
    return {
        key: job
        for key, job in needed.items()
        if states[key] not in {"done", "failed"} and (job.stage != "fit" or key in hoped_for)
    }


def refuse_impossible(jobs: Mapping[str, Job], plan: Plan, store: Store, board: Board) -> None:
    """Fail the sample jobs that the prepared images show to be impossible, before their generators are trained."""
    from defectbench.stages.sample import check_sample

    for job in jobs.values():
        parents = {role: plan.jobs[parent] for role, parent in job.parents.items()}
        data = [parent.id for parent in parents.values() if parent.stage == "prepare"]
        if job.stage != "sample" or any(store.state(key) != "done" for key in data):
            continue
        try:
            check_sample(job, {r: p for r, p in parents.items() if p.stage == "fit"}, store)
        except UserError as error:
            store.fail(job, str(error), repeats=True)
            board.ended(job, "failed", str(error))


def write_results(plan: Plan, store: Store, out: Path) -> list[Path]:
    """Bring records up to date and write the table's files and the leaderboard from them."""
    path = records_path(out, plan.spec.name, plan.preset)
    update_records(path, plan, store)
    files = [path, *write_table(path, out)]
    files += write_pictures(plan, store, out)
    files.append(write_leaderboard(out))
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
    return [*written, write_leaderboard(out)]


def describe(plan: Plan, store: Store) -> dict[str, Any]:
    """Say what a plan holds: jobs by stage and state, fits against cells."""
    stages: dict[str, dict[str, int]] = {}
    for key, job in plan.jobs.items():
        states = stages.setdefault(job.stage, {})
        state = store.state(key)
        states[state] = states.get(state, 0) + 1
    return {
        "table": plan.spec.name,
        "title": plan.spec.title,
        "preset": plan.preset,
        "about": plan.spec.presets[plan.preset].about,
        "stand_in": any(source.stand_in or source.drawn for source in plan.sources.values()),
        "cells": len(plan.cells),
        "stages": stages,
        "jobs": [
            {
                "id": key,
                "stage": job.stage,
                "label": job.label,
                "state": store.state(key),
                "parents": dict(job.parents),
            }
            for key, job in plan.jobs.items()
        ],
    }
