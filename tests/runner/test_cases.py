"""Sweep files: their tables are one plan, what cases share is done once, and results name what was varied."""

from __future__ import annotations

import csv
import json

import pytest

from defectbench.config import UserError
from defectbench.executors.inline import Inline
from defectbench.runner.cases import write_tables
from defectbench.runner.cost import costs
from defectbench.runner.run import Options, run_tables, undertake
from defectbench.spec.cases import expand, load_sweep
from tests.running import TABLE, Quiet, call

SWEEP = """
title: How many images
tables: [{table}]
seeds: [0, 1]
vary:
  sample.per_defect: [2, 4]
cases:
  - {{sample.per_defect: 4, task.ratio: 0.5}}
"""


def write_table(folder):
    """A table that trains no generator."""
    start, end = TABLE.index("scores:"), TABLE.index("presets:")
    text = TABLE[:start] + TABLE[end:]
    for line in ("  DCDGANc: {generator: dcdgan_c}\n", "  - {arm: enlarge, method: DCDGANc}\n"):
        assert line in text
        text = text.replace(line, "")
    path = folder / "tiny.yaml"
    path.write_text(text.replace("      dcdgan_c: {base: 4, blocks: 1}\n", ""))
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_is_one_plan_and_its_results_name_what_was_varied(tmp_path):
    table, out, file = write_table(tmp_path), tmp_path / "out", tmp_path / "how_many.yaml"
    file.write_text(SWEEP.format(table=table))
    tables, preset = write_tables(file, out)
    assert (len(tables), preset) == (3, "smoke")
    options = Options(out=out)
    outcomes = run_tables([str(t) for t in tables], options, Inline(), Quiet(), lambda _: None)
    assert not any(outcome.failed or outcome.lost for outcome in outcomes)
    stages = [json.loads(p.read_text())["stage"] for p in out.glob("jobs/*/result.json")]
    # of each seed: one fit, two samples, the network on real images at two ratios, and three times with others
    assert {s: stages.count(s) for s in set(stages)} == {
        "prepare": 1,
        "fit": 2,
        "sample": 4,
        "task": 10,
    }

    long = rows(out / "sweeps" / "how_many.csv")
    keys = ("table", "arm", "metric", "sample.per_defect", "task.ratio")
    assert [tuple(row[key] for key in keys) for row in long if row["metric"] == "pixel_auc"] == [
        ("tiny/table1", "raw", "pixel_auc", "2", ""),
        ("tiny/table1", "enlarge", "pixel_auc", "2", ""),
        ("tiny/table1", "raw", "pixel_auc", "4", ""),
        ("tiny/table1", "enlarge", "pixel_auc", "4", ""),
        ("tiny/table1", "raw", "pixel_auc", "4", "0.5"),
        ("tiny/table1", "enlarge", "pixel_auc", "4", "0.5"),
    ]
    plain = tmp_path / "plain"
    run_tables([str(table)], Options(out=plain), Inline(), Quiet(), lambda _: None)
    alone = {(r["arm"], r["metric"]): r["mean"] for r in rows(plain / "tiny" / "table1.smoke.csv")}
    same = [r for r in long if (r["sample.per_defect"], r["task.ratio"]) == ("4", "")]
    assert {(r["arm"], r["metric"]): r["mean"] for r in same} == alone
    ranked = rows(out / "sweeps" / "how_many.leaderboard.csv")
    contest = [r for r in ranked if r["metric"] == "pixel_auc"]
    assert len(contest) == 6
    assert {r["of"] for r in contest} <= {"6", ""}

    file.write_text(SWEEP.format(table=table).replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    found = costs(undertake([str(t) for t in write_tables(file, out)[0]], options, print).jobs, out)
    # those of the third seed
    assert (found["jobs"], found["ended"]) == (8, 17)
    cost = found["devices"]["CPU"]
    assert (cost["same"], cost["similar"], cost["unknown"]) == (8, 0, {})
    assert cost["hours"] > 0
    assert cost["bytes"] > 0
    told = call("sweep", file, "--out", out, "--cost", "--json")
    assert json.loads(told.stdout) == {"cases": 3, **found}


def test_a_combination_of_every_value_is_a_case(tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(
        "tables: [dcdgan_c/table5, dt_gan/table5]\n"
        "vary: {fit.images: [8, 16], arguments.segmentation.architecture: [res, unet]}\n"
    )
    cases = expand(load_sweep(file), "all", file)
    assert len(cases) == len({case.stem for case in cases}) == 8
    assert [case.value("fit.images") for case in cases[:4]] == [8, 8, 16, 16]
    assert cases[-1].of == "dt_gan/table5"
    assert (
        cases[-1].content["presets"]["smoke"]["arguments"]["segmentation"]["architecture"] == "unet"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vary: {}", "tables: missing key"),
        ("tables: [dcdgan_c/table5]\nvarry: {}", "varry: unknown key; did you mean 'vary'"),
        ("tables: [dcdgan_c/table5]\nseeds: [a]", "seeds.0: found 'a'"),
        ("tables: [dcdgan_c/table5]\nvary: {fit.images: 8}", "vary.fit.images: found 8"),
        ("tables: [dcdgan_c/table5]\nvary: {fit.images: []}", "vary.fit.images: found no value"),
        ("tables: [dcdgan_c/table5]\nvary: {fit.imags: [8]}", "vary.fit.imags: unknown key; did you mean 'images'"),
        ("tables: [dcdgan_c/table5]\nvary: {fits.images: [8]}", "fits.images"),
        ("tables: [dcdgan_c/table5]\nvary: {sed: [8]}", "vary.sed: not a key to vary"),
        ("tables: [dcdgan_c/table5]\nvary: {seeds: [8]}", "give `seeds` and `preset` at the top"),
        ("tables: [dcdgan_c/table5]\ncases: [{fit.imags: 8}]", "cases.0.fit.imags: unknown key"),
        ("tables: [dcdgan_c/table5]\nvary: {fit.images: [-8]}", "fit.images = -8"),
        ("tables: [dcdgan_c/table5]\nvary: {arguments.dcdgan_c.bas: [8]}", "did you mean 'base'"),
        ("tables: [dcdgan_c/table5]\nvary: {crop.size: [8]}", "crop.size: crop of dcdgan_c/table5 is 64"),
        ("tables: [dcdgan_c/table5]\npreset: smal", "did you mean 'small'"),
        ("tables: [dcdgan_c/table6]", "no table 'dcdgan_c/table6'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(tmp_path, text, told):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        write_tables(file, tmp_path / "out")
    assert told in str(error.value)
    assert "mine.yaml" in str(error.value) or "table6" in told
