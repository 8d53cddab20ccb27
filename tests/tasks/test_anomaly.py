"""The anomaly row: finds what it never saw, from normal images alone, and knows what is undefined."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from defectbench.batch import Batch, index_batch
from defectbench.config import UserError
from defectbench.data.cache.prepared import Prepared
from defectbench.data.streams.module import DefectData, ImageSet, Stream
from defectbench.stages.evaluation import train_task
from defectbench.stages.training import Machine
from defectbench.tasks.anomaly import Anomaly, enlarge
from defectbench.tasks.base import Task
from tests.tasks.shapes import DEFECTS, shapes


def make(size: int = 32, **given: object) -> Anomaly:
    torch.manual_seed(0)
    options = {**Anomaly.tiny, **given}
    return Anomaly(size=size, defects=DEFECTS, products=("p",), steps=1, **options)  # type: ignore[arg-type]


def parts(data: Batch, rows: int = 8) -> Iterator[Batch]:
    for start in range(0, len(data["image"]), rows):
        yield index_batch(data, slice(start, start + rows))


def normals(n: int, seed: int) -> Batch:
    """Images without a shape."""
    data = shapes(6 * n, 32, seed=seed)
    good = ~data["mask"].flatten(1).any(1)
    assert good.sum() >= n
    return index_batch(data, torch.nonzero(good)[:n, 0])


def test_it_finds_shapes_though_it_has_seen_none() -> None:
    task = make()
    task.learn(parts(normals(24, seed=0)), seed=0)
    task.measure(shapes(40, 32, seed=2))
    scores = task.scores()
    assert scores.keys() == task.better.keys()
    assert scores["image_auroc"] > 0.9
    assert scores["pixel_auc"] > 0.8
    assert not task.reasons
    details = task.details(Path())
    assert details["image_auroc"].keys() == set(DEFECTS)
    assert min(details["image_auroc"].values()) > 0.8


def test_defective_training_images_change_nothing() -> None:
    one, two = make(), make()
    good, both = normals(16, seed=0), shapes(40, 32, seed=5)
    bad = index_batch(both, both["mask"].flatten(1).any(1))
    one.learn(iter([good]), seed=3)
    two.learn(iter([good, bad]), seed=3)
    assert torch.equal(one.memory, two.memory)
    assert torch.equal(one.scale, two.scale)


def test_memory_is_a_seeded_uniform_draw_of_the_patches() -> None:
    task = make(memory=50)
    data = normals(24, seed=1)
    task.learn(parts(data), seed=0)
    first = task.memory.clone()
    assert first.shape[0] == 50
    task.learn(parts(data), seed=0)
    assert torch.equal(task.memory, first)
    task.learn(parts(data), seed=1)
    assert not torch.equal(task.memory, first)
    with torch.no_grad():
        every = task.eval().patches(data["image"]).flatten(0, 2)
    torch.testing.assert_close(task.mean, every.mean(0), rtol=1e-4, atol=1e-4)
    spread = every.std(0, correction=0)
    alive = spread > 1e-6
    assert 0 < int(alive.sum()) < len(alive)  # of random weights some channels are always 0
    torch.testing.assert_close(task.scale[alive], spread[alive], rtol=1e-3, atol=1e-4)
    assert set(task.scale[~alive].tolist()) == {1.0}
    whole = (every - task.mean) / task.scale
    where = torch.cdist(task.memory, whole).argmin(1)
    assert len(where.unique()) == 50  # without replacement
    images = where // (len(every) // 24)
    assert len(images.unique()) > 15  # from all over, not from the first batch


def test_it_keeps_all_patches_if_there_are_few_and_knows_them_again() -> None:
    task = make(memory=10_000)
    data = normals(4, seed=1)
    task.learn(iter([data]), seed=0)
    with torch.no_grad():
        assert float(task.eval()(data["image"]).max()) < 0.05  # of others: 1 and more
        assert float(task(shapes(40, 32, seed=5)["image"]).amax((1, 2)).max()) > 1


def test_distances_are_those_of_a_search_tree() -> None:
    task = make()
    task.learn(parts(normals(16, seed=0)), seed=0)
    image = shapes(6, 32, seed=9)["image"]
    with torch.no_grad():
        found = task.eval()(image)
        rows = ((task.patches(image) - task.mean) / task.scale).flatten(0, 2)
    distance = cKDTree(task.memory.numpy()).query(rows.numpy())[0].reshape(found.shape)
    np.testing.assert_allclose(found.numpy(), distance, rtol=1e-3, atol=1e-2)


def test_maps_are_enlarged_and_blurred_and_keep_their_place() -> None:
    distance = torch.zeros(1, 8, 8)
    distance[0, 2, 5] = 1
    (whole,) = enlarge(distance, 64)
    y, x = np.unravel_index(int(whole.argmax()), (64, 64))
    assert abs(y - 19.5) <= 1
    assert abs(x - 43.5) <= 1
    assert float(enlarge(torch.ones(1, 8, 8), 64).sub(1).abs().max()) < 1e-5


def test_what_is_undefined_is_said() -> None:
    task = make()
    with pytest.raises(UserError, match="learned from no image"):
        task.measure(normals(2, seed=0))
    data = shapes(40, 32, seed=5)
    bad = index_batch(data, data["mask"].flatten(1).any(1))
    with pytest.raises(UserError, match="no normal training image"):
        task.learn(iter([bad]), seed=0)
    task.learn(iter([normals(8, seed=0)]), seed=0)
    with pytest.raises(UserError, match="no image was measured"):
        task.scores()
    task.measure(normals(4, seed=3))
    scores = task.scores()
    assert math.isnan(scores["image_auroc"])
    assert task.reasons["image_auroc"] == "all 4 images are normal"
    assert task.reasons["pixel_ap"] == "no pixel is defective"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strides": [8, 64]}, "no feature map of stride 64; it has 2, 4, 8, 16, 32"),
        ({"strides": []}, "want at least one"),
        ({"memory": 0}, "want patches"),
        ({"backbone": "resnet10q"}, "backbone 'resnet10q': did you mean"),
    ],
)
def test_wrong_arguments_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(**given)


def test_the_loop_shows_it_every_image_once_and_makes_no_step(
    squares: Prepared, tmp_path: Path
) -> None:
    """Through the suite's own loop: no optimiser, no checkpoint, one look at the test images."""
    rows = squares.rows(split="train")
    task = Anomaly(
        size=32, defects=squares.defects, products=squares.products, steps=7, **Anomaly.tiny
    )
    looks = []

    def test() -> ImageSet:
        looks.append(1)
        return ImageSet.of(squares, squares.rows(split="test"))

    stream = Stream(ImageSet.of(squares, rows), "train", augment=("flip",), balance="defect")
    found = train_task(
        task,
        DefectData([stream], batch=4, seed=0),
        tmp_path,
        steps=7,
        validation=ImageSet.of(squares, squares.rows(split="val")),
        test=test,
        evaluate_every=1,
        select="best",
        machine=Machine(accelerator="cpu"),
    )
    assert looks == [1]
    assert found.step == 0
    assert found.test["image_auroc"] > 0.9
    assert found.validation.keys() == found.test.keys()
    assert list(tmp_path.iterdir()) == []
    assert all(not p.requires_grad for p in task.parameters())


def test_a_task_must_define_the_way_it_learns() -> None:
    with pytest.raises(TypeError, match="must define loss"):
        type("Lazy", (Task,), {})
    with pytest.raises(TypeError, match="must define learn"):
        type("Lazy", (Task,), {"by_steps": False, "loss": lambda self, batch: None})
