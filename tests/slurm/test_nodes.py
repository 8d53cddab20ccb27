"""A fit over two nodes of a real Slurm: the bytes of as many processes on one machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from defectbench.executors.profiles import Profile, load_profile
from tests.running import command
from tests.slurm.sweeping import (
    CSV,
    check_same,
    long_table,
    submission,
    told,
    wait_in,
    wait_until_written,
)

PROFILE = """
nodes: 2
cpus: 1
time: "00:20:00"
warning_seconds: 20
max_allocations: 1
"""


def weights(out: Path) -> dict[str, bytes]:
    path = next(iter(out.glob("jobs/*/generator.ckpt")))
    content = torch.load(path, weights_only=True)["state_dict"]
    return {k: v.numpy().tobytes() for k, v in content.items() if torch.is_tensor(v)}


def test_a_profile_of_several_nodes_asks_for_them():
    asked = load_profile("nodes").options()
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4", "--cpus-per-task=32"} <= set(
        asked
    )
    assert "--nodes=1" in Profile().options()


@pytest.mark.slow(minutes=1)
def test_a_fit_over_two_nodes_has_the_weights_of_two_processes_on_one(cluster, tmp_path):
    table, out, here = tmp_path / "tiny.yaml", tmp_path / "two nodes", tmp_path / "here"
    table.write_text(long_table(images=48))
    (tmp_path / "nodes.yaml").write_text(PROFILE)
    machine = ("--devices", 2, "--accelerator", "cpu")
    done = subprocess.run(
        command("run", table, "--out", here, *machine),
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    refused = submission(cluster, table, out, tmp_path / "nodes.yaml", "--devices", 3)
    assert "expected a multiple of 2" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2

    first = told(submission(cluster, table, out, tmp_path / "nodes.yaml", *machine))
    assert first["added"] == 1
    job = f"{first['slurm_job']}_0"
    steps: set[str] = set()

    def steps_seen() -> bool:
        """Whether a step of the allocation was on both nodes."""
        steps.add(cluster.ask("squeue", "--steps", "--noheader", "--format=%N"))
        return any("n[1-2]" in step for step in steps)

    wait_in(cluster, out, steps_seen)
    assert cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%D") in {"2", ""}
    wait_until_written(cluster, out, CSV)
    check_same(out, here)
    assert weights(out) == weights(here)
    assert not list(out.glob("jobs/*/ranks.log"))
