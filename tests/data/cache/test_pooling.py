"""Pools of products, limits, and what is asked of a generator that learned from other images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defectbench.config import UserError
from defectbench.data.cache.pooling import pool
from defectbench.data.cache.prepare import prepare
from defectbench.data.splitting.splits import at_most, split
from defectbench.data.streams.arms import training_set
from defectbench.data.streams.module import View
from defectbench.data.streams.synthetic import Learned, requests
from defectbench.datasets.mvtec_ad import MVTecAD
from defectbench.datasets.sdi import SDI
from defectbench.standin import write_standin
from defectbench.standin.order import Order

FULL = View("full", 0, 0)


@pytest.fixture(scope="module")
def sdi(tmp_path_factory):
    """Products A and B of a drawn SDI, split and decoded, by name in the pool."""
    folder = tmp_path_factory.mktemp("sdi")
    root = write_standin("sdi", folder / "raw", Order(size=40, normals=6, defective=9, seed=0))
    return {
        f"SDI-{p}": prepare(split(SDI().scan(root, [p]), "sdi_dt_gan"), folder / p, size=32)
        for p in ("A", "B")
    }


@pytest.fixture(scope="module")
def pooled(sdi, tmp_path_factory):
    return pool(sdi, tmp_path_factory.mktemp("pool") / "cache")


def test_a_pool_holds_the_members_as_they_are(sdi, pooled):
    first = 0
    for name, member in sdi.items():
        rows = pooled.rows(product=name)
        assert rows.tolist() == list(range(first, first + len(member)))
        assert np.array_equal(pooled.images[rows], member.images)
        assert np.array_equal(pooled.masks[rows], member.masks)
        for column in ("split", "defects"):
            assert pooled.table[column].iloc[rows].tolist() == member.table[column].tolist()
        first += len(member)
    assert pooled.products == ("SDI-A", "SDI-B")
    assert pooled.table["id"].is_unique


def test_nothing_of_a_pool_trains_that_a_member_tests_with(sdi, pooled):
    groups = pooled.table.groupby("group")["split"].nunique()
    assert (groups == 1).all()
    for name, member in sdi.items():
        test = {f"{name}/{i}" for i in member.table["id"].iloc[member.rows(split="test")]}
        assert not test & set(pooled.table["id"].iloc[pooled.rows(split="train")])


def test_a_pool_is_made_once(sdi, pooled):
    before = (pooled.folder / "images.npy").stat().st_mtime_ns
    assert pool(sdi, pooled.folder).products == pooled.products
    assert (pooled.folder / "images.npy").stat().st_mtime_ns == before


def test_members_of_other_sizes_are_refused(sdi, tmp_path):
    root = write_standin(
        "mvtec_ad",
        tmp_path / "raw",
        Order(size=48, normals=3, defective=3, seed=0, products=["wood"]),
    )
    wood = prepare(split(MVTecAD().scan(root, ["wood"]), "one_third"), tmp_path / "wood", size=16)
    with pytest.raises(UserError, match=r"sizes \[16, 32\]"):
        pool({**sdi, "wood": wood}, tmp_path / "cache")


def ask(target, learned=None, **options):
    given = {
        "reads": frozenset({"normal", "reference"}),
        "view": FULL,
        "batch": 3,
        "seed": 1,
        **options,
    }
    return list(requests(target, {"spots": 6}, learned=learned, **given))


def test_references_come_from_the_products_asked_for(sdi, pooled):
    target = sdi["SDI-A"]
    for products in (("SDI-A",), ("SDI-B",), ("SDI-A", "SDI-B")):
        found = ask(target, Learned(pooled, products=products, product="SDI-A"))
        of = {p["reference"].split("/")[0] for part in found for p in part.provenance}
        assert of <= set(products)
        assert {int(i) for part in found for i in part.request["product"]} == {0}
        normals = {p["normal"] for part in found for p in part.provenance}
        assert normals <= set(target.table["id"].iloc[target.rows(split="train")])


def test_a_pool_asked_beside_itself_names_the_product_of_each_normal(pooled):
    for part in ask(pooled):
        for told, product in zip(part.provenance, part.request["product"], strict=True):
            assert told["normal"].startswith(pooled.products[int(product)])


def test_labels_are_asked_for_by_their_name_at_the_source(sdi, tmp_path):
    root = write_standin(
        "mvtec_ad",
        tmp_path / "raw",
        Order(size=48, normals=3, defective=3, seed=0, products=["wood"]),
    )
    wood = prepare(split(MVTecAD().scan(root, ["wood"]), "one_third"), tmp_path / "wood", size=32)
    learned = Learned(wood, labels={"spots": "hole"}, product="wood")
    for part in ask(sdi["SDI-A"], learned):
        assert part.request["defects"].shape[1] == len(wood.defects)
        assert (part.request["defects"].argmax(1) == wood.defects.index("hole")).all()
        assert {p["defects"] for p in part.provenance} == {("spots",)}
    with pytest.raises(UserError, match="no defect 'hol'"):
        ask(sdi["SDI-A"], Learned(wood, labels={"spots": "hol"}))


def test_joint_labels_are_those_of_training_images(tmp_path):
    from defectbench.datasets.codebrim import CODEBRIM

    root = write_standin(
        "codebrim", tmp_path / "raw", Order(size=40, normals=4, defective=8, seed=0)
    )
    made = prepare(split(CODEBRIM().scan(root), "official"), tmp_path / "cache", size=32)
    several = made.rows(split="train", defective=True)
    known = {made.table["defects"].iloc[row] for row in several}
    options = {"reads": frozenset(), "view": FULL, "batch": 4, "seed": 0, "joint": True}
    found = list(requests(made, {"Crack": 12}, **options))
    labels = {p["defects"] for part in found for p in part.provenance}
    assert {tuple(sorted(label)) for label in labels} <= {tuple(sorted(label)) for label in known}
    assert all("Crack" in label for label in labels)
    assert any(len(label) > 1 for label in labels)
    assert torch.cat([part.request["defects"] for part in found]).sum(1).max() > 1


def test_a_smaller_limit_keeps_a_part_of_what_a_larger_one_keeps(tmp_path):
    root = write_standin(
        "mvtec_ad",
        tmp_path / "raw",
        Order(size=48, normals=3, defective=12, seed=0, products=["wood"]),
    )
    whole = split(MVTecAD().scan(root, ["wood"]), "fraction(test=0.4)")

    def training(manifest):
        rows = (manifest.table["split"] == "train") & manifest.defective
        return set(manifest.table["id"][rows])

    few, more = at_most(whole, 1), at_most(whole, 3)
    assert training(few) < training(more) < training(whole)
    assert all(
        len([i for i in training(few) if f"/{defect}/" in i]) == 1 for defect in whole.defects
    )
    for part in ("val", "test"):
        sides = [set(m.table["id"][m.table["split"] == part]) for m in (few, more, whole)]
        assert sides[0] == sides[1] == sides[2]


def test_without_real_defects_synthetic_images_validate(sdi):
    real = synthetic = sdi["SDI-A"]
    for arm in ("synthetic_only", "transfer"):
        found = training_set(arm, real, synthetic, needs_masks=False)
        assert found.n_real == 0
        assert not set(found.images.ids) & set(found.validation.ids)
        assert {*found.images.ids, *found.validation.ids} == set(synthetic.table["id"])
        assert len(found.validation) == len(synthetic) // 5
