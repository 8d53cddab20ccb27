"""Data that hardly suffice, or do not: every generator copes, or refuses by name before its training starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from defectbench import names
from defectbench.config import UserError
from defectbench.data.cache.prepare import prepare
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.generators.base import Generator
from defectbench.machine import Machine
from defectbench.rng import torch_rng
from defectbench.stages.fit_checks import check_fit, trained_labels
from defectbench.stages.training import fit_generator
from tests.conftest import draw_tree
from tests.generators.test_contract import GENERATORS, LEARNING, ask, build

CPU = Machine("cpu")
SPEC = {"view": {"name": "full"}}


def only(folder: Path, keep, **changes) -> Prepared:
    """A decoded cache of some of the squares."""
    manifest = draw_tree(folder / "raw")
    manifest = replace(manifest.where(keep(manifest.table)), **changes)
    return prepare(manifest, folder / "cache", size=32)


@pytest.fixture(scope="module")
def scarce(tmp_path_factory) -> Prepared:
    """One defect name, one training image of it, one normal training image."""

    def one_of_each(table):
        return table["id"].isin(["train-bright-0", "train-good-0"])

    return only(tmp_path_factory.mktemp("scarce"), one_of_each, defects=("bright",))


@pytest.fixture(scope="module")
def no_normals(tmp_path_factory) -> Prepared:
    """Defect images alone."""
    return only(tmp_path_factory.mktemp("no_normals"), lambda table: table["defects"].map(bool))


def train(generator: Generator, prepared: Prepared, folder: Path, *, batch: int = 4) -> Generator:
    """Take a step of every stage, as a fit does."""
    defect = ImageSet.of(prepared, prepared.rows(split="train", defective=True))
    normal = ImageSet.of(prepared, prepared.rows(split="train", defective=False))
    streams = [Stream(defect, "defect", balance="defect"), Stream(normal, "normal")]
    generator.observe(defect.all(), normal.all())
    data = DefectData(streams, batch=batch, seed=0)
    return fit_generator(generator, data, folder, images=3 * batch, machine=CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_one_training_image_of_one_defect_is_enough(name, scarce, tmp_path):
    rows = scarce.rows(defective=True), scarce.rows(defective=False)
    assert [len(r) for r in rows] == [1, 1]
    check_fit(names.find("generators", name), scarce, *rows, SPEC)
    generator = build(name, scarce)
    if not generator.stand_ins_only:  # the oracle draws other products
        train(generator, scarce, tmp_path)
        with torch.no_grad():
            made = generator.synthesise(ask(scarce, generator), torch_rng(0))
        assert made["image"].isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_batch_of_one_is_trained_on_or_refused_before_the_first_step(name, squares, tmp_path):
    generator = build(name, squares)
    if generator.least_batch > 1:
        with pytest.raises(UserError, match=f"{name}: batch is 1; wants at least 2"):
            train(generator, squares, tmp_path / "fit", batch=1)
        assert not (tmp_path / "fit").exists()
    else:
        train(generator, squares, tmp_path / "fit", batch=1)


def test_a_batch_must_divide_among_devices():
    facts = {"least_batch": 2}
    names.check_batch("dfmgan", facts, 4, devices=2)
    for batch in (5, 2):
        with pytest.raises(UserError, match=f"batch is {batch} on 2 devices; .* at least 4"):
            names.check_batch("dfmgan", facts, batch, devices=2)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [4, 33, 36])
def test_sizes_are_built_and_trained_or_refused_by_name(name, size, squares, tmp_path):
    entry = names.find("generators", name)
    cls = entry.load()
    products = ("wood",) if cls.stand_ins_only else squares.products
    defects = ("scratch", "hole") if cls.stand_ins_only else squares.defects
    goes = (
        size >= entry.facts.get("least_size", 8) and size % entry.facts.get("multiple_of", 1) == 0
    )
    if not goes or (entry.facts.get("power_of_two") and size & (size - 1)):
        with pytest.raises(UserError, match=f"^{name}: size is {size}; wants "):
            names.check_size(name, entry.facts, size)
        with pytest.raises(UserError, match=f"^{name}: size is {size}; wants "):
            cls(size=size, defects=defects, products=products, **cls.tiny)
        return
    generator = cls(size=size, defects=defects, products=products, **cls.tiny)
    if generator.learns:
        manifest = draw_tree(tmp_path / "raw", count=4)
        train(generator, prepare(manifest, tmp_path / "cache", size=size), tmp_path / "fit")


@pytest.mark.parametrize("name", GENERATORS)
def test_a_product_without_normals_is_refused_where_normals_are_needed(name, no_normals):
    entry = names.find("generators", name)
    rows = no_normals.rows(split="train", defective=True), no_normals.rows(defective=False)
    if "normal" in entry.facts["streams"] | entry.facts["reads"]:
        with pytest.raises(
            UserError, match=f"squares: {name} .* normal images, and there are none"
        ):
            check_fit(entry, no_normals, *rows, SPEC)
    else:
        check_fit(entry, no_normals, *rows, SPEC)


@pytest.mark.parametrize("name", GENERATORS)
def test_defects_without_masks_are_refused_where_masks_are_needed(name, squares):
    entry = names.find("generators", name)
    bare = replace(squares, table=squares.table.assign(mask_pixels=0))
    rows = [bare.rows(split="train", defective=kind) for kind in (True, False)]
    contents = {"view": {"name": "contents"}}
    with pytest.raises(UserError, match="has a mask; the view `contents` cuts"):
        check_fit(entry, bare, *rows, contents)
    if entry.facts.get("needs_masks"):
        with pytest.raises(UserError, match=f"has a mask; {name} needs masks"):
            check_fit(entry, bare, *rows, SPEC)
    else:
        check_fit(entry, bare, *rows, SPEC)


def test_a_defect_without_images_is_refused_and_the_others_are_what_a_model_may_be_asked_for(
    scarce,
):
    wider = replace(scarce, defects=("bright", "dark"))
    rows = wider.rows(defective=False)
    with pytest.raises(UserError, match="squares: no training image of dark"):
        check_fit(
            names.find("generators", "dfmgan"), wider, rows[:0], rows, {**SPEC, "defect": "dark"}
        )
    assert trained_labels(names.find("generators", "star_gan"), wider, SPEC) == ["bright"]
    one = {**SPEC, "defect": "bright"}
    assert trained_labels(names.find("generators", "dfmgan"), wider, one) == ["bright"]
