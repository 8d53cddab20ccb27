"""What a cluster does to a running fit: pre-emption, the time limit, a dead node, a slurmctld that is away.

Each costs about a minute, mostly Slurm's own waiting; `DEFECTBENCH_TEST_EVENTS=1` runs them.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.running import wait_for
from tests.slurm.conftest import Cluster
from tests.slurm.sweeping import (
    CSV,
    check_same,
    logs_of,
    long_table,
    start_requeued,
    submission,
    told,
    training,
    wait_in,
    wait_until_pending,
    wait_until_written,
    write_profile,
    write_table,
)

pytestmark = [
    pytest.mark.slow(minutes=1),
    pytest.mark.skipif(
        not os.environ.get("DEFECTBENCH_TEST_EVENTS"),
        reason="a minute each: set DEFECTBENCH_TEST_EVENTS=1",
    ),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose fit takes a while, and its results from one process."""
    folder = tmp_path_factory.mktemp("events")
    write_table(folder, long_table(images=2400))
    return folder


def begin(cluster: Cluster, small: Path, out: Path, profile: Path) -> tuple[str, Path, int]:
    """Submit one allocation and wait until its fit trains: the allocation, the fit's folder and its process."""
    first = told(submission(cluster, small / "tiny.yaml", out, profile))
    assert first["added"] == 1
    fit, worker = wait_in(cluster, out, lambda: training(out))
    return f"{first['slurm_job']}_0", fit, worker


def node_of(cluster: Cluster, job: str) -> str:
    return cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%N")


def test_a_partition_of_higher_priority_takes_the_node(cluster, small, tmp_path):
    out = tmp_path / "out"
    job, fit, _ = begin(cluster, small, out, small / "1.yaml")
    asked = ("--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    high = cluster.ask("sbatch", "--parsable", *asked)
    wait_in(cluster, out, lambda: "this allocation is requeued" in logs_of(out))
    assert (fit / "last.ckpt").exists()
    assert not (fit / "lease.json").exists()
    wait_in(cluster, out, lambda: cluster.ask("squeue", "--noheader", f"--jobs={high}") == "")
    wait_until_pending(cluster, out)
    start_requeued(cluster, out, job)
    wait_until_written(cluster, out, CSV)
    check_same(out, small / "inline")


def test_a_time_limit_comes(cluster, small, tmp_path):
    out = tmp_path / "out"
    profile = write_profile(tmp_path / "short.yaml", most=1, limit="00:01:00", warning=40)
    job = f"{told(submission(cluster, small / 'tiny.yaml', out, profile))['slurm_job']}_0"
    requeues = 0

    def stopped_or_done() -> bool:
        return cluster.states() in ({"PENDING"}, set()) and bool(logs_of(out))

    while not (out / CSV).exists():  # as often as the limit comes; Slurm may warn a minute early
        wait_in(cluster, out, stopped_or_done)
        if cluster.states() == {"PENDING"}:
            requeues += 1
            assert logs_of(out).count("this allocation is requeued") == requeues
            assert not list(out.glob("jobs/*/lease.json"))
            start_requeued(cluster, out, job)
    assert requeues, "the limit came"
    wait_until_written(cluster, out, CSV)
    check_same(out, small / "inline")


def test_a_node_dies(cluster, small, tmp_path):
    """Its slurmd and all processes of the job are gone at once; Slurm requeues the job when it misses the node."""
    out = tmp_path / "out"
    job, _, worker = begin(cluster, small, out, small / "1.yaml")
    node = node_of(cluster, job)
    try:
        cluster.processes[node].kill()
        cluster.processes[node].wait()
        for process in (worker, *steps(cluster)):
            os.kill(process, signal.SIGKILL)
        wait_in(cluster, out, lambda: cluster.states() == {"PENDING"})
        start_requeued(cluster, out, job)
        assert node_of(cluster, job) != node
        wait_until_written(cluster, out, CSV)
        check_same(out, small / "inline")
    finally:
        cluster.start_node(node)
        wait_for(lambda: cluster.ask("sinfo", "--noheader", "--format=%T") == "idle", 60)


def steps(cluster: Cluster) -> list[int]:
    """Processes that Slurm started: step daemons, and what they run; there is one allocation."""
    found = []
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        parents[int(stat.parent.name)] = (name, int(rest.split()[1]))
    for process, (name, _) in parents.items():
        place = Path(f"/proc/{process}/environ")
        if name == "slurmstepd" and f"{cluster.folder}".encode() in place.read_bytes():
            found.append(process)
    for process in found:
        found += [child for child, (_, parent) in parents.items() if parent == process]
    return found


def test_slurmctld_is_away_for_half_a_minute(cluster, small, tmp_path):
    out = tmp_path / "out"
    begin(cluster, small, out, small / "1.yaml")
    cluster.processes["slurmctld"].terminate()
    cluster.processes["slurmctld"].wait(timeout=30)
    try:
        assert not cluster.there()
        time.sleep(30)
    finally:
        cluster.start_controller()
        wait_for(cluster.there, 60)
    wait_until_written(cluster, out, CSV)
    check_same(out, small / "inline")
    assert "requeued" not in logs_of(out)
