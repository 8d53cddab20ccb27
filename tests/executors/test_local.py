"""Worker processes: which GPUs each sees, and that none outlives the run."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from defectbench.executors import local
from defectbench.executors.local import Local, cuda_devices
from defectbench.executors.order import seed_by_seed
from defectbench.plan.job import Job
from tests.running import command, wait_for


@pytest.mark.parametrize(
    ("visible", "devices"),
    [
        ("2,3", ("2", "3")),
        (" 5 , 1", ("5", "1")),
        ("GPU-8932f937,MIG-41b3", ("GPU-8932f937", "MIG-41b3")),
        ("", ()),
        ("-1", ()),
        ("1,-1,0", ("1",)),  # CUDA ignores what stands behind an invalid entry
    ],
)
def test_the_users_list_of_devices_is_kept_in_its_order(monkeypatch, visible, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda_devices() == devices


def test_without_a_list_every_device_counts(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for address in ("0000:3b:00.0", "0000:af:00.0"):
        (tmp_path / address).mkdir()
    monkeypatch.setattr(local, "GPUS", tmp_path)
    assert cuda_devices() == ("0", "1")


def test_each_worker_gets_devices_of_the_users_list():
    shared = Local(gpus=("6", "2", "4"))
    assert shared.workers == 3
    assert [shared.devices_of(n) for n in range(4)] == ["6", "2", "4", "6"]
    assert Local(workers=5, gpus=("6", "2")).workers == 5


def test_fits_on_several_devices_get_whole_shares():
    shared = Local(gpus=("7", "1", "3", "0", "5"), gpus_each=2)
    assert shared.workers == 2
    assert [shared.devices_of(n) for n in range(3)] == ["7,1", "3,0", "7,1"]
    assert Local(gpus=("1",), gpus_each=2).devices_of(0) == "1"


def test_seeds_go_out_in_turn_and_what_others_wait_for_first():
    prepare = Job("prepare", {})
    other = Job("fit", {"seed": 1}, {"data": prepare.id})
    behind = Job("sample", {"seed": 1}, {"data": prepare.id, "fit": other.id})
    quick = Job("task", {"seed": 0, "arm": "raw"}, {"data": prepare.id})
    fit = Job("fit", {"seed": 0}, {"data": prepare.id})
    sample = Job("sample", {"seed": 0}, {"data": prepare.id, "fit": fit.id})
    gain = Job("task", {"seed": 0, "arm": "enlarge"}, {"synthetic": sample.id})
    jobs = {job.id: job for job in (other, prepare, behind, quick, fit, sample, gain)}
    ordered = list(seed_by_seed(jobs).values())
    assert ordered == [prepare, fit, sample, quick, gain, other, behind]


def test_on_the_cpu_nothing_is_hidden(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: (6, "cores"))
    assert Local().workers == 6
    assert Local(workers=2).devices_of(1) is None


def run_until_a_fit(table, out, *arguments, **options) -> subprocess.Popen[str]:
    """Start a table whose fits take hours, and wait until one of them trains."""
    table.write_text(table.read_text().replace("images: 48", "images: 4_000_000"))
    process = subprocess.Popen(
        command("run", table, "--out", out, "--only", "method=DCDGANc", *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    wait_for(lambda: list(out.glob("jobs/*/losses.csv")))
    return process


def processes_of(session: int) -> list[str]:
    """Command lines of the processes of a session that do jobs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().decode().replace("\0", " ")
            if (
                os.getsid(int(entry.name)) == session
                and "resource_tracker" not in line
                and line.strip()
            ):
                found.append(line)
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("where", [[], ["--on", "local", "--workers", 2]])
def test_ctrl_c_says_what_is_kept_and_leaves_no_process(table, tmp_path, where):
    process = run_until_a_fit(table, tmp_path / "out", *where)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of them
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("stopped: finished jobs are kept")
    assert "Run the same command again" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not processes_of(process.pid)


@pytest.mark.slow
def test_workers_of_a_killed_run_end_at_once(table, tmp_path):
    process = run_until_a_fit(table, tmp_path / "out", "--on", "local", "--workers", 2)
    before = processes_of(process.pid)
    process.kill()
    process.communicate()
    assert len(before) == 3
    wait_for(lambda: not processes_of(process.pid), seconds=5)
