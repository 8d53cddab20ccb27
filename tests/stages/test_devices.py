"""Fits on several devices: one process each, one claim, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.runner.test_bad_input import refused
from tests.running import call, command, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network]
ROOT = Path(__file__).parents[2]
FIT = [
    "fit", "star_gan", "--size", 32, "--standin-size", 48, "--batch", 4, "--set", "base=4",
    "--set", "critic_base=4", "--accelerator", "cpu",
]  # fmt: skip

PLAIN_DDP = """
import json, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
torch.set_num_threads(1)
from defectbench import names
from defectbench.machine import Machine
from defectbench.stages.training import fit_generator, initialised
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.data.cache.prepared import Prepared
from defectbench.rng import derive
if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[2]).read_text())["spec"]
    prepared = Prepared.open(Path(sys.argv[3]))
    cls = names.find("generators", "star_gan").load()
    generator = initialised(spec["seed"], lambda: cls(
        size=32, defects=prepared.defects, products=prepared.products, **spec["arguments"]))
    streams = [
        Stream(ImageSet.of(prepared, prepared.rows(split="train", defective=kind == "defect")), kind, balance=balance)
        for kind, balance in (("defect", "defect"), ("normal", "none"))
    ]
    data = DefectData(streams, batch=4, seed=derive(spec["seed"], "fit"))
    generator.observe(streams[0].images.all(), streams[1].images.all())
    fit_generator(generator, data, Path(sys.argv[4]), images=spec["images"], machine=Machine("cpu", devices=2))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
"""


def weights(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, weights_only=True)["state_dict"]
    return {key: value for key, value in content.items() if torch.is_tensor(value)}


def job_folder(out: Path, stage: str) -> Path:
    return next(
        p.parent for p in out.glob("jobs/*/job.json") if json.loads(p.read_text())["stage"] == stage
    )


def processes_of(folder: Path) -> list[int]:
    """Ranks that keep their log in a folder."""
    log, found = (folder / "ranks.log").resolve(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "fd" / "1").resolve() == log and b"stages.ranks.rank" in (
                entry / "cmdline"
            ).read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit on two devices that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    done = call(*FIT, "--images", 48, "--devices", 2, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_a_fit_on_two_devices_is_lightnings_own(whole, tmp_path):
    script = tmp_path / "ddp.py"
    script.write_text(PLAIN_DDP)
    fit, prepare = job_folder(whole, "fit"), job_folder(whole, "prepare")
    subprocess.run(
        [sys.executable, script, ROOT, fit / "job.json", prepare / "cache", tmp_path / "fit"],
        check=True,
        timeout=600,
        env={**os.environ, "MASTER_ADDR": "127.0.0.1"},
    )
    ours, plain = (
        weights(whole / "generator.ckpt"),
        weights(tmp_path / "fit" / "last.ckpt"),
    )
    assert ours.keys() == plain.keys()
    assert not [key for key in ours if not torch.equal(ours[key], plain[key])]
    assert (fit / "losses.csv").read_bytes() == (tmp_path / "fit" / "losses.csv").read_bytes()
    assert {p.name for p in fit.iterdir()} >= {"generator.ckpt", "result.json", "losses.csv"}
    assert not (fit / "last.ckpt").exists()
    assert not (fit / "ranks.log").exists()


def test_killed_and_run_again_ends_with_the_same_weights(whole, tmp_path):
    line = command(*FIT, "--images", 48, "--devices", 2, "--out", tmp_path)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("jobs/*/last.ckpt")))
    folder = job_folder(tmp_path, "fit")
    ranks = processes_of(folder)
    assert len(ranks) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not processes_of(folder), seconds=10)
    done = call(*FIT, "--images", 48, "--devices", 2, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    ours, theirs = weights(tmp_path / "generator.ckpt"), weights(whole / "generator.ckpt")
    assert not [key for key in ours if not torch.equal(ours[key], theirs[key])]
    assert (tmp_path / "losses.csv").read_bytes() == (whole / "losses.csv").read_bytes()


def test_a_killed_rank_ends_the_fit_with_the_reason(tmp_path):
    line = command(*FIT, "--images", 400_000, "--devices", 2, "--out", tmp_path)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(tmp_path.glob("jobs/*/losses.csv")))
    folder = job_folder(tmp_path, "fit")
    os.kill(processes_of(folder)[0], signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "ended with exit code -9" in told
    assert not processes_of(folder)


def test_divergence_and_bad_input_on_a_rank_are_told_as_from_one_process(tmp_path):
    done = call(*FIT, "--images", 4000, "--set", "lr=1e+30", "--devices", 2, "--out", tmp_path)
    refused(done, "fit star_gan wood", "after", "images")
    failure = json.loads((job_folder(tmp_path, "fit") / "failed.json").read_text())
    assert failure["repeats"]
    done = call(*FIT, "--images", 12, "--devices", 3, "--out", tmp_path)
    refused(done, "star_gan: batch is 4 on 3 devices; wants a multiple of 3, at least 3")
