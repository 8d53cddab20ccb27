"""A user's own images in `fit` and `run`, in every layout, with defects that nobody has listed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from defectbench.executors.inline import Inline
from defectbench.plan.planner import make_plan
from defectbench.runner.run import Options, plan_table, run_table
from defectbench.runner.sources import find_sources
from defectbench.spec.loading import load_table
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.store.jobs import Store
from tests.runner.test_bad_input import refused
from tests.running import TABLE

LAYOUTS = ["mvtec", "root of mvtec", "flat", "by defect", "csv"]


def picture(path: Path, seed: int, *, mask: Path | None = None) -> None:
    """Write a noisy image, with a bright square if there is a mask to write."""
    rng = np.random.default_rng(seed)
    image = rng.integers(80, 160, (40, 40, 3)).astype(np.uint8)
    if mask is not None:
        y, x = rng.integers(4, 26, 2)
        image[y : y + 10, x : x + 10] = 240
        marked = np.zeros((40, 40), np.uint8)
        marked[y : y + 10, x : x + 10] = 255
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked).save(mask)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write(layout: str, folder: Path) -> tuple[Path, str, tuple[str, ...]]:
    """Write images as a user might have them; give what `--data` names, the product and the defects."""
    kinds = ("dent", "Riß")
    top = folder / "plates"
    match layout:
        case "mvtec" | "root of mvtec":
            inner = top / "lid" if layout == "mvtec" else top
            for i in range(8):
                picture(inner / f"train/good/{i:03d}.png", i)
                picture(inner / f"test/good/{i:03d}.png", 100 + i)
                for k, kind in enumerate(kinds):
                    mask = inner / f"ground_truth/{kind}/{i:03d}_mask.png"
                    picture(inner / f"test/{kind}/{i:03d}.png", 1000 * (k + 1) + i, mask=mask)
            return top, inner.name, kinds
        case "flat":
            for i in range(12):
                picture(top / f"images/{i}.png", i, mask=top / f"masks/{i}.png")
                picture(top / f"images/ok{i}.png", 100 + i)
                Image.new("L", (40, 40)).save(top / f"masks/ok{i}.png")
            return top, "plates", ("defect",)
        case "by defect":
            for i in range(8):
                picture(top / f"images/good/{i}.png", i)
                for k, kind in enumerate(kinds):
                    mask = top / f"masks/{kind}/{i}.png"
                    picture(top / f"images/{kind}/{i}.png", 1000 * (k + 1) + i, mask=mask)
            return top, "plates", kinds
        case _:
            rows = ["image,mask,defects"]
            for i in range(8):
                picture(top / f"a/{i}.png", i)
                rows.append(f"a/{i}.png,,")
                for k, kind in enumerate(kinds):
                    mask = top / f"m/{kind}{i}.png"
                    picture(top / f"a/{kind}{i}.png", 1000 * (k + 1) + i, mask=mask)
                    rows.append(f"a/{kind}{i}.png,m/{kind}{i}.png,{kind}")
            (top / "parts.csv").write_text("\n".join(rows))
            return top / "parts.csv", "parts", kinds


def own_table(path: Path, product: str) -> Path:
    """Write the tiny table for a user's own images; it lists no defects."""
    text = TABLE.replace("dataset: mvtec_ad", "dataset: folder")
    text = text.replace("products: [wood]", f"products: [{product}]")
    text = text.replace("defects: {wood: [hole, liquid]}\n", "")
    path.write_text(text.replace("seeds: [0, 1]", "seeds: [0]"))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_table_finds_the_defects_in_the_images(layout, tmp_path):
    data, product, defects = write(layout, tmp_path)
    table = own_table(tmp_path / "own.yaml", product)
    options = Options(data=data, out=tmp_path / "out")
    plan = plan_table(str(table), options, pytest.fail)
    job = next(job for job in plan.jobs.values() if job.stage == "prepare")
    assert set(job.spec["defects"]) == set(defects)
    own = data.stem if data.is_file() else data.name
    assert {cell.dataset for cell in plan.cells} == {own}, "every folder under its own name"
    store = Store(tmp_path / "jobs")
    execute(job, Context(store, data))
    result = store.result(job.id)
    assert result is not None, store.failure(job.id)
    counts = result["counts"]
    assert min(counts["train_defective"], counts["test_defective"], counts["train_normal"]) >= 1
    assert not result["stand_in"]


def test_contents_without_normals_to_be_put_on_are_refused_before_training(tmp_path):
    data, product, kinds = write("csv", tmp_path)
    header, *rows = data.read_text().splitlines()
    data.write_text("\n".join([header, *(row for row in rows if row.endswith(kinds))]))
    table = own_table(tmp_path / "own.yaml", product)
    options = Options(
        data=data, out=tmp_path / "out", only={"method": ["DCDGANc"], "arm": ["score"]}
    )
    for _ in range(2):  # a second run passes over what has been refused
        ended: list[str] = []
        board = SimpleNamespace(
            begin=lambda *_: None,
            started=lambda job, ended=ended: ended.append(job.stage),
            progressed=lambda *_: None,
            ended=lambda *_: None,
        )
        outcome = run_table(str(table), options, Inline(), board, lambda _: None)
        assert "fit" not in ended
        assert not outcome.failed
        assert not outcome.lost
        cells = [cell for cell in outcome.plan.cells if cell.matches(options.only)]
        assert {cell.lacking for cell in cells} == {"needs normal images"}


@pytest.mark.slow
def test_a_defect_that_training_has_not_seen_is_not_drawn_under_its_name(run, tmp_path):
    data, product, (seen, unseen) = write("csv", tmp_path)
    header, *rows = data.read_text().splitlines()
    held = [row.endswith(unseen) or "/0." in row for row in rows]
    sides = ["test" if there else "train" for there in held]
    lines = [f"{row},{side}" for row, side in zip(rows, sides, strict=True)]
    data.write_text("\n".join([f"{header},split", *lines]))
    table = own_table(tmp_path / "own.yaml", product)
    table.write_text(table.read_text().replace("split: one_third", "split: official"))
    own = ("--data", data)
    done = run("run", table, *own, "--preset", "smoke", "--out", tmp_path / "out")
    assert done.code == 1, done.err  # a job failed
    cells = f"failed: sample Memoriser {product} seed 0: "
    assert f"{cells}folder: no training image of '{unseen}'" in done.err
    assert "fit Memoriser" not in done.out  # refused before its generators were trained
    again = run("run", table, *own, "--preset", "smoke", "--out", tmp_path / "out")
    assert again.code == 1, again.err
    assert "fit Memoriser" not in again.out
    official = ("--split", "official", "--size", "32", "--images", "4", "--batch", "2")
    small = ("--set", "base=4", "--set", "blocks=1", "--out", tmp_path / "fit")
    done = run("fit", "dcdgan_c", "--dataset", "folder", *own, *official, *small)
    assert done.code == 0, done.err
    drawn = ("--label", unseen, "--out", tmp_path / "drawn")
    done = run("sample", tmp_path / "fit/generator.ckpt", *drawn)
    refused(done, f"was not trained on it; known: {seen}")


def test_another_label_in_the_users_table_is_another_job(tmp_path):
    data, product, _ = write("csv", tmp_path)
    spec = load_table(own_table(tmp_path / "own.yaml", product))

    def digest() -> str:
        source = find_sources(spec, "smoke", data, tmp_path / "cache", pytest.fail)
        return next(iter(make_plan(spec, "smoke", source).jobs))

    before = digest()
    assert digest() == before
    data.write_text(
        data.read_text().replace("a/dent0.png,m/dent0.png,dent", "a/dent0.png,m/dent0.png,Riß")
    )
    assert digest() != before


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["mvtec", "flat", "csv"])
def test_one_generator_learns_from_them(layout, run, tmp_path):
    data, product, defects = write(layout, tmp_path)
    done = run(
        "fit", "cutpaste_real", "--dataset", "folder", "--data", data, "--size", 32, "--images", 8,
        "--batch", 4, "--out", tmp_path / "fit",
    )  # fmt: skip
    assert done.code == 0, done.err
    fit = next(
        json.loads(p.read_text())
        for p in tmp_path.glob("fit/jobs/*/result.json")
        if '"stage": "fit"' in p.read_text()
    )
    assert fit["label"] == f"fit cutpaste_real {product}"
    assert fit["counts"]["defective"] >= len(defects)
    checkpoint, normal = tmp_path / "fit" / "generator.ckpt", min(tmp_path.rglob("*.png"))
    refused(run("sample", checkpoint, "--label", "hole", "--normal", normal), *defects)


@pytest.mark.slow
def test_a_whole_table_runs_on_them(run, tmp_path):
    data, product, _ = write("by defect", tmp_path)
    table = own_table(tmp_path / "own.yaml", product)
    done = run(
        "run", table, "--data", data, "--out", tmp_path / "out", "--only", "method=Memoriser"
    )
    assert done.code == 0, done.err
    with (tmp_path / "out" / "tiny" / "table1.smoke.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "Memoriser"]
    assert {row["status"] for row in rows} == {"ok"}
    assert {(row["dataset"], row["subset"], row["stand_in"]) for row in rows} == {
        (data.name, product, "no")
    }


def test_without_images_there_is_nothing_to_draw(run, tmp_path):
    refused(run("fit", "memoriser", "--dataset", "folder"), "give your images with --data")
    (tmp_path / "empty").mkdir()
    refused(
        run("fit", "memoriser", "--dataset", "folder", "--data", tmp_path / "empty"), "none there"
    )
