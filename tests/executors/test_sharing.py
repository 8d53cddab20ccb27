"""Several processes, one folder: who does which job, and what a worker that is asked to end leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest

from defectbench.executors.order import Frontier
from defectbench.plan.job import Job
from defectbench.stages.context import Context
from defectbench.store.jobs import Store
from tests.executors.test_local import processes_of, run_until_a_fit
from tests.running import Quiet, call, command, wait_for

CSV = "tiny/table1.smoke.csv"
DATA = Job("prepare", {})
FIT = Job("fit", {"seed": 0}, {"data": DATA.id}, "fit")
SAMPLE = Job("sample", {"seed": 0}, {"fit": FIT.id}, "sample")
RAW = Job("task", {"seed": 0}, {"data": DATA.id}, "raw")
JOBS = {job.id: job for job in (DATA, RAW, FIT, SAMPLE)}


class Heard(Quiet):
    """A board that keeps what ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def ended(self, job: Job, state: str, reason: str = "") -> None:
        self.ends.append((job.stage, state))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "jobs")


def finish(store: Store, job: Job) -> None:
    store.folder(job.id).mkdir(parents=True, exist_ok=True)
    store.finish(job, job.to_json())


def ready(frontier: Frontier) -> list[Job]:
    return list(frontier.ready())


def test_a_frontier_opens_with_what_others_have_done(store):
    board = Heard()
    frontier = Frontier(JOBS, Context(store), board)
    assert ready(frontier) == [DATA]
    finish(store, DATA)  # by another process
    assert ready(frontier) == [FIT, RAW]
    frontier.take(FIT.id)
    with store.claim(RAW) as mine:
        assert mine
        wait_for((store.folder(RAW.id) / "lease.json").exists)
        assert ready(frontier) == [], "one is taken here, the other runs elsewhere"
    finish(store, FIT)
    frontier.settle(FIT.id)
    assert ready(frontier) == [RAW, SAMPLE]
    assert board.ends == [("prepare", "done"), ("fit", "done")]
    assert frontier.left == {SAMPLE.id, RAW.id}


def test_what_waits_for_a_failed_job_is_blocked_and_told(store):
    board = Heard()
    finish(store, DATA)
    frontier = Frontier(JOBS, Context(store), board)
    store.fail(FIT, "diverged", repeats=True)
    assert ready(frontier) == [RAW]
    assert board.ends == [("sample", "blocked"), ("fit", "failed")] or board.ends == [
        ("fit", "failed"),
        ("sample", "blocked"),
    ]
    assert store.failure(SAMPLE.id)["reason"] == "fit: diverged"
    assert frontier.left == {RAW.id}


def test_a_job_that_is_put_back_is_not_offered_in_the_same_moment(store):
    finish(store, DATA)
    frontier = Frontier(JOBS, Context(store), Quiet())
    frontier.take(FIT.id)
    frontier.put_back(FIT.id)
    assert ready(frontier) == [RAW]
    assert wait_for(lambda: FIT in ready(frontier))


def test_a_claim_that_does_not_wait_leaves_a_job_to_its_holder(store):
    with store.claim(FIT) as mine, store.claim(FIT, wait=False) as other:
        assert (mine, other) == (True, False)
    with store.claim(replace(FIT), wait=False) as mine:
        assert mine


def test_a_lease_says_how_far_a_job_is(store):
    with store.claim(FIT, told={"done": 3, "of": 12}):
        lease = wait_for(lambda: store.lease(FIT.id))
        assert (lease["pid"], lease["done"], lease["of"]) == (os.getpid(), 3, 12)
    assert store.lease(FIT.id) is None
    note = json.loads((store.folder(FIT.id) / "worker.json").read_text())
    assert note["pid"] == os.getpid()


@pytest.mark.slow(minutes=1)
def test_two_commands_and_a_worker_share_one_folder(finished, table, tmp_path):
    """Machines without Slurm: the same command on each, or a worker on the sweep that a first one wrote."""
    out = tmp_path / "out"
    start = command("run", table, "--out", out, "--on", "local", "--workers", 1)
    runs = [subprocess.Popen(start, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    (sweep,) = wait_for(lambda: list(out.glob("jobs/sweeps/*.json")))
    helper = call("worker", sweep, "--workers", 1)
    assert helper.returncode == 0, helper.stderr
    assert "every job has ended" in helper.stderr
    shown = [process.communicate(timeout=300)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert (out / CSV).read_bytes() == (finished / CSV).read_bytes()
    done = sum(text.count(" s\n") for text in (*shown, helper.stdout))
    # A job that another process has just finished may be shown by both.
    assert done >= len(list(out.glob("jobs/*/result.json"))), "each job was done and shown"
    assert any("done by another process" in text for text in (*shown, helper.stdout))


@pytest.mark.slow
def test_a_worker_that_is_asked_to_end_writes_a_checkpoint_and_gives_its_job_up(table, tmp_path):
    out = tmp_path / "out"
    process = run_until_a_fit(table, out, "--on", "local", "--workers", 1)
    assert not list(out.glob("jobs/*/last.ckpt")), "the next one is hours away"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(list(out.glob("jobs/*/last.ckpt"))) == 1
    assert not list(out.glob("jobs/*/lease.json"))
    assert not processes_of(process.pid)


@pytest.mark.slow
def test_cancel_ends_workers_that_run_elsewhere(table, tmp_path):
    out = tmp_path / "out"
    process = run_until_a_fit(table, out, "--on", "local", "--workers", 1)
    ended = call("cancel", "--out", out)
    assert ended.returncode == 0, ended.stderr
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "cancelled by `defectbench cancel`" in told
