"""The machine around a run changes nothing: schedulers (Slurm, LSF), launchers, variables of Lightning's, signals (SIGTERM),
devices that are not there, and the cores that affinity and quotas leave."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from defectbench import machine, names
from defectbench.config import UserError
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.executors.local import Local
from defectbench.generators.base import Generator
from defectbench.stages import evaluation, surroundings, training
from defectbench.stages.evaluation import train_task
from defectbench.stages.training import Machine, fit_generator, initialised
from defectbench.tasks.base import Task

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "1",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "n1",
    "SLURM_JOB_NAME": "train",
}
LSF = {
    "LSB_JOBID": "7",
    "LSB_DJOB_RANKFILE": "/nowhere",
    "JSM_NAMESPACE_LOCAL_RANK": "1",
    "JSM_NAMESPACE_RANK": "1",
    "JSM_NAMESPACE_SIZE": "4",
}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "7",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "GROUP_RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "n1",
    "MASTER_PORT": "1",
}
LIGHTNING = {
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "2",
    "PL_TRAINER_MAX_STEPS": "1",
    "PL_TRAINER_FAST_DEV_RUN": "true",
    "PL_TRAINER_ACCUMULATE_GRAD_BATCHES": "2",
    "PL_TRAINER_GRADIENT_CLIP_VAL": "0.001",
}
AROUND = {"slurm": SLURM, "lsf": LSF, "torchrun": TORCHRUN, "lightning": LIGHTNING}


def generator(squares, name: str = "star_gan", seed: int = 0) -> Generator:
    entry = names.find("generators", name)
    arguments = {**dict(entry.facts["tiny"]), "size": 32}
    arguments |= {"defects": squares.defects, "products": squares.products}
    return initialised(seed, lambda: entry.load()(**arguments))


def streams(squares) -> DefectData:
    good, bad = (squares.rows(split="train", defective=d) for d in (False, True))
    sets = [
        Stream(ImageSet.of(squares, bad), "defect"),
        Stream(ImageSet.of(squares, good), "normal"),
    ]
    return DefectData(sets, batch=4, seed=1)


def fit(squares, folder: Path, images: int = 24) -> dict[str, torch.Tensor]:
    """The weights of a short fit."""
    trained = fit_generator(
        generator(squares), streams(squares), folder, images=images, machine=Machine("cpu")
    )
    return dict(trained.named_parameters())


def inspect(squares, folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a short training of a task."""
    entry = names.find("tasks", "segmentation")
    arguments = {**dict(entry.facts["tiny"]), "size": 32, "steps": 4}
    arguments |= {"defects": squares.defects, "products": squares.products}
    task: Task = initialised(0, lambda: entry.load()(**arguments))
    rows = squares.rows(split="train", defective=True)
    images = ImageSet.of(squares, rows)
    data = DefectData([Stream(images, "train")], batch=4, seed=1)
    train_task(
        task,
        data,
        folder,
        steps=4,
        validation=images,
        test=lambda: images,
        evaluate_every=2,
        select="last",
        machine=Machine("cpu"),
    )
    return dict(task.named_parameters())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def undisturbed(squares, tmp_path_factory):
    """Weights of a generator and of a task that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return fit(squares, folder / "fit"), inspect(squares, folder / "task")


@pytest.mark.parametrize("around", AROUND)
def test_no_scheduler_and_no_variable_changes_a_training(
    around, squares, undisturbed, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    # What Lightning itself leaves in the current folder after SIGUSR1 under Slurm: another run's weights.
    other = generator(squares, seed=9)
    other.clock.enter(0, 24)
    other.clock.tick(24)
    content = {"state_dict": other.state_dict(), "pytorch-lightning_version": "2.5.0"}
    torch.save({**content, "global_step": 6, "epoch": 1, "loops": {}}, here / "hpc_ckpt_1.ckpt")
    for name, value in AROUND[around].items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert same(fit(squares, tmp_path / "fit"), undisturbed[0])
    assert same(inspect(squares, tmp_path / "task"), undisturbed[1])
    assert [p.name for p in here.iterdir()] == ["hpc_ckpt_1.ckpt"]
    assert dict(os.environ) == before


def test_a_training_that_ends_before_its_budget_fails(squares, tmp_path, monkeypatch):
    make = training.make_trainer

    def short(*arguments, **options):
        return make(*arguments, **options, limit_train_batches=2)

    for module in (training, evaluation):
        monkeypatch.setattr(module, "make_trainer", short, raising=False)
    with pytest.raises(Exception, match="after 8 of 24 images"):
        fit(squares, tmp_path / "fit")
    with pytest.raises(Exception, match="after 2 of 4 "):
        inspect(squares, tmp_path / "task")


FIT = [
    "fit", "star_gan", "--size", 32, "--standin-size", 48, "--images", 24, "--batch", 4, "--set", "base=4",
    "--set", "critic_base=4", "--accelerator", "cpu",
]  # fmt: skip


def job_of(out: Path, stage: str) -> Path:
    return next(p.parent for p in out.glob("jobs/*/job.json") if f'"{stage}"' in p.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A fit through the command line that no signal disturbed; made by the first test that asks for it."""
    return tmp_path_factory.mktemp("whole") / "out"


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_ends_a_fit_and_the_same_command_goes_on(
    number, run, whole, tmp_path, monkeypatch
):
    if not whole.exists():
        assert run(*FIT, "--out", whole).code == 0
    scheduler = tmp_path / "bin" / "scontrol"
    scheduler.parent.mkdir()
    scheduler.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    scheduler.chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name, value in {**SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{scheduler.parent}:{os.environ['PATH']}")
    sent: list[int] = []
    seed_step = training.seed_step

    def at_the_fifth_step(seed: int, stage: int, step: int, rank: int) -> None:
        if step == 4 and not sent:
            sent.append(step)
            os.kill(os.getpid(), getattr(signal, number))
        seed_step(seed, stage, step, rank)

    monkeypatch.setattr(training, "seed_step", at_the_fifth_step)
    signal.signal(getattr(signal, number), signal.SIG_DFL)  # nohup leaves SIGHUP ignored
    handler = signal.getsignal(getattr(signal, number))
    out = tmp_path / "out"
    stopped = run(*FIT, "--out", out)
    assert sent
    assert stopped.code == 128 + getattr(signal, number)
    last = stopped.err.strip().splitlines()[-1]
    assert number in last
    assert "finished jobs are kept" in last
    assert signal.getsignal(getattr(signal, number)) == handler
    assert not (out / "generator.ckpt").exists()
    assert run(*FIT, "--out", out).code == 0
    for name in ("generator.ckpt", "losses.csv"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    grids = [sorted(p.name for p in folder.glob("grid-*.png")) for folder in (out, whole)]
    assert grids[0] == grids[1]
    assert not list(here.iterdir())
    assert not (tmp_path / "called").exists()


@pytest.mark.slow
def test_sigterm_ends_a_run_in_this_process(run, table, tmp_path, monkeypatch):
    seed_step = training.seed_step
    sent: list[int] = []

    def at_once(*arguments: int) -> None:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
        seed_step(*arguments)

    monkeypatch.setattr(training, "seed_step", at_once)
    stopped = run("run", table, "--out", tmp_path / "out", "--accelerator", "cpu")
    assert stopped.code == 128 + signal.SIGTERM
    assert not list((tmp_path / "out").glob("jobs/*/generator.ckpt")), "nothing went on"


@pytest.mark.parametrize("asked", ["gpu", "cuda", "mps", "nonsense"])
@pytest.mark.parametrize("command", ["fit", "run"])
def test_a_device_that_is_not_there_is_refused(asked, command, run, table, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def fails() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system.")

    monkeypatch.setattr(torch.cuda, "init", fails)
    rest = FIT[1:-1] if command == "fit" else [table, "--accelerator"]
    told = run(command, *rest, asked, "--out", tmp_path / "out")
    assert told.code == 2, told.out
    assert f"--accelerator {asked}" in told.err
    assert "Found no NVIDIA driver" in told.err if asked in {"gpu", "cuda"} else "auto" in told.err
    assert not list((tmp_path / "out").glob("jobs/*/*.ckpt"))


def test_auto_says_where_it_trains(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.told_device({}) == "training on the CPU: torch sees no CUDA device"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.told_device({}) == "training on CUDA: torch sees 2 devices"


@pytest.fixture
def sixteen(monkeypatch, tmp_path):
    """A machine of 16 cores without quota or Slurm; gives its folder of control groups."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    (tmp_path / "own").write_text("0::/pod/box\n")
    (tmp_path / "cgroup" / "pod" / "box").mkdir(parents=True)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUP", tmp_path / "own")
    return tmp_path


def test_workers_are_as_many_as_cores(sixteen):
    assert Local().workers == 16
    assert Local(workers=3).workers == 3


def test_workers_keep_to_the_affinity(sixteen, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert Local().workers == 1
    assert Local().about == "1 worker processes (the process's CPU affinity)"


def test_workers_keep_to_slurms_share(sixteen, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "5")
    assert Local().workers == 5
    assert "SLURM_CPUS_PER_TASK" in Local().about


@pytest.mark.parametrize(
    ("group", "limit", "workers"),
    [
        ("pod/box", "250000 100000", 2),
        ("pod", "50000 100000", 1),
        (".", "400000 100000", 4),
        ("pod/box", "max 100000", 16),
    ],
)
def test_workers_keep_to_a_containers_quota(group, limit, workers, sixteen):
    (sixteen / "cgroup" / group / "cpu.max").write_text(limit + "\n")
    assert Local().workers == workers


def test_workers_keep_to_a_quota_of_version_one(sixteen):
    (sixteen / "own").write_text("11:memory:/box\n4:cpu,cpuacct:/box\n")
    group = sixteen / "cgroup" / "cpu,cpuacct" / "box"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("300000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert Local().workers == 3


def test_the_number_of_workers_is_said(run, table, tmp_path, monkeypatch):
    monkeypatch.setattr(Local, "run", lambda *_: None)
    told = run("run", table, "--out", tmp_path / "out", "--on", "local", "--workers", 3)
    assert "3 worker processes (--workers)" in told.err
    assert "training on " in told.err


def test_processes_of_a_fit_do_not_know_a_scheduler(monkeypatch):
    given = {**SLURM, **LSF, **TORCHRUN, **LIGHTNING, "HOME": "/root"}
    assert surroundings.without_cluster(given) == {"HOME": "/root"}
    kept = surroundings.without_cluster({"LOCAL_RANK": "1", "SLURM_PROCID": "3"}, ranks=True)
    assert kept == {"LOCAL_RANK": "1"}


def test_an_unknown_accelerator_is_refused_from_python():
    with pytest.raises(UserError, match="expected auto, cpu or gpu"):
        Machine("tpu")
