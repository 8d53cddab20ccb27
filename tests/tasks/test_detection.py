"""Detection: learns shapes with three detectors; boxes, thresholds and mean average precision."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.tasks.detection import Detection
from defectbench.tasks.parts import matching
from defectbench.tasks.parts.average_precision import mean_average_precision
from defectbench.tasks.parts.detectors import Detector, Found
from tests.tasks.shapes import DEFECTS, shapes
from tests.tasks.training import train

pytest.importorskip("faster_coco_eval")
SMALL = {"backbone": "resnet10t", "width": 0.25, "channels": 32, "min_area": 4, "lr": 4e-3}


def make(steps: int = 50, size: int = 32, **given: object) -> Detection:
    torch.manual_seed(0)
    return Detection(
        size=size,
        defects=DEFECTS,
        products=("p",),
        steps=steps,
        **{"model": "retinanet", **SMALL, **given},  # type: ignore[arg-type]
    )


class Told(Detector):
    """Stands in for a network: finds what it is told, image after image."""

    def __init__(self, *found: list[tuple[float, ...]]) -> None:
        super().__init__()
        self.rows = [torch.tensor(one, dtype=torch.float32).reshape(-1, 6) for one in found]

    def loss(self, image: torch.Tensor, targets: object) -> torch.Tensor:
        return image.sum() * 0

    def detect(self, image: torch.Tensor) -> list[Found]:
        now, self.rows = self.rows[: len(image)], self.rows[len(image) :]
        return [Found(one[:, 2:], one[:, 1], one[:, 0].long()) for one in now]


def seen(masks: np.ndarray, defects: list[list[float]]) -> Batch:
    n = len(masks)
    return Batch(
        image=torch.zeros(n, 3, *masks.shape[1:]),
        mask=torch.from_numpy(masks.astype(np.float32))[:, None],
        defects=torch.tensor(defects),
        product=torch.zeros(n, dtype=torch.long),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "fcos"},
        pytest.param({"model": "yolo11n", "size": 64}, marks=pytest.mark.slow),
    ],
    ids=["retinanet", "fcos", "yolo11n"],
)
def test_it_finds_shapes_that_it_has_not_seen(given: dict[str, object]) -> None:
    if given.get("model") == "yolo11n":
        pytest.importorskip("ultralytics")
        given = {**given, "steps": 120}
    task = make(**given)  # type: ignore[arg-type]
    train(task, shapes(48, task.size, seed=0, share=0.8))
    task.measure(shapes(24, task.size, seed=1, share=0.8))
    task.calibrate()
    task.measure(shapes(40, task.size, seed=2, share=0.8))
    scores = task.scores()
    assert scores.keys() == task.better.keys()
    assert scores["map50"] > 0.5  # chance is near 0
    assert scores["recall"] > 0.5
    assert scores["precision"] > 0.5
    assert scores["map50_95"] < scores["map50"]


def test_boxes_on_the_borders_and_images_without_a_box() -> None:
    masks = np.zeros((4, 12, 16), bool)
    masks[0, :5, :4] = masks[0, 9:, 13:] = True  # two corners
    masks[1, 3:4, 3:6] = True  # smaller than min_area
    masks[3, :, :] = True  # everything
    task = make()
    targets = task.targets(seen(masks, [[0, 1], [1, 0], [0, 0], [1, 1]]))
    assert targets[0].boxes.tolist() == [[0, 0, 4, 5], [13, 9, 16, 12]]
    assert targets[0].classes.tolist() == [1, 1]
    assert [len(target.boxes) for target in targets] == [2, 0, 0, 1]
    assert targets[1].boxes.shape == (0, 4)
    assert targets[3].boxes.tolist() == [[0, 0, 16, 12]]
    assert targets[3].classes.tolist() == [0]  # the first of its defects


@pytest.mark.parametrize("model", ["retinanet", "fcos", "yolo11n"])
def test_batches_with_few_or_no_boxes_still_teach(model: str) -> None:
    if model == "yolo11n":
        pytest.importorskip("ultralytics")
    task = make(model=model)
    border = np.zeros((2, 32, 32), bool)
    border[0, :6, :6] = border[0, 20:, 26:] = True
    for batch in (shapes(2, 32, seed=0, share=0.0), seen(border, [[1, 0], [0, 0]])):
        task.zero_grad()
        value = task.loss(batch)
        value.backward()
        assert value.dtype == torch.float32
        assert math.isfinite(float(value.detach()))
        assert any(p.grad is not None and bool(p.grad.any()) for p in task.parameters())


def test_a_mask_without_a_name_is_refused() -> None:
    with pytest.raises(UserError, match="its boxes have no class"):
        make().loss(seen(np.ones((1, 32, 32), bool), [[0, 0]]))


def test_the_confidence_comes_from_the_validation_images_alone() -> None:
    masks = np.zeros((2, 20, 20), bool)
    masks[:, 2:10, 2:10] = True
    data = seen(masks, [[1, 0], [0, 1]])
    task = make()
    task.detector = Told(
        [(0, 0.6, 2, 2, 10, 10), (0, 0.3, 12, 12, 20, 20)],
        [(1, 0.5, 2, 2, 10, 10)],
        [(0, 0.9, 2, 2, 10, 10), (1, 0.7, 12, 12, 20, 20)],
        [(1, 0.4, 2, 2, 10, 10)],
    )
    task.measure(data)
    task.calibrate()
    assert float(task.confidence) == 0.5
    task.measure(data)
    scores = task.scores()
    assert scores["precision"] == 0.5  # class 0: 1 of 1, class 1: 0 of 1
    assert scores["recall"] == 0.5
    assert scores["map50"] == pytest.approx((1.0 + 0.5) / 2, abs=0.01)
    assert float(task.confidence) == 0.5


def test_details_hold_every_defect_and_nan_for_one_that_does_not_occur(tmp_path: Path) -> None:
    masks = np.zeros((1, 20, 20), bool)
    masks[0, 2:10, 2:10] = True
    task = make()
    task.detector = Told([(0, 0.6, 2, 2, 10, 10), (1, 0.5, 12, 12, 20, 20)])
    task.measure(seen(masks, [[1, 0]]))
    task.scores()
    found = task.details(tmp_path)["map50_95"]
    assert found["disc"] == pytest.approx(1.0)
    assert math.isnan(found["square"])


def test_undefined_scores_are_nan_with_a_reason() -> None:
    task = make()
    task.detector = Told([(0, 0.9, 0, 0, 5, 5)], [])
    task.measure(seen(np.zeros((1, 20, 20), bool), [[0, 0]]))
    assert all(map(math.isnan, task.scores().values()))
    assert task.reasons["map50"] == "no true box in the measured images"
    task.measure(seen(np.ones((1, 20, 20), bool), [[1, 0]]))
    scores = task.scores()
    assert scores["map50"] == 0.0
    assert math.isnan(scores["precision"])
    assert "no confidence was chosen" in task.reasons["precision"]


def test_validation_without_a_box_is_named() -> None:
    task = make()
    task.detector = Told([])
    task.measure(seen(np.zeros((1, 20, 20), bool), [[0, 0]]))
    with pytest.raises(UserError, match="no box of 4 pixels or more in the validation images"):
        task.calibrate()


def test_a_network_that_finds_nothing_scores_zero() -> None:
    task = make()
    task.detector = Told([], [])
    data = seen(np.ones((1, 20, 20), bool), [[1, 0]])
    task.measure(data)
    task.calibrate()
    task.measure(data)
    scores = task.scores()
    assert math.isnan(scores.pop("false_alarms")), "no image is normal"
    assert set(scores.values()) == {0.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "yolo12n"}, "known: yolo11n"),
        ({"model": "yolo11n", "pretrained": True, "norm": "batch"}, "no weights that load safely"),
        ({"backbone": "resnet11t"}, "backbone 'resnet11t'"),
        ({"backbone": "vgg11", "width": 1.0}, "other strides"),
        ({"channels": 40}, "multiple of 32"),
        ({"min_area": 0}, "min_area 0"),
        ({"pretrained": True, "norm": "group"}, "set norm: batch"),
    ],
)
def test_bad_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**given)  # type: ignore[arg-type]


def test_without_ultralytics_the_alternative_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics.cfg", None)
    with pytest.raises(UserError, match=r"AGPL-3.0: pip install .* model: retinanet"):
        make(model="yolo11n")


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up detections of middling quality: shifted, missed, doubled and invented boxes of three classes."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for image in range(60):
        for _ in range(int(rng.integers(0, 4))):
            kind = int(rng.integers(3))
            corner, extent = rng.uniform(0, 80, 2), rng.uniform(8, 30, 2)
            box = np.concatenate([corner, corner + extent])
            true.append([image, kind, *box])
            if rng.random() < 0.85:
                moved = box + rng.normal(0, 0.06, 4) * np.tile(extent, 2)
                found.append([image, kind, rng.beta(4, 2), *moved])
                if rng.random() < 0.2:
                    again = box + rng.normal(0, 0.2, 4) * np.tile(extent, 2)
                    found.append([image, kind, rng.beta(2, 3), *again])
        for _ in range(int(rng.integers(0, 3))):
            corner = rng.uniform(0, 80, 2)
            found.append([image, rng.integers(3), rng.beta(2, 4), *corner, *corner + 15])
    return np.array(found), np.array(true)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_scores_agree_with_ultralytics(seed: int) -> None:
    """Its precision and recall are interpolated between detections, ours are those at the confidence: hence 0.03."""
    pytest.importorskip("ultralytics")
    from ultralytics.utils.metrics import ap_per_class

    found, true = scene(seed)
    levels = np.linspace(0.5, 0.95, 10)
    hits = np.stack([matching.right(found, true, at) for at in levels], axis=1)
    theirs = ap_per_class(hits, found[:, 2], found[:, 1], true[:, 1])
    ours = mean_average_precision(found, true)
    average = theirs[5]  # (classes, levels)
    assert ours.map50 == pytest.approx(average[:, 0].mean(), abs=0.01)
    assert ours.map50_95 == pytest.approx(average.mean(), abs=0.01)
    assert list(ours.by_class) == [0, 1, 2]
    for number, value in ours.by_class.items():
        assert value == pytest.approx(average[number].mean(), abs=0.02)

    smoothed = theirs[10][
        theirs[9].mean(0).argmax()
    ]  # the confidence of the best mean F1 on its grid of 1,000
    confidence = matching.best_confidence(found, true)
    rates = matching.rates_at(found, true, confidence)
    column = int(np.argmin(abs(theirs[10] - confidence)))
    assert abs(confidence - smoothed) < 0.02
    assert rates.precision == pytest.approx(theirs[7][:, column].mean(), abs=0.03)
    assert rates.recall == pytest.approx(theirs[8][:, column].mean(), abs=0.03)


def test_matching_agrees_with_ultralytics_validator() -> None:
    pytest.importorskip("ultralytics")
    from ultralytics.engine.validator import BaseValidator

    found, true = scene(3)
    validator = BaseValidator.__new__(BaseValidator)
    validator.iouv = torch.linspace(0.5, 0.95, 10)
    hits = np.zeros((len(found), 10), bool)
    for image in np.unique(found[:, 0]):
        rows = np.flatnonzero(found[:, 0] == image)
        rows = rows[np.argsort(-found[rows, 2], kind="stable")]
        wanted = true[true[:, 0] == image]
        if len(wanted):
            hits[rows] = validator.match_predictions(
                torch.from_numpy(found[rows, 1]),
                torch.from_numpy(wanted[:, 1]),
                torch.from_numpy(matching.iou(wanted[:, 2:], found[rows, 3:])),
            ).numpy()
    own = matching.right(found, true)
    assert hits[:, 0].sum() > 50
    assert (own != hits[:, 0]).mean() < 0.03


OFFLINE = """
import builtins, socket, sys
asked = []
def refuse(*args, **kwargs):
    asked.append(str(args))
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
import torch
save, lines = torch.save, str(torch.arange(3) / 7)
from defectbench.tasks.detection import Detection
assert "ultralytics" not in sys.modules
task = Detection(size=32, defects=("a",), products=("p",), steps=2, model="yolo11n", norm="group")
batch = dict(image=torch.zeros(2, 3, 32, 32), mask=torch.ones(2, 1, 32, 32), defects=torch.ones(2, 1))
task.loss(batch).backward()
task.measure(batch); task.calibrate(); task.measure(batch); task.scores()
assert torch.save is save and str(torch.arange(3) / 7) == lines
import json
print(json.dumps(asked))
"""


@pytest.mark.slow
def test_yolo_asks_no_host_and_writes_nothing_outside_our_cache(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("YOLO", "XDG"))
    }
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "MPLCONFIGDIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []  # nothing else is printed
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert (cache / "defectbench" / "Ultralytics").is_dir()
