"""Segmentation: learns shapes, takes its threshold from calibration alone, and names what is undefined."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from defectbench.batch import Batch, index_batch
from defectbench.config import UserError
from defectbench.metrics import pixel
from defectbench.tasks.segmentation import Segmentation
from tests.tasks.shapes import DEFECTS, shapes
from tests.tasks.training import train

SMALL = {
    "encoder": "tu-resnet10t",
    "encoder_width": 0.25,
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
    "lr": 5e-3,
}


def make(size: int = 32, steps: int = 40, **given: object) -> Segmentation:
    torch.manual_seed(0)
    return Segmentation(
        size=size,
        defects=DEFECTS,
        products=("p",),
        steps=steps,
        **{**SMALL, **given},  # type: ignore[arg-type]
    )


class Fixed(torch.nn.Module):
    """Stands in for a network: the first colour is the logit."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1]


def seen(logits: torch.Tensor, mask: torch.Tensor) -> Batch:
    n = len(mask)
    return Batch(
        image=logits.expand(-1, 3, -1, -1),
        mask=mask,
        defects=mask.flatten(1).amax(1, keepdim=True).expand(-1, 2),
        product=torch.zeros(n, dtype=torch.long),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


def fixed_task() -> Segmentation:
    task = make()
    task.network = Fixed()
    return task


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"architecture": "res", "encoder_depth": 4, "decoder_channels": [32, 32]},
        {"loss": "focal"},
    ],
    ids=["unet", "res", "focal"],
)
def test_it_finds_shapes_that_it_has_not_seen(given: dict[str, object]) -> None:
    task = make(**given)
    losses = train(task, shapes(48, 32, seed=0))
    task.measure(shapes(24, 32, seed=1))
    task.calibrate()
    task.measure(shapes(40, 32, seed=2))
    scores = task.scores()
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert scores.keys() == task.better.keys()
    assert (
        scores["pixel_f1"] > 0.4
    )  # a random map: at most 2p / (1 + p) = 0.08 at 4 % defect pixels
    assert scores["pixel_auc"] > 0.85
    assert scores["image_auroc"] > 0.8
    assert scores["pixel_f1"] <= scores["pixel_f1_max"]


def test_the_threshold_comes_from_the_validation_images_alone() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(n: int, offset: float) -> Batch:
        mask = (torch.rand(n, 1, 8, 8, generator=generator) < 0.3).float()
        return seen(torch.randn(n, 1, 8, 8, generator=generator) + 2 * mask + offset, mask)

    validation, test = drawn(6, 0.0), drawn(5, 2.0)
    task = fixed_task()
    for rows in (slice(0, 4), slice(4, 6)):
        task.measure(index_batch(validation, rows))
    task.calibrate()
    wanted = pixel.best_f1_threshold(
        validation["image"][:, 0].sigmoid().numpy(), validation["mask"][:, 0].numpy()
    )
    assert float(task.threshold) == wanted.threshold

    task.measure(test)  # drops the validation images
    scores = task.scores()
    probability, mask = test["image"][:, 0].sigmoid().numpy(), test["mask"][:, 0].numpy()
    assert scores["pixel_f1"] == pixel.f1_at(probability, mask, wanted.threshold)
    assert scores["pixel_auc"] == pixel.pixel_auc(probability, mask)
    assert scores["defect_iou"] == pixel.iou_at(probability, mask, wanted.threshold)
    assert scores["pixel_f1"] < scores["pixel_f1_max"]
    assert float(task.threshold) == wanted.threshold


def test_every_score_of_the_task_equals_torchmetrics() -> None:
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        binary_f1_score,
        binary_jaccard_index,
        binary_precision_recall_curve,
        multiclass_jaccard_index,
    )

    generator = torch.Generator().manual_seed(3)
    mask = (torch.rand(8, 1, 16, 16, generator=generator) < 0.1).float()
    mask[::2] = 0  # normal images
    data = seen(torch.randn(8, 1, 16, 16, generator=generator) + 1.5 * mask, mask)
    task = fixed_task()
    task.size = 16
    task.measure(data)
    task.calibrate()
    task.measure(data)
    ours = task.scores()

    probability = data["image"][:, 0].sigmoid()
    truth, predicted = mask[:, 0].long(), (probability >= float(task.threshold)).long()
    image, defective = probability.flatten(1).amax(1), mask.flatten(1).amax(1).long()
    precision, recall, _ = binary_precision_recall_curve(probability.flatten(), truth.flatten())
    theirs = {
        "pixel_auc": binary_auroc(probability.flatten(), truth.flatten()),
        "pixel_ap": binary_average_precision(probability.flatten(), truth.flatten()),
        "pixel_f1": binary_f1_score(predicted.flatten(), truth.flatten()),
        "pixel_f1_max": (2 * precision * recall / (precision + recall).clamp(min=1e-9)).max(),
        "defect_iou": binary_jaccard_index(predicted, truth),
        "miou": multiclass_jaccard_index(predicted, truth, num_classes=2, average="macro"),
        "image_auroc": binary_auroc(image, defective),  # at 16 px the window is one pixel
        "image_ap": binary_average_precision(image, defective),
    }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value), abs=1e-6), name
    # tests/metrics/test_pixel.py and test_false_alarms.py
    assert set(ours) - set(theirs) == {"pro", "false_alarms"}


def test_details_are_the_scores_of_each_defect_alone(tmp_path: Path) -> None:
    task, data = fixed_task(), shapes(12, 16, seed=0, share=0.9)
    task.measure(data)
    task.calibrate()
    task.measure(data)
    task.scores()
    found = task.details(tmp_path)
    probability = data["image"][:, 0].sigmoid().numpy()
    for number, name in enumerate(DEFECTS):
        shown = (data["defects"][:, number] > 0).numpy()
        assert 0 < shown.sum() < 12
        maps, masks = probability[shown], data["mask"][:, 0].numpy()[shown]
        assert found["pixel_ap"][name] == pixel.average_precision(maps, masks)
        assert found["defect_iou"][name] == pixel.iou_at(maps, masks, float(task.threshold))


def test_the_threshold_travels_with_the_checkpoint() -> None:
    task = fixed_task()
    task.measure(seen(torch.randn(2, 1, 8, 8), torch.eye(8).expand(2, 1, 8, 8)))
    task.calibrate()
    other = fixed_task()
    other.load_state_dict(task.state_dict())
    assert float(other.threshold) == float(task.threshold)


def test_undefined_scores_are_nan_with_a_reason() -> None:
    task = fixed_task()
    task.measure(seen(torch.randn(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)))
    scores = task.scores()
    assert math.isnan(scores["pixel_auc"])
    assert math.isnan(scores["pixel_f1"])
    assert task.reasons["pixel_ap"] == "no pixel is defective"
    assert task.reasons["image_auroc"] == "all 3 images are normal"
    assert task.reasons["pixel_f1"] == "no threshold was chosen on validation images"
    assert task.reasons.keys() == {name for name, value in scores.items() if math.isnan(value)}


def test_validation_without_a_defect_is_named() -> None:
    task = fixed_task()
    task.measure(seen(torch.randn(3, 1, 8, 8), torch.zeros(3, 1, 8, 8)))
    with pytest.raises(UserError, match="no defective pixel in 3 validation images"):
        task.calibrate()


@pytest.mark.parametrize("loss", ["bce_dice", "focal"])
def test_a_batch_without_defects_still_teaches(loss: str) -> None:
    task = make(loss=loss)
    value = task.loss(shapes(4, 32, seed=0, share=0.0))
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert any(p.grad is not None and bool(p.grad.any()) for p in task.parameters())


def test_measuring_leaves_the_training_mode_alone() -> None:
    task = make()
    task.train()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    task.measure(shapes(4, 32, seed=0))
    assert task.training
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_diverged_network_is_named() -> None:
    task = make()
    with torch.no_grad():
        next(task.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match="diverged"):
        task.measure(shapes(2, 32, seed=0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"architecture": "unett"}, "did you mean 'unet'"),
        (
            {"encoder": "resnet81", "encoder_width": 1.0, "encoder_depth": 5}
            | {"decoder_channels": None},
            "encoder 'resnet81'",
        ),
        ({"encoder": "tu-resnet10x"}, "tu-resnet10x"),
        ({"size": 36, "architecture": "linknet", "decoder_channels": None}, "not a multiple of 8"),
        ({"decoder_channels": [8, 8]}, "wants 3"),
        ({"architecture": "res"}, "wants two"),
        ({"encoder": "tu-mobilenetv3_small_050"}, "width 0.25"),
        ({"encoder_weights": "imagenet", "norm": "group"}, "set norm: batch"),
        ({"loss": "dice"}, "loss 'dice'"),
    ],
)
def test_bad_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**given)  # type: ignore[arg-type]


def test_missing_pretrained_weights_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="fill that cache"):
        make(
            encoder="tu-resnet18",
            encoder_width=1.0,
            encoder_weights="imagenet",
            norm="batch",
        )
