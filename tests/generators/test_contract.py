"""The contract of every generator, at its tiny arguments; a new file in generators/ is tested by being there."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from defectbench import names
from defectbench.batch import Batch, Request
from defectbench.config import UserError
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.module import DefectData, ImageSet, Stream, View
from defectbench.data.streams.synthetic import requests
from defectbench.generators.base import Generator
from defectbench.machine import Machine
from defectbench.rng import torch_rng
from defectbench.stages.checkpoints import load_generator, save_generator
from defectbench.stages.training import fit_generator, initialised

GENERATORS = sorted(names.entries("generators"))
LEARNING = [n for n in GENERATORS if names.entries("generators")[n].facts.get("learns", True)]
HEAVY = {"dfmgan", "dt_gan", "imbdef_gan", "mgdefect", "star_gan_v2", "stylegan3"}  # seconds each
BATCH = 4
STEPS = 5


def by_name(names_of: list[str]) -> pytest.MarkDecorator:
    marks = {name: [pytest.mark.slow] if name in HEAVY else [] for name in names_of}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks[n]) for n in names_of])


def build(name: str, prepared: Prepared, seed: int = 0) -> Generator:
    cls = names.find("generators", name).load()
    products, defects = prepared.products, prepared.defects
    arguments = dict(cls.tiny)
    if cls.stand_ins_only:
        products, defects = ("wood",), ("scratch", "hole")
    return initialised(
        seed, lambda: cls(size=prepared.size, defects=defects, products=products, **arguments)
    )


def data_for(prepared: Prepared, generator: Generator, seed: int = 0) -> DefectData:
    defect = prepared.defects[0] if generator.scope == "defect" else None
    rows = prepared.rows(split="train", defective=True, defect=defect)
    streams = [
        Stream(ImageSet.of(prepared, rows), "defect", View("contents", 0), balance="defect"),
        Stream(ImageSet.of(prepared, prepared.rows(split="train", defective=False)), "normal"),
    ]
    generator.observe(streams[0].view.apply(streams[0].images.all()), streams[1].images.all())
    return DefectData(streams, batch=BATCH, seed=seed)


def fit(
    name: str, prepared: Prepared, folder: Path, images: int = BATCH * STEPS, **options
) -> Generator:
    generator = build(name, prepared)
    data = data_for(prepared, generator)
    return fit_generator(generator, data, folder, images=images, machine=Machine("cpu"), **options)


@pytest.fixture(scope="session")
def fitted(squares, tmp_path_factory):
    """Every generator, fitted once for a few steps; by name."""
    done: dict[str, Generator] = {}

    def get(name: str) -> Generator:
        if name not in done:
            done[name] = fit(name, squares, tmp_path_factory.mktemp(name))
        return done[name]

    return get


def ask(prepared: Prepared, generator: Generator, defect: int = 0, count: int = 3) -> Request:
    names_of = prepared.defects
    asked = next(
        iter(
            requests(
                prepared,
                {names_of[defect]: count},
                reads=generator.reads,
                view=View("contents", 0),
                batch=count,
                seed=5,
            )
        )
    )
    return asked.request


def same(a, b) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@by_name(LEARNING)
def test_every_weight_moves_and_is_finite(name, squares, fitted):
    generator = fitted(name)
    before = build(name, squares)
    old = dict(before.named_parameters())
    averaged = {n for n, p in before.named_parameters() if not p.requires_grad}
    still = [
        n
        for n, p in generator.named_parameters()
        if n not in averaged and torch.equal(p.detach(), old[n].detach())
    ]
    assert not still
    assert all(p.isfinite().all() for p in generator.parameters())


@by_name(GENERATORS)
def test_samples_follow_from_the_rng_alone(name, squares, fitted):
    generator = fitted(name)
    request = ask(squares, generator)
    with torch.no_grad():
        first = generator.synthesise(request, torch_rng(1))
        torch.manual_seed(99)
        again = generator.synthesise(request, torch_rng(1))
        other = generator.synthesise(request, torch_rng(2))
    assert same(first, again)
    if generator.deterministic:
        assert same(first, other)
    else:
        assert not torch.equal(first["image"], other["image"])


@by_name(GENERATORS)
def test_shapes_types_and_ranges(name, squares, fitted):
    generator = fitted(name)
    with torch.no_grad():
        sample = generator.synthesise(ask(squares, generator), torch_rng(1))
    assert sample["image"].shape == (3, 3, squares.size, squares.size)
    assert sample["image"].dtype == torch.float32
    assert sample["image"].isfinite().all()
    assert sample["image"].abs().max() <= 1
    assert ("mask" in sample) == (generator.mask_source not in {"none", "watershed"})
    if "mask" in sample:
        assert sample["mask"].shape == (3, 1, squares.size, squares.size)
        assert set(sample["mask"].unique().tolist()) <= {0.0, 1.0}
    if "valid" in sample:
        assert sample["valid"].shape == (3,)
        assert sample["valid"].dtype == torch.bool


@by_name(GENERATORS)
def test_the_label_changes_the_image(name, squares, fitted):
    generator = fitted(name)
    if generator.scope == "defect":
        pytest.skip("one model per defect: the label chooses the model")
    if not generator.draws_labels:
        with torch.no_grad():
            first, second = (
                generator.synthesise(ask(squares, generator, defect), torch_rng(1))
                for defect in (0, 1)
            )
        assert same(first, second)
        return
    request = ask(squares, generator)
    other: Request = copy.copy(request)
    other["defects"] = request["defects"].flip(1)
    with torch.no_grad():
        first = generator.synthesise(request, torch_rng(1))
        second = generator.synthesise(other, torch_rng(1))
    assert not torch.equal(first["image"], second["image"])


@by_name(GENERATORS)
def test_a_checkpoint_of_plain_values_samples_the_same(name, squares, fitted, tmp_path):
    generator = fitted(name)
    path = tmp_path / "generator.ckpt"
    save_generator(generator, name, path)
    loaded = load_generator(path)
    request = ask(squares, generator)
    with torch.no_grad():
        assert same(
            generator.synthesise(request, torch_rng(3)), loaded.synthesise(request, torch_rng(3))
        )


def test_a_checkpoint_of_another_generator_is_refused(squares, fitted, tmp_path):
    path = tmp_path / "generator.ckpt"
    save_generator(fitted("memoriser"), "memoriser", path)
    with pytest.raises(UserError, match="a checkpoint of memoriser, expected star_gan"):
        load_generator(path, expected="star_gan")


class _Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_killed_and_resumed_ends_with_the_same_bits(name, squares, tmp_path):
    whole = fit(name, squares, tmp_path / "whole", images=BATCH * 6, checkpoint_every=BATCH * 2)

    seen = 0

    def kill(_module) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise _Killed

    with pytest.raises(_Killed):
        fit(
            name,
            squares,
            tmp_path / "cut",
            images=BATCH * 6,
            checkpoint_every=BATCH * 2,
            on_checkpoint=kill,
        )
    assert (tmp_path / "cut" / "last.ckpt").exists()
    resumed = fit(name, squares, tmp_path / "cut", images=BATCH * 6, checkpoint_every=BATCH * 2)

    old, new = whole.state_dict(), resumed.state_dict()
    different = [
        key for key in old if torch.is_tensor(old[key]) and not torch.equal(old[key], new[key])
    ]
    assert not different
    curves = [(tmp_path / which / "losses.csv").read_text() for which in ("whole", "cut")]
    assert curves[0] == curves[1]


DDP = """
import sys, torch
sys.path.insert(0, sys.argv[3])
torch.set_num_threads(1)
from pathlib import Path
from tests.generators.test_contract import BATCH, build, data_for
from defectbench.machine import Machine
from defectbench.stages.training import fit_generator
from defectbench.data.cache.prepared import Prepared
if __name__ == "__main__":
    prepared = Prepared.open(Path(sys.argv[2]))
    generator = build(sys.argv[1], prepared)
    fit_generator(generator, data_for(prepared, generator), Path(sys.argv[4]), images=BATCH * 4,
                  machine=Machine("cpu", devices=2))
    import torch.distributed as dist
    flat = torch.cat([p.detach().flatten() for p in generator.parameters()])
    both = [torch.empty_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert flat.isfinite().all()
    assert torch.equal(*both), "the two processes disagree"
    assert generator.clock.finished
    print("both finished and agree", flush=True)
    dist.barrier()
    dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.parametrize("name", LEARNING)
def test_two_processes_agree_under_ddp(name, squares, tmp_path):
    script = tmp_path / "ddp.py"
    script.write_text(DDP)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script), name, str(squares.folder), str(root), str(tmp_path / "fit")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MASTER_ADDR": "127.0.0.1"},
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=600)  # starved machines start slowly
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, told[-3000:]
    assert told.count("both finished and agree") == 2


def test_batches_hold_contents_on_their_background(squares):
    rows = squares.rows(split="train", defective=True)
    batch: Batch = Stream(ImageSet.of(squares, rows), "defect", View("contents", 255)).at(0, 0, 8)
    outside = batch["image"].masked_select(~batch["mask"].bool().expand_as(batch["image"]))
    assert (outside == 1).all()
