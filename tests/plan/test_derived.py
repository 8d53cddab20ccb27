"""Columns that train no generator of their own, splits drawn per seed, and cells that say what they lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from defectbench.config import UserError
from defectbench.plan.derived import folder_digest
from defectbench.plan.plan import Plan, Source
from defectbench.plan.planner import make_plan
from defectbench.runner.foreign import parse_foreign, with_foreign
from defectbench.spec.loading import load_table
from defectbench.spec.table import TableSpec

TABLE = """
title: derived
paper: mine
table: derived
dataset: mvtec_ad
products: [wood]
defects: {wood: [hole, scratch]}
split: fraction(test=0.4)
DRAW
methods:
  Copy: {generator: memoriser}
  Paste: {generator: cutpaste_real}
  Patch: {generator: nsa}
  Both: {generator: mix, of: [Paste, Patch]}
  Clean: {generator: filter, of: [Both], rules: {confidence: 0.2}}
  Again: {generator: replay}
  Tool: {generator: foreign}
models:
  Seg: {task: segmentation, metrics: [pixel_ap]}
  Class: {task: classification, metrics: [accuracy]}
entries:
  - {arm: raw, real: 2}
  - {arm: ideal, real: 2}
  - {arm: enlarge, method: Copy, real: 2}
  - {arm: enlarge, method: Paste, real: 2}
  - {arm: enlarge, method: Patch, real: 2}
  - {arm: enlarge, method: Both, real: 2}
  - {arm: enlarge, method: Clean, real: 2}
  - {arm: enlarge, method: Again, real: 2}
  - {arm: enlarge, method: Tool, real: 2}
presets:
  smoke:
    about: x
    stand_in: {size: 64, normals: 8, defective: 8}
    size: 32
    seeds: [0, 1, 2]
    fit: {images: 8, batch: 8}
    sample: {per_defect: 5}
    task: {steps: 4, batch: 4, evaluate_every: 4}
"""


def table(tmp_path: Path, draw: str = "once", old: str = "", new: str = "") -> TableSpec:
    path = tmp_path / "derived.yaml"
    path.write_text(TABLE.replace("DRAW", f"draw: {draw}").replace(old, new))
    return load_table(path)


def planned(spec: TableSpec, **source: Any) -> Plan:
    return make_plan(spec, "smoke", {"mvtec_ad": Source(**({"stand_in": True} | source))})


def cell(plan: Plan, method: str, model: str = "Seg", arm: str = "enlarge"):
    return next(c for c in plan.cells if (c.method, c.model, c.arm) == (method, model, arm))


def test_a_mixture_stands_on_its_members_own_samples(tmp_path):
    plan = planned(table(tmp_path))
    mixed = plan.jobs[plan.jobs[cell(plan, "Both").jobs[0]].parents["synthetic"]]
    assert mixed.stage == "select"
    members = [
        plan.jobs[cell(plan, name).jobs[0]].parents["synthetic"] for name in ("Paste", "Patch")
    ]
    assert [mixed.parents["from:00"], mixed.parents["from:01"]] == members
    assert mixed.spec["counts"] == {"hole": 5, "scratch": 5}


def test_a_filter_looks_through_the_raw_model_of_its_seed_and_rules_move_the_id(tmp_path):
    plan = planned(table(tmp_path))
    for seed, job in enumerate(cell(plan, "Clean").jobs):
        chosen = plan.jobs[plan.jobs[job].parents["synthetic"]]
        assert chosen.parents["inspector"] == cell(plan, "none", arm="raw").jobs[seed]
        assert chosen.spec["rules"]["confidence"] == 0.2
    other = planned(table(tmp_path, "once", "confidence: 0.2", "confidence: 0.3"))
    assert set(cell(plan, "Clean").jobs).isdisjoint(cell(other, "Clean").jobs)
    assert cell(plan, "Both").jobs == cell(other, "Both").jobs


def test_ideal_adds_what_the_limit_holds_back(tmp_path):
    plan = planned(table(tmp_path))
    job = plan.jobs[cell(plan, "none", arm="ideal").jobs[0]]
    assert plan.jobs[job.parents["data"]].spec["limit"] == 2
    assert plan.jobs[job.parents["held"]].spec["limit"] is None
    assert job.spec["per_defect"] == {"hole": 5, "scratch": 5}
    without = table(tmp_path, "once", "{arm: ideal, real: 2}", "{arm: ideal}")
    assert not [c for c in planned(without).cells if c.kind == "ideal"]


@pytest.mark.parametrize(("draw", "prepared"), [("once", 2), ("train_per_seed", 6)])
def test_each_seed_has_a_split_of_its_own_only_if_asked(tmp_path, draw, prepared):
    plan = planned(table(tmp_path, draw))
    jobs = [job for job in plan.jobs.values() if job.stage == "prepare"]
    assert len(jobs) == prepared
    assert {"draw" in job.spec for job in jobs} == {draw != "once"}
    for c in plan.cells:
        data = [plan.jobs[plan.jobs[job].parents["data"]].spec.get("draw") for job in c.jobs]
        told = [{"anew": draw, "seed": seed} if draw != "once" else None for seed in (0, 1, 2)]
        assert data == told[: len(data)]


def test_who_knows_no_defect_type_is_left_out_of_classification(tmp_path):
    plan = planned(table(tmp_path))
    for name in ("Patch", "Both", "Clean"):
        assert cell(plan, name, "Class").lacking == "knows no defect types"
        assert not cell(plan, name, "Class").jobs
        assert cell(plan, name).jobs
    for name in ("Copy", "Paste", "Again"):
        assert len(cell(plan, name, "Class").jobs) == 3


def test_without_normal_images_painters_say_so(tmp_path):
    digests = {"wood": "0" * 64}
    spec = table(tmp_path)
    with_normals = planned(spec, stand_in=False, digests=digests)
    plan = planned(spec, stand_in=False, digests=digests, without_normals=frozenset({"wood"}))
    for name in ("Paste", "Patch", "Both", "Clean"):
        assert cell(with_normals, name).lacking == ""
        assert cell(plan, name).lacking == "needs normal images"
    assert cell(plan, "Copy").jobs == cell(with_normals, "Copy").jobs


def test_a_plan_line_without_lacking_cells_is_as_before(tmp_path):
    told = planned(table(tmp_path)).to_json()["cells"]
    assert {"lacking" in c for c in told} == {True, False}
    assert all(c["lacking"] for c in told if "lacking" in c)


def foreign_tree(root: Path, name: str = "hole") -> Path:
    (root / "images" / name).mkdir(parents=True)
    (root / "images" / name / "0.png").write_bytes(b"not looked at")
    return root


def test_a_foreign_folder_is_hashed_and_may_differ_by_seed(tmp_path):
    for seed in (0, 1, 2):
        foreign_tree(tmp_path / f"tool{seed}")
    (tmp_path / "tool1" / "images" / "hole" / "1.png").write_bytes(b"more")
    spec = table(tmp_path)
    assert cell(planned(spec), "Tool").lacking == "needs a folder: --foreign Tool=FOLDER"
    plan = planned(with_foreign(spec, {"Tool": f"{tmp_path}/tool{{seed}}"}))
    read = [plan.jobs[plan.jobs[job].parents["synthetic"]] for job in cell(plan, "Tool").jobs]
    assert [job.stage for job in read] == ["foreign"] * 3
    assert read[0].id == read[2].id != read[1].id
    assert set(plan.foreign) == {job.spec["digest"] for job in read}
    assert str(tmp_path) not in str([job.spec for job in read]), "ids do not depend on the place"


def test_a_new_name_becomes_a_column(tmp_path):
    foreign_tree(tmp_path / "mine")
    spec = with_foreign(table(tmp_path), parse_foreign([f"Mine={tmp_path / 'mine'}"]))
    plan = planned(spec)
    assert len(cell(plan, "Mine").jobs) == len(cell(plan, "Mine", "Class").jobs) == 3
    assert cell(plan, "Mine").variant == cell(plan, "Copy").variant


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["Mine"], "expected NAME=FOLDER"),
        (["Copy=x"], "has a method of this name already"),
        (["Tool=nowhere"], "no such folder"),
    ],
)
def test_foreign_folders_that_cannot_be_are_refused(tmp_path, pairs, told):
    with pytest.raises(UserError, match=told):
        planned(with_foreign(table(tmp_path), parse_foreign(pairs)))


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file"):
        folder_digest(tmp_path / "empty", "here")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("of: [Paste, Patch]", "of: [Paste, Nobody]", "no method 'Nobody' above"),
        (", of: [Paste, Patch]", "", "`of` names the methods"),
        ("rules: {confidence: 0.2}", "rules: {confidense: 0.2}", "confidence"),
        (", rules: {confidence: 0.2}", "", "`rules` belongs to generator filter"),
        ("generator: memoriser", "generator: memoriser, folder: x", "`folder` belongs"),
        ("draw: once", "draw: sometimes", "train_per_seed"),
    ],
)
def test_mistakes_in_the_table_are_told(tmp_path, old, new, told):
    with pytest.raises(UserError, match=told):
        table(tmp_path, "once", old, new)


def test_a_confidence_rule_needs_a_segmentation_model(tmp_path):
    spec = table(tmp_path, "once", "  Seg: {task: segmentation, metrics: [pixel_ap]}\n", "")
    spec = spec.model_copy(
        update={"entries": tuple(e for e in spec.entries if e.method == "Copy")}
        | {
            "methods": {
                **spec.methods,
                "Clean": spec.methods["Clean"].model_copy(update={"of": ("Copy",)}),
            }
        }
    )
    clean = spec.entries[0].model_copy(update={"method": "Clean"})
    with pytest.raises(UserError, match="looks through a segmentation model"):
        planned(spec.model_copy(update={"entries": (clean,)}))
