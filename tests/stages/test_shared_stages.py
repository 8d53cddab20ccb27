"""Stages that see no defect are trained once for the models of all defects, and nothing else changes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from defectbench import names
from defectbench.executors.inline import Inline
from defectbench.executors.order import waiting
from defectbench.plan.plan import Plan
from defectbench.runner.run import Options, plan_table, run_table
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.store.jobs import Store
from tests.running import TABLE, Quiet

SHARING = [n for n, e in names.entries("generators").items() if e.facts.get("shared_stages")]
METHODS = {name: names.title(names.find("generators", name)) for name in [*SHARING, "cycle_gan"]}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two generators with stages to share, and one with a model per defect that has none."""
    methods = "".join(f"  {title}: {{generator: {name}}}\n" for name, title in METHODS.items())
    tiny = {name: dict(names.find("generators", name).facts["tiny"]) for name in METHODS}
    text = TABLE.replace("  DCDGANc: {generator: dcdgan_c}\n", methods)
    text = text.replace(
        "  - {arm: enlarge, method: DCDGANc}\n",
        "".join(f"  - {{arm: enlarge, method: {title}}}\n" for title in METHODS.values()),
    )
    text = text.replace(
        "      dcdgan_c: {base: 4, blocks: 1}\n",
        "".join(f"      {name}: {arguments}\n" for name, arguments in tiny.items()),
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(text.replace("view: {name: contents, background: auto, dilate: 1}", ""))
    return path


def planned(table: Path, out: Path) -> Plan:
    return plan_table(str(table), Options(out=out), lambda _: None)


def weights(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, weights_only=True)["state_dict"]
    return {key: value for key, value in content.items() if torch.is_tensor(value)}


def test_a_table_trains_shared_stages_once_per_seed(table, tmp_path):
    jobs = planned(table, tmp_path).jobs
    for name in SHARING:
        fits = [job for job in jobs.values() if job.spec.get("generator") == name]
        shared = [job for job in fits if job.spec.get("part") == "shared"]
        models = [job for job in fits if "defect" in job.spec]
        assert len(shared) == 2
        assert len(models) == 4
        assert len(fits) == 6
        for job in models:
            assert jobs[job.parents["shared"]].spec["seed"] == job.spec["seed"]
    alone = [job for job in jobs.values() if job.label.startswith("fit cycle_gan")]
    assert len(alone) == 4
    assert all(set(job.parents) == {"data"} for job in alone)


@pytest.mark.parametrize(
    ("name", "devices"),
    [
        *((name, 1) for name in SHARING),
        pytest.param(
            "dfmgan", 2, marks=[pytest.mark.slow, pytest.mark.network, pytest.mark.enable_socket]
        ),
    ],
)
def test_a_model_is_the_one_that_trained_all_its_stages_itself(name, devices, table, tmp_path):
    plan = planned(table, tmp_path)
    machine = {"accelerator": "cpu", "devices": devices}
    context = Context(Store(tmp_path / "jobs"), machine=machine)
    model = next(
        job
        for job in plan.jobs.values()
        if job.spec.get("generator") == name and job.spec.get("defect") == "liquid"
    )
    shared, data = plan.jobs[model.parents["shared"]], plan.jobs[model.parents["data"]]
    whole = replace(model, parents={"data": data.id})
    for job in (data, shared, model, whole):
        execute(job, context)
        assert context.store.failure(job.id) is None
    one, other = (context.store.folder(job.id) for job in (model, whole))
    ours, theirs = weights(one / "generator.ckpt"), weights(other / "generator.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert (one / "losses.csv").read_bytes() == (other / "losses.csv").read_bytes()
    left = context.store.folder(shared.id)
    with (left / "losses.csv").open() as file:
        assert {row["stage"] for row in csv.DictReader(file)} == {"0"}
    assert not (left / "generator.ckpt").exists()
    assert not list(one.glob("last.ckpt"))


def test_shared_stages_that_fail_take_their_own_cells_alone(table, tmp_path):
    table.write_text(table.read_text().replace("dfmgan: {'", "dfmgan: {'lr': 1.0e+30, '"))
    options = Options(out=tmp_path / "out", only={"model": ["U-Net"]})
    outcome = run_table(str(table), options, Inline(), Quiet(), lambda _: None)
    assert set(outcome.lost) == {f"fit dfmgan wood, shared stages, seed {s}" for s in (0, 1)}
    with outcome.files[1].open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "U-Net"]
    assert {row["method"] for row in rows if row["status"] == "failed"} == {"dfmgan"}
    assert all(
        row["reason"].startswith("failed: fit dfmgan wood, shared stages, seed 0: ")
        for row in rows
        if row["method"] == "dfmgan"
    )


def test_shared_stages_of_models_that_nobody_can_use_are_not_trained(table, tmp_path):
    plan, store = planned(table, tmp_path), Store(tmp_path / "jobs")
    fits = {key for key, job in plan.jobs.items() if job.spec.get("generator") == "dfmgan"}
    assert fits <= set(waiting(plan.jobs, store))
    for job in plan.jobs.values():
        if job.stage == "sample" and fits & set(job.parents.values()):
            store.fail(job, "as the images show", repeats=True)
    assert not fits & set(waiting(plan.jobs, store))
