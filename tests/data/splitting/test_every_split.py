"""Every split rule on every dataset's stand-in: nothing on both sides that belongs on one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from defectbench import names
from defectbench.config import UserError
from defectbench.data.files.leaks import leaks
from defectbench.data.manifest import Manifest
from defectbench.data.splitting.splits import split
from defectbench.standin import write_standin
from defectbench.standin.order import Order

PRODUCTS = {
    "codebrim": "concrete",
    "dagm2007": "Class1",
    "kolektor_sdd": "commutator",
    "kolektor_sdd2": "ksdd2",
    "mtd": "magnetic_tile",
    "mvtec_ad": "wood",
    "mvtec_loco": "breakfast_box",
    "neu_det": "hot_rolled_steel",
    "sdi": "A",
    "visa": "candle",
    "x_sdd": "hot_rolled_strip",
}
RULES = (
    "official",
    "one_third",
    "dcdgan_c",
    "sdi_dt_gan",
    "few_shot(3)",
    "subset(4 of A)",
    "k_fold(3, 0)",
    "fraction(test=0.4)",
    "fraction_of_images(test=0.4)",
)
LEAKING = {
    ("sdi", "official"): "the publisher's own sides hold copies with two labels (docs/datasets.md)"
}
REFUSED = {  # a rule of one paper fits its own datasets only; the others say so
    "dcdgan_c": {"mvtec_ad"},
    "subset(4 of A)": {"sdi"},
    "official": {"codebrim", "dagm2007", "kolektor_sdd2", "mvtec_ad", "mvtec_loco", "sdi", "visa"},
}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """One product of each dataset, drawn small."""
    found = {}
    for name, product in PRODUCTS.items():
        dataset = names.find("datasets", name).load()()
        root = write_standin(name, tmp_path_factory.mktemp(name) / dataset.folder, Order(size=64, normals=9, defective=9, seed=3, products=[product]))  # fmt: skip
        found[name] = dataset.scan(root, [product])
    return found


def test_no_dataset_is_forgotten():
    assert set(PRODUCTS) == set(names.entries("datasets")) - {"folder"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_no_part_no_file_and_no_look_alike_is_on_two_sides(
    name: str, rule: str, manifests: dict[str, Manifest]
):
    fits = REFUSED.get(rule)
    if fits is not None and name not in fits:
        with pytest.raises(UserError):
            split(manifests[name], rule)
        return
    found = leaks(split(manifests[name], rule), look=True)
    if (name, rule) in LEAKING:
        assert {leak.kind for leak in found} == {"group", "copy"}, LEAKING[name, rule]
        return
    assert not found, "\n".join(map(str, found[:5]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_a_copy_in_another_light_would_be_seen_in_every_dataset(
    name: str, manifests: dict[str, Manifest], tmp_path: Path
):
    """The search above means something: put one image's darker twin on the other side, and it is found."""
    manifest = manifests[name]
    sides = split(manifest, "fraction(test=0.4)", validation=0)
    table = sides.table.copy()
    source = table[table["split"] == "train"].iloc[0]
    with Image.open(manifest.root / source["image"]) as image:
        twin = image.convert("RGB").point(lambda value: int(value * 0.7))
    twin.save(tmp_path / "twin.png")
    row = {**source.to_dict(), "id": "twin", "image": str(tmp_path / "twin.png"), "group": "twin"}
    row |= {"mask": "", "split": "test"}
    table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    found = leaks(replace(sides, table=table.sort_values("id", ignore_index=True)), look=True)
    assert "twin" in {end for leak in found for end in (leak.first, leak.second)}
    assert {leak.kind for leak in found} == {"near"}
