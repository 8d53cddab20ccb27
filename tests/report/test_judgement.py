"""Rules of judgement: read strictly, printed with the table, part of no job."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectbench.config import UserError
from defectbench.plan.plan import Source
from defectbench.plan.planner import make_plan
from defectbench.report.tables import markdown
from defectbench.spec.loading import load_table
from tests.running import TABLE

RULES = """
judgement:
  primary: {U-Net: pixel_auc}
  gain: "a corrected p below 0.05"
  seeds: 4
  comparisons: [DCDGANc]
"""


def planned(path: Path, text: str):
    path.write_text(text)
    return make_plan(load_table(path), "smoke", {"mvtec_ad": Source(stand_in=True)})


def test_they_are_in_the_plan_and_in_no_id(tmp_path):
    with_rules = planned(tmp_path / "a.yaml", TABLE + RULES)
    without = planned(tmp_path / "b.yaml", TABLE)
    assert list(with_rules.jobs) == list(without.jobs)
    assert with_rules.cells == without.cells
    assert "judgement" not in without.to_json(), "old records keep their plan lines"
    told = with_rules.to_json()
    assert told["judgement"]["primary"] == {"U-Net": "pixel_auc"}
    text = markdown(told, [])
    for part in ("set before the runs", "U-Net: `pixel_auc`", "below 0.05", "4 or more", "DCDGANc"):
        assert part in text
    assert "judgement" not in markdown(without.to_json(), [])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("U-Net: pixel", "Unet: pixel", "judgement.primary.Unet: not a model"),
        ("pixel_auc}", "miou}", "'miou' is not among the scores shown"),
        ("[DCDGANc]", "[DCDGANcc]", "did you mean 'DCDGANc'"),
        ("seeds: 4", "seeds: 1", "judgement.seeds"),
        ("seeds: 4", "seed: 4", "judgement.seed: unknown key"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, told):
    assert RULES.count(old) == 1
    path = tmp_path / "a.yaml"
    path.write_text(TABLE + RULES.replace(old, new))
    with pytest.raises(UserError, match="judgement") as error:
        load_table(path)
    assert told in str(error.value)
