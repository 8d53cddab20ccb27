"""Every split rule on every dataset's stand-in: nothing on both sides that belongs on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectbench import names
from defectbench.config import UserError
from defectbench.data.leaks import leaks
from defectbench.data.manifest import Manifest
from defectbench.data.splits import split

PRODUCTS = {
    "codebrim": "concrete",
    "dagm2007": "Class1",
    "kolektor_sdd": "commutator",
    "kolektor_sdd2": "ksdd2",
    "mtd": "magnetic_tile",
    "mvtec_ad": "wood",
    "mvtec_loco": "breakfast_box",
    "sdi": "A",
    "visa": "candle",
}
RULES = (
    "official",
    "one_third",
    "dcdgan_c",
    "sdi_dt_gan",
    "few_shot(3)",
    "k_fold(3, 0)",
    "k_fold(3, 2)",
    "fraction(test=0.4)",
)
LEAKING = {
    ("sdi", "official"): "the publisher's own sides hold copies with two labels (docs/datasets.md)"
}
REFUSED = {  # a rule of one paper fits its own datasets only; the others say so
    "dcdgan_c": {"mvtec_ad"},
    "official": {"codebrim", "dagm2007", "kolektor_sdd2", "mvtec_ad", "mvtec_loco", "sdi", "visa"},
}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """One product of each dataset, drawn small."""
    found = {}
    for name, product in PRODUCTS.items():
        dataset = names.find("datasets", name).load()()
        root = dataset.standin(
            tmp_path_factory.mktemp(name) / dataset.folder,
            size=64, normals=9, defective=9, seed=3, products=[product],
        )  # fmt: skip
        found[name] = dataset.scan(root, [product])
    return found


def test_no_dataset_is_forgotten():
    assert set(PRODUCTS) == set(names.entries("datasets")) - {"folder"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_no_part_and_no_file_is_on_two_sides(name: str, rule: str, manifests: dict[str, Manifest]):
    fits = REFUSED.get(rule)
    if fits is not None and name not in fits:
        with pytest.raises(UserError):
            split(manifests[name], rule)
        return
    sides = split(manifests[name], rule)
    found = [leak for leak in leaks(sides, look=False) if leak.kind in {"group", "copy"}]
    if (name, rule) in LEAKING:
        assert found, LEAKING[name, rule]
        return
    assert not found, "\n".join(map(str, found[:5]))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["one_third", "k_fold(3, 0)", "fraction(test=0.4)"])
def test_no_tile_is_photographed_on_two_sides(rule: str, manifests: dict[str, Manifest]):
    assert not leaks(split(manifests["mtd"], rule), look=True)


@pytest.mark.slow
def test_the_leak_of_a_papers_code_is_there_and_is_said(manifests: dict[str, Manifest]):
    with pytest.warns(UserWarning, match="both sides"):
        sides = split(manifests["mvtec_ad"], "one_third_anomalydiffusion_exact")
    assert [leak for leak in leaks(sides, look=False) if leak.kind == "copy"]


def test_drawn_images_lie_where_they_were_written(manifests: dict[str, Manifest]):
    for manifest in manifests.values():
        first = manifest.table.iloc[0]
        assert (Path(manifest.root) / first["image"]).exists()
