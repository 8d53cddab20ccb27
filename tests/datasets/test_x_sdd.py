"""X-SDD as published, and each trap of its layout; the real images where there are any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from defectbench.config import UserError, UserErrors
from defectbench.data.files.leaks import leaks
from defectbench.data.splitting.splits import split
from defectbench.datasets.x_sdd import COUNTS, XSDD
from tests.trees import noise, save


@pytest.fixture
def steel(tmp_path: Path) -> Path:
    """Three images of each defect, the first one of the first two as PNG."""
    root = tmp_path / "X-SDD"
    for k, name in enumerate(COUNTS):
        for i in range(3):
            suffix = "png" if name == "finishing roll printing" and i < 2 else "jpg"
            save(root / "datas" / name / f"{10_000 * k + i}.{suffix}", noise(10 * k + i))
    (root / "readme.txt").write_text("as published\n")
    return root


@pytest.mark.parametrize("up", [-1, 0, 1])
def test_every_level_of_the_layout_can_be_pointed_at(steel: Path, up: int) -> None:
    root = {-1: steel / "datas", 0: steel, 1: steel.parent}[up]
    manifest = XSDD().scan(root)
    assert manifest.defects == tuple(COUNTS)
    assert len(manifest) == 21
    assert manifest.defective.all()
    assert "oxide scale of plate system/20001" in set(manifest.table["id"])


def test_equal_files_are_one_group(steel: Path) -> None:
    folder = steel / "datas/red iron"
    (folder / "40002.jpg").write_bytes((folder / "40000.jpg").read_bytes())
    table = XSDD().scan(steel).table.set_index("id")
    assert table.loc["red iron/40000", "group"] == table.loc["red iron/40002", "group"]
    assert table["group"].nunique() == 20


def test_problems_are_told(steel: Path) -> None:
    (steel / "datas/red iron").rename(steel / "datas/rust")
    (steel / "datas/slag inclusion/50001.jpg").write_bytes(b"")
    with pytest.raises(UserErrors) as told:
        XSDD().scan(steel)
    assert "datas/red iron: no such folder" in str(told.value)
    assert "50001.jpg: is empty" in str(told.value)
    with pytest.raises(UserError, match="expected the folder X-SDD/datas"):
        XSDD().scan(steel / "datas/rust")


@pytest.mark.data
def test_the_real_images(data_root: Path) -> None:
    if not (data_root / "x_sdd").is_dir():
        pytest.skip("no real X-SDD")
    manifest = XSDD().scan(data_root / "x_sdd")
    table = manifest.table
    assert Counter(d for (d,) in table["defects"]) == COUNTS
    shared = table["group"].duplicated(keep=False)
    assert (int(shared.sum()), table.loc[shared, "group"].nunique()) == (78, 30)
    groups = table.set_index("id")["group"]
    assert groups["red iron/2078"] == groups["red iron/2082"]
    assert groups["slag inclusion/1004"] == groups["slag inclusion/1007"]
    png = table["image"].str.endswith(".png")
    assert Counter(table.loc[png, "defects"]) == {("finishing roll printing",): 142}
    assert not leaks(split(manifest, "few_shot(5)"), look=False)
