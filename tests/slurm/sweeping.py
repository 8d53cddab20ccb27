"""Submissions of tiny tables, and what tests wait for while they run."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from defectbench.store.jobs import Store
from tests.running import TABLE, command, run_here, wait_for
from tests.slurm.conftest import Cluster

CSV = "tiny/table1.smoke.csv"
PROFILE = """
cpus: 2
time: "{limit}"
workers_per_allocation: 1
max_allocations: {most}
warning_seconds: {warning}
idle_minutes: 5
setup: ["export DEFECTBENCH_SET_UP=yes"]
sbatch: {{comment: a test}}
"""


def write_profile(path: Path, most: int, limit: str = "00:20:00", warning: int = 20) -> Path:
    path.write_text(PROFILE.format(most=most, limit=limit, warning=warning))
    return path


def write_table(folder: Path, text: str) -> None:
    """Write a table, the profiles `1.yaml` and `2.yaml`, and the table's results from one process."""
    (folder / "tiny.yaml").write_text(text)
    for most in (1, 2):
        write_profile(folder / f"{most}.yaml", most)
    run_here(folder / "tiny.yaml", folder / "inline")


def quick_table() -> str:
    """One seed, no scores: seconds."""
    start, end = TABLE.index("scores:"), TABLE.index("presets:")
    return (TABLE[:start] + TABLE[end:]).replace("seeds: [0, 1]", "seeds: [0]")


def long_table(images: int) -> str:
    """One fit of `images`/4 steps, a sample and a task: the fit lasts while things happen."""
    text = quick_table().replace("fit: {images: 48,", f"fit: {{images: {images},")
    for line in (
        "  Memoriser: {generator: memoriser}\n",
        "  - {arm: enlarge, method: Memoriser}\n",
    ):
        assert line in text
        text = text.replace(line, "")
    return text.replace("  - {arm: raw}\n", "").replace("steps: 6", "steps: 3")


def submission(
    cluster: Cluster, table: Path, out: Path, profile: Path, *more: object
) -> subprocess.Popen[str]:
    arguments = ("--out", out, "--on", "slurm", "--cluster", profile, "--json", *more)
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


def wait_in(cluster: Cluster, out: Path, what: Callable[[], Any], seconds: float = 300) -> Any:
    try:
        return wait_for(what, seconds)
    except AssertionError:
        raise AssertionError(
            f"waited in vain; {cluster.told()}\n--- logs of the sweep\n{logs_of(out)}"
        ) from None


def wait_until_written(cluster: Cluster, out: Path, *names: str) -> None:
    wait_in(cluster, out, lambda: all((out / name).exists() for name in names))
    wait_in(cluster, out, lambda: cluster.states() == set())


def wait_until_pending(cluster: Cluster, out: Path) -> None:
    wait_in(cluster, out, lambda: "this allocation is requeued" in logs_of(out))
    wait_in(cluster, out, lambda: cluster.states() == {"PENDING"})


def start_requeued(cluster: Cluster, out: Path, job: str) -> None:
    """Let a requeued job begin before Slurm's two minutes are over.

    A job that begins in the second in which its former run was ended is refused by slurmd ("already killed, do not launch"):
    credentials tell whole seconds. That is why Slurm waits.
    """
    time.sleep(2.1)

    def begins() -> bool:
        states = cluster.states()
        if states == {"PENDING"}:
            cluster.ask("scontrol", "update", f"jobid={job}", "StartTime=now")
        return "RUNNING" in states

    wait_in(cluster, out, begins, 60)


def metrics(out: Path) -> dict[str, Any]:
    """What records hold of every job, but for when and where it was done."""
    lines = (out / "records" / "tiny.table1.smoke.jsonl").read_text().splitlines()
    jobs = [job for job in map(json.loads, lines) if job["kind"] == "job"]
    return {job["id"]: {k: v for k, v in job.items() if k != "provenance"} for job in jobs}


def check_same(out: Path, expected: Path) -> None:
    """The bytes of one process, and nobody at work."""
    assert (out / CSV).read_bytes() == (expected / CSV).read_bytes()
    assert metrics(out) == metrics(expected)
    assert not list(out.glob("jobs/**/lease.json"))


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
