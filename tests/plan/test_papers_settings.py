"""What the presets `paper` ask for, against what the papers say; and budgets and arguments by subset."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from defectbench import names
from defectbench.config import UserError
from defectbench.plan.plan import Plan, Source
from defectbench.plan.planner import make_plan
from defectbench.spec.loading import load_table


def plan(path: Path, preset: str) -> Plan:
    spec = load_table(path)
    source = Source(
        stand_in=False,
        root=Path("data"),
        digests={s.product: "0" * 64 for s in spec.images.values()},
    )
    return make_plan(spec, preset, dict.fromkeys(spec.datasets, source))


@cache
def fits(table: str, preset: str = "paper") -> dict[tuple[str, str], dict[str, Any]]:
    """The fit of each method and subset: its job's spec."""
    made = plan(names.tables()[table], preset)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in made.cells:
        for key in made.needed([cell]):
            job = made.jobs[key]
            if job.stage == "fit":
                found[cell.method, cell.subset] = dict(job.spec)
    return found


def test_dcdgan_c_trains_400_epochs_of_its_constructed_sets_with_the_papers_weights():
    for method in ("DCDGANc", "DCDGANc[AdaIN]", "DCDGANc[InstanceNorm]"):
        for product, crops in (("wood", 3744), ("carpet", 6238)):  # Table 2
            fit = fits("dcdgan_c/table5")[method, product]
            assert fit["images"] == 400 * crops
            assert fit["batch"] == 20
            assert fit["arguments"]["kl_weight"] == 0.01
            assert fit["arguments"]["adversarial"] == "log"
    transferred = fits("dcdgan_c/table8")["DCDGANc", "tile/crack"]
    assert transferred == fits("dcdgan_c/table5")["DCDGANc", "wood"]  # one network, trained once


def test_as_many_defects_are_transferred_as_table_7_says():
    made = plan(names.tables()["dcdgan_c/table8"], "paper")
    counts = [job.spec["counts"] for job in made.jobs.values() if job.stage == "sample"]
    assert {"crack": 418} in counts
    assert {"rough": 913} in counts


@pytest.mark.parametrize("preset", ["small", "paper"])
@pytest.mark.parametrize(
    ("table", "method", "subset", "augmentation", "conditional"),
    [
        ("dcdgan_c/table5", "StyleGAN2", "wood", "", True),
        ("dt_gan/table1", "StyleGAN2", "SDI-A", "", True),
        ("dt_gan/table2", "StyleGAN2", "SDI-A", "", True),
        ("dt_gan/table3", "StyleGAN2", "SDI-A", "", True),
        ("defect_gan/table1", "StyleGAN2", "all", "", False),
        ("defect_gan/table1", "StyleGAN2+DiffAug", "all", "color,translation,cutout", False),
    ],
)
def test_stylegan2_is_augmented_where_its_row_says_so(
    table, method, subset, augmentation, conditional, preset
):
    arguments = fits(table, preset)[method, subset]["arguments"]
    assert arguments["ada"] == "none"
    assert arguments["diffaugment"] == augmentation
    assert arguments.get("conditional", True) == conditional


def test_a_step_sees_as_many_images_as_the_papers_batch():
    """Defective and normal ones together, of both streams."""
    both = {
        ("dt_gan/table2", "DT-GAN", "SDI-A"): (8, 100_000),
        ("dt_gan/table2", "StarGAN v2", "SDI-A"): (8, 100_000),
        ("defect_gan/table1", "Defect-GAN", "all"): (4, 500_000),
        ("defect_gan/table1", "StarGAN+SPADE", "all"): (4, 500_000),
        ("defect_gan/table2", "Defect-GAN[SCC+ANI]", "all"): (4, 500_000),
        ("defect_gan/table1", "StarGAN", "all"): (16, 200_000),
    }
    for (table, method, subset), (batch, steps) in both.items():
        fit = fits(table)[method, subset]
        assert 2 * fit["batch"] == batch
        assert fit["images"] // fit["batch"] == steps


def test_exclusive_classes_and_nine_blocks_at_256_px():
    assert fits("dcdgan_c/table5")["StarGAN", "carpet"]["arguments"]["labels"] == "exclusive"
    assert fits("dcdgan_c/table5")["CycleGAN", "wood"]["arguments"]["blocks"] == 9
    tiles = fits("house/mtd")
    assert tiles["CycleGAN", "magnetic_tile"]["arguments"]["blocks"] == 9
    for method in ("StarGAN", "StarGAN+SPADE", "Defect-GAN"):
        assert tiles[method, "magnetic_tile"]["arguments"]["labels"] == "exclusive"
    assert "labels" not in fits("defect_gan/table1")["StarGAN", "all"]["arguments"]  # they coincide


def test_mgdefect_learns_from_whole_images_wherever_contents_are_learned():
    for preset in ("smoke", "small", "paper"):
        fit = fits("house/mtd", preset)["MGDefect (reconstruction)", "magnetic_tile"]
        assert fit["view"]["name"] == "full"


def test_objects_are_looked_for_where_there_are_any():
    asked = fits("imbdef_gan/abstract")
    method = "ImbDef-GAN (reconstruction)"
    assert asked[method, "hazelnut"]["arguments"]["objects"] == "otsu"
    assert "objects" not in asked[method, "wood"]["arguments"]
    assert "objects" not in asked["DFMGAN", "hazelnut"]["arguments"]


def table_of(tmp_path: Path, **changes: Any) -> Path:
    """Write Table 8 of DCDGANc with other presets or subsets."""
    content = yaml.safe_load(names.tables()["dcdgan_c/table8"].read_text())
    content["presets"]["paper"].update(changes.pop("paper", {}))
    for subset, more in changes.pop("subsets", {}).items():
        content["subsets"][subset].update(more)
    path = tmp_path / "table8.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_budget_that_leaves_a_subset_out_is_refused(tmp_path):
    path = table_of(tmp_path, paper={"fit": {"images": {"carpet": 20}, "batch": 20}})
    with pytest.raises(UserError, match="images of DCDGANc: none for wood"):
        plan(path, "paper")


def test_an_unknown_argument_of_a_subset_is_refused(tmp_path):
    path = table_of(tmp_path, subsets={"wood": {"arguments": {"dcdgan_c": {"bass": 8}}}})
    with pytest.raises(UserError, match=r"subsets\.wood\.arguments.*no argument 'bass'"):
        load_table(path)
