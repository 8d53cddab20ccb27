"""Every command of docs/cluster.md, in its order, on a real Slurm; with a tiny table in place of the papers'."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from defectbench.config import load_yaml
from defectbench.executors.profiles import Profile
from defectbench.spec.cases import expand, load_sweep
from tests.conftest import REPOSITORY
from tests.slurm.sweeping import CSV, quick_table, wait_in, write_profile

PAGE = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (defectbench .+)$", PAGE, flags=re.MULTILINE)
YAML = re.findall(r"^```yaml\n(.+?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_profile_and_the_sweep_file_of_the_page_are_read(tmp_path):
    profile, sweep = YAML
    (tmp_path / "mine.yaml").write_text(profile)
    Profile.model_validate(load_yaml(tmp_path / "mine.yaml"))
    file = tmp_path / "budgets.yaml"
    file.write_text(sweep)
    assert len(expand(load_sweep(file), "budgets", file)) == 5


@pytest.mark.slow(minutes=1)
def test_every_command_of_the_page_runs(cluster, tmp_path):
    table, out = tmp_path / "tiny.yaml", tmp_path / "results"
    table.write_text(quick_table())
    sweep = tmp_path / "budgets.yaml"
    sweep.write_text(f"tables: [{table}]\nvary: {{task.steps: [3, 6]}}\n")
    profile = write_profile(tmp_path / "mine.yaml", most=1)

    def mine(words: str) -> list[str]:
        """The page's words with this folder's names."""
        for theirs, ours in (
            ("dcdgan_c/table5 dt_gan/table5", str(table)),
            ("dcdgan_c/table5", str(table)),
            ("--preset small ", ""),
            ("--preset paper ", ""),
            ("/shared/results/jobs/sweeps/29d340c51a2d.json", next_sweep()),
            ("/shared/results", str(out)),
            ("--data /shared/datasets ", ""),
            ("--data /datasets ", ""),
            ("--cluster mine", f"--cluster {profile}"),
            ("budgets.yaml", str(sweep)),
        ):
            words = words.replace(theirs, ours)
        assert "/shared" not in words
        assert "/datasets" not in words
        return [sys.executable, "-m", "defectbench", *shlex.split(words)[1:]]

    def next_sweep() -> str:
        return str(next(iter(out.glob("jobs/sweeps/*.json")), ""))

    ran = []
    for words in COMMANDS:
        done = subprocess.run(
            mine(words),
            cwd=tmp_path,
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}{cluster.told()}"
        name = words.split()[1]
        ran.append(name)
        if name == "run" and "slurm" in words:
            assert "submitted job" in done.stdout
            assert re.search(r"sweep [0-9a-f]{12}: \d+ jobs to do, 0 ended before", done.stdout)
        if name == "sweep" and "--cost" in words:
            assert "2 cases" in done.stdout
        if name == "status":
            assert re.search(r"sweep [0-9a-f]{12}: .*, smoke, planned", done.stdout)
    assert {"run", "status", "cancel", "logs", "retry", "sweep", "worker"} <= set(ran)
    wait_in(cluster, out, (out / "sweeps" / "budgets.leaderboard.csv").exists)
    assert (out / CSV).exists()
