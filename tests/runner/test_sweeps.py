"""Sweeps on disk: what status, logs, retry and worker say of them, and which workers refuse."""

from __future__ import annotations

import json
import shutil

import pytest

from defectbench.config import UserError
from defectbench.executors import make_executor
from defectbench.executors.profiles import SHIPPED, load_profile
from defectbench.executors.slurm import script
from defectbench.store.jobs import Store
from defectbench.store.sweeps import check_code, find_sweep

MACHINE = {"accelerator": "cpu", "devices": 1}


@pytest.fixture
def out(finished, tmp_path):
    """A copy of the finished tiny table."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def sweep_of(out):
    return find_sweep(Store(out / "jobs"))


def test_status_counts_the_jobs_of_a_finished_sweep(run, out):
    told = run("status", "--out", out, "--json").json
    assert told["sweep"] == sweep_of(out).id
    assert told["jobs"] == sum(sum(states.values()) for states in told["stages"].values())
    assert told["stages"]["fit"] == {"done": 4}
    assert told["running"] == told["failed"] == told["allocations"] == []
    assert told["seconds_left"] == 0.0
    shown = run("status", "--out", out)
    assert shown.code == 0
    assert f"sweep {told['sweep']}" in shown.out


def test_logs_and_retry_of_a_failed_job(run, out):
    sweep = sweep_of(out)
    fit = next(job for job in sweep.jobs.values() if job.stage == "fit")
    folder = sweep.store.folder(fit.id)
    (folder / "result.json").unlink()
    (folder / "error.log").write_text("of the error\n")
    sweep.store.fail(fit, "went wrong", repeats=True)
    told = run("status", "--out", out, "--json").json
    assert told["failed"] == [{"id": fit.id, "label": fit.label, "reason": "went wrong"}]
    found = run("logs", fit.id[:8], "--out", out, "--json").json
    assert (found["label"], found["state"], found["reason"]) == (fit.label, "failed", "went wrong")
    assert found["worker"]["pid"] > 0
    assert found["files"][str(folder / "error.log")] == ["of the error"]
    assert run("retry", fit.label, "--out", out, "--json").json["jobs"] == [fit.label]
    assert sweep.store.state(fit.id) == "waiting"
    assert run("retry", "--out", out, "--json").json["jobs"] == []
    assert "expected an id or a label" in run("logs", "no such job", "--out", out).err


def test_a_worker_of_another_state_of_the_code_refuses(run, out):
    sweep = sweep_of(out)
    content = json.loads(sweep.path.read_text())
    check_code(sweep)
    for key, value, said in (
        ("code", "0" * 16, "the checkout is at"),
        ("versions", {**content["versions"], "torch": "0.1"}, "planned with 0.1"),
    ):
        sweep.path.write_text(json.dumps({**content, key: value}))
        refused = run("worker", sweep.path)
        assert refused.code == 2
        assert said in refused.err
        assert f"refused: sweep {sweep.id}" in run("status", "--out", out).out


def test_no_sweep_is_said(run, tmp_path):
    for name in ("status", "cancel", "retry"):
        told = run(name, "--out", tmp_path)
        assert told.code == 2
        assert "no sweep" in told.err


def test_shipped_profiles_can_be_read():
    assert load_profile("gpu").gpus == 1
    assert load_profile("cpu").options()[:3] == ["--nodes=1", "--ntasks=1", "--cpus-per-task=8"]
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == {"cpu", "gpu", "nodes"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu: 1", "gpu: unknown key; did you mean 'gpus'"),
        ("gpus: one", "gpus: found 'one'"),
        ("time: 10", "time: found 10"),
        ("sbatch: {array: 0-3}", "sbatch.array: set by"),
        ("cpus: 0", "cpus: found 0"),
    ],
)
def test_a_profile_is_read_strictly(tmp_path, text, said):
    path = tmp_path / "own.yaml"
    path.write_text(text + "\n")
    with pytest.raises(UserError, match=said.replace("[", "\\[").replace("?", "\\?")):
        load_profile(str(path))


def test_a_profile_reaches_sbatch_and_the_script(tmp_path, out):
    path = tmp_path / "own.yaml"
    path.write_text(
        "partition: long\nmemory: 8G\nsetup: [module load cuda]\ncontainer: apptainer exec 'an image.sif'\n"
        "python: python3\nsbatch: {constraint: a100, exclusive: true, hold: false}\n"
    )
    profile = load_profile(str(path))
    assert profile.options() == [
        "--partition=long",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=1",
        "--mem=8G",
        "--constraint=a100",
        "--exclusive",
    ]
    lines = script(sweep_of(out), profile).splitlines()
    assert "module load cuda" in lines
    assert "apptainer exec 'an image.sif' python3 -m defectbench worker" in lines[-1]


def test_without_slurm_or_a_profile_the_cure_is_named(run, table, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = ("run", table, "--out", tmp_path / "out", "--on", "slurm")
    assert "--cluster is missing" in run(*arguments).err
    assert "did you mean 'gpu'" in run(*arguments, "--cluster", "gpux").err
    told = run(*arguments, "--cluster", "cpu")
    assert told.code == 2
    assert "no squeue on this machine" in told.err
    assert "--on local on every machine" in told.err
    with pytest.raises(UserError, match="--on slurm only"):
        make_executor("local", 0, MACHINE, cluster="cpu")
    assert (
        "--wait: expected --on slurm" in run("run", table, "--out", tmp_path / "out", "--wait").err
    )
