"""Score jobs on drawn images: what each score is compared with, and what stands beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from defectbench.config import UserError
from defectbench.data.cache.prepare import prepare
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.synthetic import synthetic_manifest, write_images
from defectbench.features.mask_alignment import background_l1
from defectbench.plan.job import Job
from defectbench.stages.checkpoints import WEIGHTS, load_task, save_task
from defectbench.stages.context import Context
from defectbench.stages.inspector import Inspector
from defectbench.stages.score import score
from defectbench.stages.scored_sets import mixes, scored_sets
from defectbench.store.jobs import Store
from defectbench.tasks.segmentation import Segmentation

pytestmark = pytest.mark.slow

METRICS = [
    "kd_vgg16_random_s0",
    "memorisation_vgg16_random_s0",
    "lpips_alex_random_s0_pairwise",
    "ic_lpips_dfmgan_lpips_alex_random_s0",
    "ic_lpips_masked_lpips_vgg_random_s0",
    "mask_iou_raw_segmentation",
    "without_predicted_defect_raw_segmentation",
    "background_l1",
    "background_lpips_alex_random_s0",
    "change_inside",
    "without_visible_change",
]
RATE = "without_predicted_defect_raw_segmentation"


class Brightness(Segmentation):
    """An inspector that is right about the squares: what is far from the background's grey is a defect."""

    def forward(self, image):
        """Logits (B, 1, H, W)."""
        return 20 * ((image.mean(1, keepdim=True) + 0.06).abs() - 0.35)


def paste(real: Prepared, count: int) -> list[dict[str, object]]:
    """Synthetic images: squares of training images pasted on training normals, half of the background made darker."""
    normals, made = real.rows(split="train", defective=False), []
    for label in real.defects:
        donors = real.rows(split="train", defect=label)
        for i in range(count):
            normal, donor = int(normals[i % len(normals)]), int(donors[i % 2])
            mask = np.asarray(real.masks[donor] > 0)
            image = np.asarray(real.images[normal]).copy()
            image[mask] = real.images[donor][mask]
            if i == 0:
                image[~mask] = (image[~mask] * 0.8).astype(np.uint8)
            made.append({"image": image, "mask": mask, "label": label, "normal": normal})
    return made


@pytest.fixture
def store(squares, tmp_path):
    """A store with prepared squares, pasted synthetic ones and an inspector."""
    store = Store(tmp_path / "jobs")
    folders = {role: store.folder(role) for role in ("data", "synthetic", "inspector")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["data"] / "cache").symlink_to(squares.folder)
    made = paste(squares, 4)
    images, masks = (np.stack([one[key] for one in made]) for key in ("image", "mask"))
    paths = write_images(folders["synthetic"], 0, images, masks)
    rows = [
        {
            "image": image,
            "mask": "" if place == 1 else mask,  # an image whose mask was no good
            "mask_source": "invalid" if place == 1 else "native",
            "label": one["label"],
            "defects": (one["label"],),
            "normal": squares.table["id"].iloc[one["normal"]] if place != 2 else "",
        }
        for place, ((image, mask), one) in enumerate(zip(paths, made, strict=True))
    ]
    manifest = synthetic_manifest(folders["synthetic"], rows, squares, "synthetic")
    prepare(manifest, folders["synthetic"] / "cache", size=squares.size)
    return store


def inspect_with(store: Store, monkeypatch: pytest.MonkeyPatch, squares: Prepared) -> None:
    task = Brightness(
        size=squares.size,
        defects=squares.defects,
        products=squares.products,
        steps=1,
        **Segmentation.tiny,
    )
    task.threshold.fill_(0.5)
    monkeypatch.setattr("defectbench.stages.checkpoints.load_task", lambda _folder: task.eval())


def run(store: Store, metrics: list[str], seed: int = 0) -> dict[str, dict[str, float]]:
    parents = {"data": "data", "synthetic": "synthetic", "inspector": "inspector"}
    spec = {"metrics": metrics, "replicates": 20, "revision": 2, "threads": 1, "seed": seed}
    return score(Job("score", spec, parents), store.folder("score"), Context(store))


def test_every_score_has_its_company_and_masks_are_looked_at(store, squares, monkeypatch):
    inspect_with(store, monkeypatch, squares)
    found = run(store, METRICS)
    assert not found["reasons"]
    assert found["counts"] == {"real": 8, "synthetic": 8, "train": 16}

    sizes = found["sizes"]
    assert sizes["kd_vgg16_random_s0"] == [8, 8]
    assert sizes["memorisation_vgg16_random_s0.nn_ratio"] == [16, 8]  # training images
    assert sizes["mask_iou_raw_segmentation"] == [0, 7]  # all with a mask
    assert sizes["background_l1"] == [0, 6]  # all with a mask and a source
    assert sizes["ic_lpips_dfmgan_lpips_alex_random_s0"] == [16, 8]

    scores, floors, ceilings = found["metrics"], found["floors"], found["ceilings"]
    assert scores["mask_iou_raw_segmentation"] > 0.9
    assert floors["mask_iou_raw_segmentation"] > 0.9
    assert scores[RATE] == floors[RATE] == ceilings[RATE] == 0
    assert scores["without_visible_change"] == 0
    assert 0.5 < scores["change_inside"] < 1
    assert ceilings["memorisation_vgg16_random_s0.authenticity"] == 0
    assert ceilings["memorisation_vgg16_random_s0.nn_ratio"] == pytest.approx(0, abs=1e-4)
    assert 0.3 < floors["memorisation_vgg16_random_s0.nn_ratio"] < 3
    without = {"background_l1", "background_lpips_alex_random_s0", "change_inside"}
    assert not without & {*floors, *ceilings}  # a real image has no source
    told = set(scores) - without - {"without_visible_change"}
    assert set(floors) == set(ceilings) == told
    assert {name for name in scores if name not in found["intervals"]} == set()
    for name, (low, high) in found["intervals"].items():
        assert low <= scores[name] <= high, name
    assert found["better"]["mask_iou_raw_segmentation"] == "higher"
    assert found["better"]["background_l1"] == "lower"

    made = paste(squares, 4)
    kept = [i for i in range(len(made)) if i not in (1, 2)]
    images, masks = (np.stack([made[i][key] for i in kept]) for key in ("image", "mask"))
    sources = squares.images[[made[i]["normal"] for i in kept]]
    expected = background_l1(images, sources, masks).mean()
    assert scores["background_l1"] == pytest.approx(expected, abs=1e-8)
    assert scores["background_l1"] > 0.02  # one of each label is darker outside its mask


def test_without_synthetic_images_the_floors_are_the_scores(store, squares, monkeypatch):
    inspect_with(store, monkeypatch, squares)
    floors = run(store, METRICS)["floors"]
    spec = {"metrics": METRICS, "replicates": 20, "revision": 2, "threads": 1, "seed": 0}
    job = Job("score", spec, {"data": "data", "inspector": "inspector"})
    ideal = score(job, store.folder("score"), Context(store))
    assert ideal["metrics"] == floors
    assert not ideal["floors"]
    assert ideal["counts"] == {"real": 8, "synthetic": 0, "train": 16}
    assert ideal["sizes"]["kd_vgg16_random_s0"] == [8, 16]


def test_scores_repeat_and_do_not_depend_on_which_others_are_asked_for(store, squares, monkeypatch):
    inspect_with(store, monkeypatch, squares)
    whole = run(store, METRICS)
    for some in (["background_l1", "kd_vgg16_random_s0"], METRICS[3:5]):
        alone = run(store, some)
        for kind in ("metrics", "intervals", "floors", "ceilings"):
            assert alone[kind] == {k: v for k, v in whole[kind].items() if k in alone[kind]}
    assert run(store, ["kd_vgg16_random_s0"], seed=1)["intervals"] != alone["intervals"]


def test_an_image_without_a_defect_is_seen_by_the_inspector_and_by_the_change(
    store, squares, monkeypatch
):
    inspect_with(store, monkeypatch, squares)
    folder = store.folder("synthetic")
    normal = squares.rows(split="train", defective=False)[0]
    cache = np.load(folder / "cache" / "images.npy", mmap_mode="r+")
    cache[0] = squares.images[normal]
    cache.flush()
    found = run(store, [RATE, "without_visible_change", "mask_iou_raw_segmentation"])["metrics"]
    assert found[RATE] == pytest.approx(1 / 8)
    assert found["without_visible_change"] == pytest.approx(1 / 6)
    assert found["mask_iou_raw_segmentation"] < 0.9


def test_copies_have_the_labels_asked_for_and_do_not_depend_on_the_generator(store, squares):
    synthetic = Prepared.open(store.folder("synthetic") / "cache")
    sides = scored_sets(squares, synthetic, 0)
    training, generated, copies = sides["training"], sides["generated"], sides["copies"]
    assert list(copies.labels) == list(generated.labels)
    assert set(copies.rows) <= set(training.rows)
    assert np.array_equal(training.images[copies.of_training], copies.images)
    assert np.array_equal(scored_sets(squares, synthetic, 0)["copies"].rows, copies.rows)
    assert not np.array_equal(scored_sets(squares, synthetic, 1)["copies"].rows, copies.rows)
    strange = synthetic.table.assign(defects=pd.Series([("bright", "dark")] * len(synthetic)))
    object.__setattr__(synthetic, "table", strange)
    assert len(scored_sets(squares, synthetic, 0)["copies"]) == 8  # none alike: any


def test_an_inspector_comes_back_as_it_was_and_its_absence_is_named(squares, tmp_path):
    task = Segmentation(
        size=squares.size,
        defects=squares.defects,
        products=squares.products,
        steps=3,
        **Segmentation.tiny,
    )
    task.threshold.fill_(0.25)
    with pytest.raises(UserError, match=r"task.ckpt: not there.*run again with --retry"):
        load_task(tmp_path)
    save_task(task, "segmentation", tmp_path / WEIGHTS)
    images = np.asarray(squares.images[:3])
    first, second = (Inspector(one, "cpu") for one in (task.eval(), load_task(tmp_path)))
    assert second.threshold == 0.25
    assert np.array_equal(first.scores(images), second.scores(images))
    batch = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
    with torch.no_grad():
        expected = task(batch).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(first.scores(images), expected, atol=1e-6)


def test_floors_take_the_labels_of_the_synthetic_images():
    class Labelled:
        def __init__(self, *labels):
            self.labels = [(label,) for label in labels]

    sides = {
        "unseen": Labelled("crack", "crack", "hole", "fray"),
        "training": Labelled("fray", "fray"),
        "generated": Labelled("crack", "hole", "hole", "hole"),
    }
    found = mixes(sides)
    assert set(found) == {"unseen"}, "training images share no label with the synthetic ones"
    assert found["unseen"].weights.tolist() == [0.5, 0.5, 3, 0]
    assert found["unseen"].labels.tolist() == [0, 0, 1, 2]
    del sides["generated"]
    assert mixes(sides) is None
