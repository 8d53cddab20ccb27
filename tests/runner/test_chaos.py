"""A little of what `python -m tests.chaos` does at length: runs that are broken on purpose end with the same bytes."""

from __future__ import annotations

import errno
import signal

import pytest

from defectbench.config import CannotWrite
from defectbench.data.cache import prepare as module
from defectbench.plan.job import Job
from defectbench.runner.run import Options, plan_table
from defectbench.stages.context import Context
from defectbench.stages.execute import execute
from defectbench.store.jobs import Store
from tests.chaos import SMALL, Chaos


@pytest.fixture(scope="module")
def chaos(tmp_path_factory) -> Chaos:
    """The tiny table, run once undisturbed."""
    return Chaos(tmp_path_factory.mktemp("chaos"))


@pytest.mark.slow(minutes=1)
def test_signals_at_random_moments(chaos):
    chaos.signals(4)
    assert chaos.counts[signal.SIGKILL.name] + chaos.counts[signal.SIGTERM.name] == 4
    assert chaos.counts["tables with the same bytes"]


@pytest.mark.slow
def test_a_clock_that_jumps_an_hour_to_and_fro_beside_one_that_does_not(chaos):
    chaos.clocks(1)


@pytest.mark.slow
def test_sixteen_processes_on_one_folder(chaos):
    chaos.crowd(16)


@pytest.mark.slow
def test_a_full_disk_and_then_a_larger_one(chaos):
    try:
        chaos.full_disks(2)
    except PermissionError as reason:
        pytest.skip(str(reason))
    assert chaos.counts["full disks"]


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_and_then_may(chaos):
    try:
        chaos.read_only()
    except PermissionError as reason:
        pytest.skip(str(reason))
    assert chaos.counts["read-only folders"] == 2


def test_a_full_disk_is_no_failure_of_a_job(tmp_path, monkeypatch):
    """The cache's own message once became a failure that no rerun tried again, however much room there was."""
    (tmp_path / "small.yaml").write_text(SMALL)
    jobs = plan_table(str(tmp_path / "small.yaml"), Options(out=tmp_path), lambda _: None).jobs
    job: Job = next(job for job in jobs.values() if job.stage == "prepare")
    context = Context(Store(tmp_path / "jobs"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "finish_cache", full)
        with pytest.raises(CannotWrite, match="no room left on the disk"):
            execute(job, context)
    assert context.store.state(job.id) == "waiting"
    execute(job, context)
    assert context.store.state(job.id) == "done"
