"""On a CUDA device: what is trained, sampled and scored on the CPU by the other tests. Runs by itself where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from defectbench.machine import Machine
from defectbench.rng import torch_rng
from defectbench.stages.checkpoints import load_generator, save_generator
from defectbench.stages.training import fit_generator
from tests.generators.test_contract import BATCH, GENERATORS, LEARNING, ask, build, data_for
from tests.running import TABLE, call

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

MODELS = """
models:
  U-Net: {task: segmentation}
  ResNet: {task: classification, arguments: {source_head: ganin}, metrics: [accuracy]}
  FCOS: {task: detection, arguments: {model: fcos}, metrics: [map50]}
"""
ARGUMENTS = """
      ResNet: {model: resnet10t, width: 0.25}
      FCOS: {backbone: resnet10t, width: 0.25, channels: 32, min_area: 4}
"""


def fit(name: str, prepared, folder: Path, images: int, **options):
    generator = build(name, prepared)
    data = data_for(prepared, generator)
    return fit_generator(generator, data, folder, images=images, machine=Machine("gpu", **options))


def drawn(generator, request):
    moved = {
        key: value.to(generator.device) if torch.is_tensor(value) else value
        for key, value in request.items()
    }
    with torch.no_grad():
        return {k: v.float().cpu() for k, v in generator.synthesise(moved, torch_rng(3)).items()}


@pytest.mark.parametrize("precision", ["auto", "32-true"])
@pytest.mark.parametrize("name", LEARNING)
def test_every_generator_trains(name, precision, squares, tmp_path):
    trained = fit(name, squares, tmp_path, BATCH * 5, precision=precision)
    old = dict(build(name, squares).named_parameters())
    still = [
        n
        for n, p in trained.named_parameters()
        if p.requires_grad and torch.equal(p.detach().cpu(), old[n].detach())
    ]
    assert not still
    assert all(p.isfinite().all() for p in trained.parameters())


@pytest.mark.parametrize("name", GENERATORS)
def test_a_checkpoint_draws_on_the_gpu_what_it_draws_on_the_cpu(name, squares, tmp_path):
    trained = fit(name, squares, tmp_path, BATCH * 2)
    path = tmp_path / "generator.ckpt"
    save_generator(trained, name, path)
    request = ask(squares, trained)
    cpu = drawn(load_generator(path), request)
    gpu = drawn(load_generator(path).to("cuda"), request)
    assert cpu.keys() == gpu.keys()
    for key, value in cpu.items():
        assert (gpu[key] - value).abs().mean() < 0.02, key


@pytest.mark.parametrize("name", LEARNING)
def test_a_killed_fit_goes_on(name, squares, tmp_path):
    class Killed(Exception):
        pass

    def kill(_module) -> None:
        raise Killed

    generator = build(name, squares)
    data = data_for(squares, generator)
    with pytest.raises(Killed):
        fit_generator(
            generator,
            data,
            tmp_path,
            images=BATCH * 8,
            machine=Machine("gpu"),
            checkpoint_every=BATCH * 2,
            on_checkpoint=kill,
        )
    trained = fit(name, squares, tmp_path, BATCH * 8)
    assert trained.clock.finished
    assert all(p.isfinite().all() for p in trained.parameters())


def test_a_table_with_every_kind_of_task_and_score(tmp_path):
    table = TABLE.replace("models:\n  U-Net: {task: segmentation}\n", MODELS.lstrip())
    tail = "      segmentation:"
    table = table.replace(tail, ARGUMENTS.strip("\n") + "\n" + tail)
    (tmp_path / "tiny.yaml").write_text(table)
    out = tmp_path / "out"
    done = call("run", tmp_path / "tiny.yaml", "--out", out, "--on", "local", "--workers", 3)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = (out / "records" / "tiny.table1.smoke.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if "provenance" in record]
    assert {r["stage"] for r in records} == {"prepare", "fit", "sample", "score", "task"}
    assert {r["provenance"]["device"] for r in records} == {torch.cuda.get_device_name(0)}
    failures = [record for record in map(json.loads, lines) if record["kind"] == "failure"]
    assert all(failure["undefined"] for failure in failures), failures  # no usable mask yet
