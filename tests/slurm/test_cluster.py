"""Tables on two nodes of a real Slurm: the bytes of one process, whatever happens to allocations and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defectbench.store.jobs import Store
from tests.running import TABLE, call, command, wait_for
from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slow(minutes=2)
CSV = "tiny/table1.smoke.csv"
PROFILE = """
cpus: 2
time: "00:20:00"
workers_per_allocation: 1
max_allocations: {most}
warning_seconds: 20
idle_minutes: 5
setup: ["export DEFECTBENCH_SET_UP=yes"]
sbatch: {{comment: a test}}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of two generators, one of which trains for seconds, and its results from one process."""
    folder = tmp_path_factory.mktemp("two words")
    start, end = TABLE.index("scores:"), TABLE.index("presets:")
    text = (TABLE[:start] + TABLE[end:]).replace("seeds: [0, 1]", "seeds: [0]")
    text = text.replace("fit: {images: 48,", "fit: {images: 2400,").replace("steps: 6", "steps: 3")
    (folder / "tiny.yaml").write_text(text)
    for most in (1, 2):
        (folder / f"{most}.yaml").write_text(PROFILE.format(most=most))
    done = call("run", folder / "tiny.yaml", "--out", folder / "inline")
    assert done.returncode == 0, done.stderr
    return folder


def submission(cluster: Cluster, table: Path, out: Path, profile: Path) -> subprocess.Popen[str]:
    arguments = ("--out", out, "--on", "slurm", "--cluster", profile, "--json")
    return subprocess.Popen(
        command("run", table, *arguments),
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "sacct" not in err
    return json.loads(out)


def logs_of(out: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(out.glob("jobs/sweeps/*/logs/*.log")))


def wait_in(out: Path, what: Callable[[], Any], seconds: float = 400) -> Any:
    try:
        return wait_for(what, seconds)
    except AssertionError:
        raise AssertionError(f"waited in vain; logs:\n{logs_of(out)}") from None


def wait_until_written(cluster: Cluster, out: Path, *names: str) -> None:
    wait_in(out, lambda: all((out / name).exists() for name in names))
    wait_in(out, lambda: cluster.ask("squeue", "--format=%i") == "JOBID")


def metrics(out: Path) -> dict[str, Any]:
    """What records hold of every job, but for when and where it was done."""
    lines = (out / "records" / "tiny.table1.smoke.jsonl").read_text().splitlines()
    jobs = [job for job in map(json.loads, lines) if job["kind"] == "job"]
    return {job["id"]: {k: v for k, v in job.items() if k != "provenance"} for job in jobs}


def test_two_nodes_give_the_bytes_of_one_process(cluster, small, tmp_path):
    """Also: a path with a space, two submissions of one sweep at once, and another sweep with the same jobs beside it."""
    out = tmp_path / "one place"
    other = tmp_path / "other.yaml"
    other.write_text((small / "tiny.yaml").read_text().replace('table: "1"', 'table: "2"'))
    tables = (small / "tiny.yaml", small / "tiny.yaml", other)
    started = [submission(cluster, table, out, small / "2.yaml") for table in tables]
    first, second, third = map(told, started)
    assert first["sweep"] == second["sweep"] != third["sweep"]
    assert {first["added"] + second["added"], first["added"], second["added"]} == {0, 2}
    wait_until_written(cluster, out, CSV, "tiny/table2.smoke.csv")
    assert (out / CSV).read_bytes() == (small / "inline" / CSV).read_bytes()
    assert metrics(out) == metrics(small / "inline")
    assert not list(out.glob("jobs/*/lease.json"))
    again = told(submission(cluster, small / "tiny.yaml", out, small / "2.yaml"))
    assert (again["jobs"], again["added"]) == (0, 0)


def training(out: Path, but: int = 0) -> tuple[Path, int] | None:
    """The folder of a fit that trains now and its process, which is not `but`."""
    store = Store(out / "jobs")
    for losses in out.glob("jobs/*/losses.csv"):
        fit = losses.parent
        lease = store.lease(fit.name)
        named = '"dcdgan_c"' in (fit / "job.json").read_text()
        if named and lease and lease["pid"] != but and losses.stat().st_mtime > lease["since"]:
            return fit, lease["pid"]
    return None


def test_a_lost_worker_a_requeue_and_a_lost_allocation_cost_no_bytes(cluster, small, tmp_path):
    out = tmp_path / "out"
    longer = tmp_path / "tiny.yaml"
    longer.write_text((small / "tiny.yaml").read_text())
    first = told(submission(cluster, longer, out, small / "1.yaml"))
    assert first["added"] == 1
    job = f"{first['slurm_job']}_0"

    fit, worker = wait_in(out, lambda: training(out))
    os.kill(worker, signal.SIGKILL)
    wait_in(out, lambda: training(out, but=worker))  # its second try

    cluster.ask("scancel", "--signal=USR2", job)  # what Slurm sends before a time limit
    wait_in(out, lambda: "this allocation is requeued" in logs_of(out))
    wait_in(out, lambda: cluster.ask("squeue", "--noheader", "--format=%T") == "PENDING")
    assert (fit / "last.ckpt").exists() or (fit / "result.json").exists()
    assert not (fit / "lease.json").exists()
    cluster.ask("scontrol", "update", f"jobid={job}", "StartTime=now")
    wait_in(out, lambda: cluster.ask("squeue", "--noheader", "--format=%T") == "RUNNING")

    cluster.ask("scancel", job)
    wait_in(out, lambda: cluster.ask("squeue", "--format=%i") == "JOBID")
    arguments = ("--out", out, "--on", "slurm", "--cluster", small / "1.yaml", "--wait")
    rest = subprocess.run(
        command("run", longer, *arguments),
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert rest.returncode == 0, rest.stdout + rest.stderr + logs_of(out)
    assert (out / CSV).read_bytes() == (small / "inline" / CSV).read_bytes()
    assert metrics(out) == metrics(small / "inline")
