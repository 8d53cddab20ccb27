"""Whole runs through the command line: same bytes however they are made, and nothing finished is ever lost."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from defectbench.plan.plan import parse_only
from defectbench.report.collect import COLUMNS
from defectbench.runner.run import Options, plan_table
from tests.running import call, command

pytestmark = pytest.mark.slow
CSV = "tiny/table1.smoke.csv"
SCORES = (
    "kd_vgg16_random_s0",
    "density_coverage_k5_vgg16_random_s0.density",
    "density_coverage_k5_vgg16_random_s0.coverage",
    "memorisation_vgg16_random_s0.nn_ratio",
    "memorisation_vgg16_random_s0.authenticity",
    "lpips_alex_random_s0_pairwise",
    "ic_lpips_dfmgan_lpips_alex_random_s0",
    "ic_lpips_dfmgan_lpips_alex_random_s0_rz",
    "mask_iou_raw_segmentation",
    "without_predicted_defect_raw_segmentation",
    "background_l1",
    "background_lpips_alex_random_s0",
    "change_inside",
    "without_visible_change",
)


def mtimes(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("jobs/*/result.json")}


def test_the_csv_has_every_cell_and_column(finished):
    with (finished / CSV).open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {(r["method"], r["arm"], r["metric"]) for r in rows} == {
        (m, a, x)
        for m, a in (("none", "raw"), ("DCDGANc", "enlarge"), ("Memoriser", "enlarge"))
        for x in ("pixel_auc", "pixel_f1")
    } | {(m, "score", x) for m in ("DCDGANc", "Memoriser") for x in SCORES}
    raw = next(r for r in rows if r["method"] == "none")
    assert raw["dataset"] == "MVTec AD stand-in"
    assert raw["stand_in"] == "yes"
    assert raw["n_seeds"] == "2"
    assert raw["n_synthetic"] == "0"
    assert float(raw["ci_low"]) <= float(raw["mean"]) <= float(raw["ci_high"])
    copied = {r["metric"]: r for r in rows if r["method"] == "Memoriser"}
    assert {r["status"] for r in copied.values()} == {"ok"}
    assert copied["pixel_auc"]["n_synthetic"] == "8"
    replayed = copied["memorisation_vgg16_random_s0.nn_ratio"]
    assert replayed["ceiling"] == "0.0000"
    assert float(replayed["mean"]) < float(replayed["floor"])
    assert replayed["n_real"] == "4"  # the training images
    assert copied["background_l1"]["floor"] == copied["background_l1"]["ceiling"] == ""
    text = (finished / "tiny/table1.smoke.md").read_text()
    assert "| wood | Real against real | floor |" in text
    assert "| wood | Copied training images | ceiling |" in text


def test_one_inspector_per_seed_serves_every_generator(finished):
    jobs = [json.loads(path.read_text()) for path in finished.glob("jobs/*/job.json")]
    inspectors = {
        job["spec"]["seed"]: job["id"]
        for job in jobs
        if job["stage"] == "task" and job["spec"]["arm"] == "raw"
    }
    scores = [job for job in jobs if job["stage"] == "score"]
    assert len(scores) == 4
    assert {(j["spec"]["seed"], j["parents"]["inspector"]) for j in scores} == set(
        inspectors.items()
    )
    kept = {path.parent.name for path in finished.glob("jobs/*/task.ckpt")}
    assert kept == set(inspectors.values())


def test_nothing_in_the_csv_tells_when_or_where_it_was_made(finished):
    text = (finished / CSV).read_text()
    records = (finished / "records" / "tiny.table1.smoke.jsonl").read_text()
    whence = next(json.loads(x)["provenance"] for x in records.splitlines() if '"provenance"' in x)
    assert whence["date"][:10] not in text
    assert whence["device"] not in text
    assert whence["versions"]["torch"] not in text


def test_records_count_masks_by_where_they_are_from(finished):
    records = (finished / "records" / "tiny.table1.smoke.jsonl").read_text().splitlines()
    jobs = [job for job in map(json.loads, records) if job.get("stage") in {"fit", "sample"}]
    assert len(jobs) == 8
    for job in jobs:
        sources = job["mask_sources"]
        assert set(sources) <= {"watershed", "invalid"}
        if job["stage"] == "sample":
            counts = job["counts"]
            assert sum(sources.values()) == counts["images"] == 8
            unusable = sources.get("invalid", 0) + sources.get("none", 0)
            assert counts["without_mask"] == unusable
    assert {"watershed": 8} in [job["mask_sources"] for job in jobs], "the memoriser's contents"


def test_run_again_does_nothing(run, finished):
    before, text = mtimes(finished), (finished / CSV).read_bytes()
    again = run("run", finished.parent / "tiny.yaml", "--out", finished, "--json")
    assert again.code == 0, again.err
    assert again.json[0]["done"] == 0
    assert mtimes(finished) == before
    assert (finished / CSV).read_bytes() == text


def test_two_tables_ask_for_one_fit_and_it_is_said(run, finished, tmp_path):
    other = tmp_path / "other.yaml"
    table = finished.parent / "tiny.yaml"
    other.write_text(table.read_text().replace('table: "1"', 'table: "2"'))
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    fits = len(list(out.glob("jobs/*/generator.ckpt")))
    again = run("run", table, other, "--out", out)
    assert again.code == 0, again.err
    assert again.out.count("nothing to do") == 2
    assert f"{2 * fits} fits requested, {fits} distinct" in again.out


def test_a_finished_table_and_its_plan_import_no_torch(finished):
    script = (
        "import sys; from defectbench.cli import main\n"
        "try: main()\nexcept SystemExit as e: code = e.code\n"
        "print('torch' in sys.modules, 'lightning' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    for arguments in (
        ["--help"],
        ["plan", finished.parent / "tiny.yaml"],
        ["run", finished.parent / "tiny.yaml", "--out", finished],
    ):
        done = subprocess.run(
            [*command()[:1], "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr.splitlines()[-1] == "False False", arguments


def test_worker_processes_give_the_bytes_of_one_process(finished, table, tmp_path):
    done = call("run", table, "--out", tmp_path / "out", "--on", "local", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / CSV).read_bytes() == (finished / CSV).read_bytes()
    for name in ("leaderboard.csv", "tiny/table1.smoke.md"):
        assert (tmp_path / "out" / name).read_bytes() == (finished / name).read_bytes()


def test_the_records_alone_give_the_same_files(run, finished, tmp_path):
    shutil.copytree(finished / "records", tmp_path / "records")
    assert run("collect", "--out", tmp_path).code == 0
    for name in (CSV, "tiny/table1.smoke.md", "leaderboard.csv"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_only_runs_what_is_asked(run, table, tmp_path):
    out = tmp_path / "out"
    done = run("run", table, "--out", out, "--only", "arm=raw")
    assert done.code == 0, done.err
    with (out / CSV).open() as file:
        states = {(r["method"], r["status"]) for r in csv.DictReader(file)}
    assert states == {("none", "ok"), ("DCDGANc", "not run"), ("Memoriser", "not run")}
    assert not list(out.glob("jobs/*/generator.ckpt"))


def test_values_of_one_key_are_alternatives_and_unknown_ones_name_the_known(run, table, tmp_path):
    asked = ("--only", "method=DCDGANc", "--only", "method=Memoriser", "--only", "arm=raw")
    refused = run("run", table, "--out", tmp_path, *asked)
    assert refused.code == 2
    assert "has all of it" in refused.err
    plan = plan_table(str(table), Options(out=tmp_path), lambda _: None)
    only = parse_only(["method=DCDGANc", "method=none"])
    assert {cell.method for cell in plan.cells if cell.matches(only)} == {"DCDGANc", "none"}
    refused = run("run", table, "--out", tmp_path, "--only", "method=DCGANc")
    assert refused.code == 2
    assert "did you mean 'DCDGANc'" in refused.err


def test_a_diverging_generator_fails_its_own_cells_and_the_table_is_written(run, table, tmp_path):
    out = tmp_path / "out"
    table.write_text(
        table.read_text().replace(
            "dcdgan_c: {base: 4, blocks: 1}", "dcdgan_c: {base: 4, blocks: 1, lr: 1e+30}"
        )
    )
    done = run("run", table, "--out", out)
    assert done.code == 1, done.err
    assert "fit DCDGANc wood seed 0: failed: " in done.out, "the word of the CSV"
    with (out / CSV).open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["method"] == "DCDGANc":
            assert row["status"] == "failed"
            assert row["reason"].startswith("failed: fit DCDGANc wood seed 0: ")
            assert row["mean"] == ""
        else:
            assert row["status"] == "ok"
    assert "failed" in (out / "tiny" / "table1.smoke.md").read_text()
    assert "failed: fit DCDGANc wood seed 0: " in done.err
    before = mtimes(out)
    again = run("run", table, "--out", out, "--json")
    (told,) = json.loads(again.out)
    assert told["done"] == 0, "a failure that would repeat is left alone"
    assert set(told["failed"]) == {f"fit DCDGANc wood seed {seed}" for seed in (0, 1)}
    assert again.code == 1
    assert "failed: fit DCDGANc wood seed 1: " in again.err
    assert mtimes(out) == before


def test_a_corrupt_result_is_named_and_nothing_else_is_touched(run, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = mtimes(out)
    victim = next(out.glob("jobs/*/result.json"))
    victim.write_text('{"metrics": ')
    done = run("run", finished.parent / "tiny.yaml", "--out", out)
    assert done.code == 0, done.err
    assert f"damaged: {victim} " in done.err
    assert "Traceback" not in done.err
    after = mtimes(out)
    assert {name for name in before if after[name] != before[name]} == {victim.parent.name}
    assert (out / CSV).read_bytes() == (finished / CSV).read_bytes()


def test_a_split_that_leaks_is_told_in_the_run_and_in_the_table(run, table, finished, tmp_path):
    rule = "one_third_anomalydiffusion_exact"
    table.write_text(table.read_text().replace("split: one_third", f"split: {rule}"))
    done = run("run", table, "--out", tmp_path / "out", "--only", "arm=raw")
    assert done.code == 0, done.err
    told = f"mvtec_ad/wood: the split {rule} leaks: 2 pair(s)"
    assert f"warning: {told}" in done.err
    assert f"**{told}" in (tmp_path / "out" / "tiny" / "table1.smoke.md").read_text()
    assert "leaks" not in (finished / "tiny" / "table1.smoke.md").read_text()


def test_compare_joins_and_says_what_does_not_match(run, finished, tmp_path):
    first = finished / CSV
    lines = first.read_text().splitlines()
    second = tmp_path / "b.csv"
    second.write_text("\n".join(line for line in lines if ",Memoriser," not in line) + "\n")
    done = run("compare", first, second, "--json")
    assert done.code == 0, done.err
    found = done.json
    with second.open() as file:
        numbered = sum(bool(row["mean"]) for row in csv.DictReader(file))
    assert len(found["rows"]) == numbered > 0
    assert all(row["first"] == row["second"] for row in found["rows"])
    assert {row["method"] for row in found["only_first"]} == {"Memoriser"}


def test_the_test_split_is_read_once_at_the_end(squares, monkeypatch, tmp_path):
    from defectbench.data.streams.module import DefectData, ImageSet, Stream
    from defectbench.stages import evaluation
    from defectbench.tasks.segmentation import Segmentation

    test_rows = set(squares.rows(split="test").tolist())
    seen: list[tuple[bool, bool]] = []
    take = ImageSet.take
    finished_training = False

    def spy(self, indices):
        rows = {int(self.parts[0][1][i]) for i in indices}
        seen.append((bool(rows & test_rows), finished_training))
        return take(self, indices)

    def test_images():
        nonlocal finished_training
        finished_training = True
        return ImageSet.of(squares, squares.rows(split="test", defective=True))

    monkeypatch.setattr(ImageSet, "take", spy)
    evaluation.train_task(
        Segmentation(
            size=32,
            defects=squares.defects,
            products=squares.products,
            steps=4,
            **Segmentation.tiny,
        ),
        DefectData(
            [Stream(ImageSet.of(squares, squares.rows(split="train")), "train")], batch=4, seed=0
        ),
        tmp_path,
        steps=4,
        validation=ImageSet.of(squares, squares.rows(split="val")),
        test=test_images,
        evaluate_every=2,
        select="best",
    )
    assert any(of_test for of_test, _ in seen)
    assert all(late for of_test, late in seen if of_test)


def test_generators_see_training_images_only(finished):
    from defectbench.data.cache.prepared import Prepared

    for path in finished.glob("jobs/*/manifest.csv"):
        data = json.loads((path.parent / "job.json").read_text())["parents"]["data"]
        prepared = Prepared.open(finished / "jobs" / data / "cache")
        split = dict(zip(prepared.table["id"], prepared.table["split"], strict=True))
        with path.open() as file:
            used = [r["normal"] for r in csv.DictReader(file)]
        assert used
        assert {split[name] for name in used} == {"train"}


def test_a_plan_counts_jobs_and_writes_nothing(run, table, tmp_path):
    told = run("plan", table, "--out", tmp_path / "none", "--json").json
    assert told["stages"]["fit"] == {"waiting": 4}
    assert not (tmp_path / "none").exists()
