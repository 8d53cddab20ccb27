"""Tables on two nodes of a real Slurm: the bytes of one process, whatever happens to allocations and workers."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.running import command
from tests.slurm.sweeping import (
    CSV,
    check_same,
    logs_of,
    long_table,
    quick_table,
    start_requeued,
    submission,
    told,
    training,
    wait_in,
    wait_until_pending,
    wait_until_written,
    write_table,
)

pytestmark = pytest.mark.slow(minutes=1)


def test_two_nodes_give_the_bytes_of_one_process(cluster, tmp_path):
    """Also: a path with a space, two submissions of one sweep at once, and another sweep with the same jobs beside it."""
    out, small = tmp_path / "one place", tmp_path / "two words"
    small.mkdir()
    write_table(small, quick_table())
    other = tmp_path / "other.yaml"
    other.write_text((small / "tiny.yaml").read_text().replace('table: "1"', 'table: "2"'))
    tables = (small / "tiny.yaml", small / "tiny.yaml", other)
    started = [submission(cluster, table, out, small / "2.yaml") for table in tables]
    first, second, third = map(told, started)
    assert first["sweep"] == second["sweep"] != third["sweep"]
    assert {first["added"] + second["added"], first["added"], second["added"]} == {0, 2}
    wait_until_written(cluster, out, CSV, "tiny/table2.smoke.csv")
    check_same(out, small / "inline")
    again = told(submission(cluster, small / "tiny.yaml", out, small / "2.yaml"))
    assert (again["jobs"], again["added"]) == (0, 0)


def test_a_lost_worker_a_requeue_and_a_lost_allocation_cost_no_bytes(cluster, tmp_path):
    out = tmp_path / "out"
    write_table(tmp_path, long_table(images=1200))
    first = told(submission(cluster, tmp_path / "tiny.yaml", out, tmp_path / "1.yaml"))
    assert first["added"] == 1
    job = f"{first['slurm_job']}_0"

    fit, worker = wait_in(cluster, out, lambda: training(out))
    os.kill(worker, signal.SIGKILL)
    wait_in(cluster, out, lambda: training(out, but=worker))  # its second try

    cluster.ask("scancel", "--signal=USR2", job)  # what Slurm sends before a time limit
    wait_until_pending(cluster, out)
    assert (fit / "last.ckpt").exists() or (fit / "result.json").exists()
    assert not (fit / "lease.json").exists()
    start_requeued(cluster, out, job)

    cluster.ask("scancel", job)
    wait_in(cluster, out, lambda: cluster.states() == set())
    arguments = ("--out", out, "--on", "slurm", "--cluster", tmp_path / "1.yaml", "--wait")
    rest = subprocess.run(
        command("run", tmp_path / "tiny.yaml", *arguments),
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert rest.returncode == 0, rest.stdout + rest.stderr + cluster.told() + logs_of(out)
    check_same(out, tmp_path / "inline")
