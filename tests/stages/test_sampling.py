"""The sample stage: who is blended into a normal image, and whose own mask is kept."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from defectbench import names
from defectbench.data.manifest import Manifest
from defectbench.data.streams.module import ImageSet, View
from defectbench.plan.job import Job
from defectbench.plan.plan import Source
from defectbench.plan.planner import make_plan
from defectbench.spec.loading import load_table
from defectbench.stages.checkpoints import save_generator
from defectbench.stages.context import Context
from defectbench.stages.sample import compositing, finish_sample, sample
from defectbench.store.jobs import Store

CONTENTS = {"name": "contents", "background": 0, "dilate": 1}


def sampled(name: str, squares, folder) -> Manifest:
    """Let the sample stage draw from a control that learned from contents."""
    store = Store(folder / "jobs")
    generator = (
        names.find("generators", name)
        .load()(size=squares.size, defects=squares.defects, products=squares.products)
        .eval()
    )
    view = View(**CONTENTS)
    rows = squares.rows(split="train", defective=True)
    normals = ImageSet.of(squares, squares.rows(split="train", defective=False))
    generator.observe(view.apply(ImageSet.of(squares, rows).all()), normals.all())
    data, fit = Job("prepare", {}), Job("fit", {})
    shutil.copytree(squares.folder, store.folder(data.id) / "cache")
    store.folder(fit.id).mkdir()
    save_generator(generator, name, store.folder(fit.id) / "generator.ckpt", CONTENTS)
    store.finish(fit, {**fit.to_json(), "view": CONTENTS})
    spec = {
        "counts": dict.fromkeys(squares.defects, 3),
        "labels": {},
        "references": None,
        "product": None,
        "joint": False,
        "batch": 3,
        "composite": "improved_poisson",
        "threads": 1,
        "seed": 0,
    }
    job = Job("sample", spec, {"data": data.id, "source": data.id, "fit": fit.id})
    store.folder(job.id).mkdir()
    sample(job, store.folder(job.id), Context(store))
    return Manifest.load(store.folder(job.id))


def normal_of(row, squares) -> np.ndarray:
    return squares.images[squares.table["id"].tolist().index(row.normal)]


def test_what_was_painted_on_its_normal_keeps_its_mask_and_is_not_blended_again(squares, tmp_path):
    made = sampled("cutpaste_real", squares, tmp_path)
    assert set(made.table["mask_source"]) == {"native"}
    for row in made.table.itertuples():
        image = np.asarray(Image.open(made.root / row.image)).astype(int)
        mask = np.asarray(Image.open(made.root / row.mask)) > 127
        changed = np.abs(image - normal_of(row, squares).astype(int)).max(2) > 0
        assert not changed[~mask].any()
        assert changed[mask].mean() > 0.9
        assert 0.03 < mask.mean() < 0.6


def test_contents_are_found_by_watershed_and_blended(squares, tmp_path):
    made = sampled("memoriser", squares, tmp_path)
    assert "watershed" in set(made.table["mask_source"])
    assert set(made.table["mask_source"]) <= {"watershed", "invalid"}
    for row in made.table[made.table["mask_source"] == "watershed"].itertuples():
        image = np.asarray(Image.open(made.root / row.image)).astype(int)
        normal = normal_of(row, squares).astype(int)
        assert (image == normal).all(2).mean() > 0.3, "the background is the normal's"


@pytest.mark.parametrize("dilate", [0, 1, 3])
def test_masks_follow_the_datasets_however_far_the_view_had_widened_them(squares, dilate):
    view = View("contents", background=0, dilate=dilate)
    real = ImageSet.of(squares, squares.rows(split="train", defective=True)).all()
    normals = squares.images[squares.rows(split="train", defective=False)]
    made = finish_sample(
        {"image": view.apply(real)["image"]},
        np.resize(normals, (len(real["mask"]), *normals.shape[1:])),
        view,
        "improved_poisson",
        "watershed",
    )
    truth = real["mask"][:, 0].numpy() > 0
    agreement = [(m & t).sum() / (m | t).sum() for m, t in zip(made.masks, truth, strict=True)]
    assert np.mean(agreement) > 0.85


@pytest.mark.parametrize(
    ("source", "reads", "view", "expected"),
    [
        ("watershed", set(), "contents", "alpha"),
        ("native", set(), "contents", "alpha"),  # draws contents with a mask of its own
        ("difference", {"normal"}, "contents", "alpha"),  # turns a normal into contents
        ("native", {"normal"}, "contents", "none"),
        ("input", {"normal", "mask"}, "contents", "none"),
        ("watershed", set(), "full", "none"),
    ],
)
def test_compositing_follows_from_what_a_generator_draws(source, reads, view, expected):
    facts = {"mask_source": source, "reads": frozenset(reads)}
    assert compositing(facts, view, "alpha") == expected


@pytest.mark.parametrize(
    ("memoriser", "view"),
    [
        ("generator: memoriser", "contents"),
        ("generator: memoriser, view: {name: full}", "full"),
        ("generator: cutpaste_real", "full"),
    ],
)
def test_a_method_learns_from_what_it_asks_for_and_who_paints_on_normals_from_whole_images(
    memoriser, view, table
):
    table.write_text(table.read_text().replace("generator: memoriser", memoriser))
    plan = make_plan(load_table(table), "smoke", {"mvtec_ad": Source(stand_in=True)})
    views = {
        job.spec["generator"]: job.spec["view"]["name"]
        for job in plan.jobs.values()
        if job.stage == "fit"
    }
    assert views.pop("dcdgan_c") == "contents"
    assert set(views.values()) == {view}
