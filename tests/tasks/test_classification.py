"""Classification: learns shapes, single- and multi-label; the source head makes features forget a watermark."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from defectbench.batch import Batch
from defectbench.config import UserError
from defectbench.tasks.classification import Classification
from tests.tasks.shapes import DEFECTS, shapes
from tests.tasks.training import train

SMALL = {"model": "resnet10t", "width": 0.25, "lr": 5e-3}


def make(steps: int = 60, defects: tuple[str, ...] = DEFECTS, **given: object) -> Classification:
    torch.manual_seed(0)
    return Classification(
        size=32,
        defects=defects,
        products=("p",),
        steps=steps,
        **{**SMALL, **given},  # type: ignore[arg-type]
    )


class Fixed(nn.Module):
    """Stands in for a network: the first pixels are the logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)[:, : self.classes]


def fixed_task(**given: object) -> Classification:
    task = make(**given)
    task.network, task.head = Fixed(len(task.classes)), nn.Identity()  # type: ignore[assignment]
    return task


def seen(logits: list[list[float]], defects: list[list[float]]) -> Batch:
    n = len(logits)
    image = torch.zeros(n, 3 * 4 * 4)
    image[:, : len(logits[0])] = torch.tensor(logits)
    return Batch(
        image=image.view(n, 3, 4, 4),
        mask=torch.zeros(n, 1, 4, 4),
        defects=torch.tensor(defects),
        product=torch.zeros(n, dtype=torch.long),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


@pytest.mark.slow
@pytest.mark.parametrize("multi_label", [False, True])
def test_it_names_shapes_that_it_has_not_seen(multi_label: bool) -> None:
    task = make(multi_label=multi_label)
    train(task, shapes(60, 32, seed=0, share=2 / 3))
    task.measure(shapes(60, 32, seed=1, share=2 / 3))
    task.calibrate()
    scores = task.scores()
    assert scores.keys() == task.better.keys()
    assert scores["accuracy"] > 0.6  # chance: one in three
    assert scores["macro_f1"] > 0.6
    assert scores["error_rate"] == pytest.approx(1 - scores["accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["traditional", "cutout", "cutmix", "mixup"])
def test_it_learns_under_each_augmentation(name: str) -> None:
    task = make(augment=[name], steps=40)
    losses = train(task, shapes(60, 32, seed=0, share=2 / 3))
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])


def test_scores_of_a_case_worked_by_hand() -> None:
    task = fixed_task()  # classes: normal, disc, square
    task.measure(seen([[2, 0, 0], [0, 2, 0]], [[0, 0], [0, 0]]))
    task.measure(seen([[0, 2, 0], [0, 0, 2], [1, 0, 2]], [[1, 0], [0, 1], [0, 1]]))
    task.measure(seen([[3, 0, 0]], [[0, 1]]))
    scores = task.scores()
    assert task.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert scores["accuracy"] == scores["exact_match"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 3)
    assert task.per_class == pytest.approx({"normal": 1 / 2, "disc": 1.0, "square": 2 / 3})


def test_multi_label_scores_of_a_case_worked_by_hand() -> None:
    task = fixed_task(multi_label=True)
    task.measure(
        seen(
            [[2, -2, -2], [-2, 2, 2], [-2, 2, -2], [-2, -2, -2]],
            [[0, 0], [1, 1], [1, 1], [0, 0]],
        )
    )
    scores = task.scores()
    assert scores["exact_match"] == scores["accuracy"] == pytest.approx(2 / 4)
    assert scores["label_accuracy"] == pytest.approx(10 / 12)
    assert task.per_class == pytest.approx({"normal": 3 / 4, "disc": 1.0, "square": 3 / 4})
    assert task.confusion.tolist() == [
        [[2, 0], [1, 1]],
        [[2, 0], [0, 2]],
        [[2, 0], [1, 1]],
    ]


def test_scores_agree_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_f1_score,
        multilabel_exact_match,
        multilabel_f1_score,
    )

    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(80, 3, generator=generator)
    labels = torch.randint(3, (80,), generator=generator)
    single = fixed_task()
    single.measure(seen(logits.tolist(), torch.eye(3)[labels][:, 1:].tolist()))
    scores = single.scores()
    assert scores["accuracy"] == pytest.approx(
        float(multiclass_accuracy(logits, labels, 3, average="micro"))
    )
    assert scores["balanced_accuracy"] == pytest.approx(
        float(multiclass_accuracy(logits, labels, 3))
    )
    assert scores["macro_f1"] == pytest.approx(float(multiclass_f1_score(logits, labels, 3)))

    many = (torch.rand(80, 3, generator=generator) < 0.4).long()
    multi = fixed_task(multi_label=True, normal_class=False, defects=("a", "b", "c"))
    multi.measure(seen(logits.tolist(), many.float().tolist()))
    scores = multi.scores()
    probability = logits.sigmoid()
    assert scores["exact_match"] == pytest.approx(
        float(multilabel_exact_match(probability, many, 3))
    )
    assert scores["macro_f1"] == pytest.approx(float(multilabel_f1_score(probability, many, 3)))


def test_thresholds_come_from_calibration_alone_and_only_on_request() -> None:
    validation = seen([[-1, -1, -3], [-2, -2, -2], [-1, -1, -1]], [[1, 0], [0, 0], [1, 1]])
    fixed, chosen = (
        fixed_task(multi_label=True),
        fixed_task(multi_label=True, threshold="validation"),
    )
    for task in (fixed, chosen):
        task.measure(validation)
        task.calibrate()
        task.measure(seen([[-3, -1, -1]], [[1, 1]]))
    assert fixed.scores()["label_accuracy"] == pytest.approx(1 / 3)
    assert fixed.thresholds.tolist() == [0.5] * 3
    assert chosen.scores()["exact_match"] == 1.0
    assert chosen.thresholds[1] == pytest.approx(float(torch.tensor(-1.0).sigmoid()))


def test_absent_classes_are_left_out_and_named() -> None:
    task = fixed_task()
    task.measure(seen([[2, 0, 0], [0, 2, 0]], [[0, 0], [1, 0]]))
    scores = task.scores()
    assert scores["macro_f1"] == 1.0
    assert math.isnan(task.per_class["square"])
    assert task.reasons == {"per_class.square": "no measured image shows it"}


def test_one_class_only_is_refused() -> None:
    with pytest.raises(UserError, match="one class only"):
        make(defects=("hole",), normal_class=False)
    assert make(defects=("hole",)).classes == ("normal", "hole")
    assert make(defects=("hole",), normal_class=False, multi_label=True).classes == ("hole",)


def test_a_normal_image_without_a_normal_class_is_named() -> None:
    task = make(normal_class=False)
    with pytest.raises(UserError, match="2 of 4 images are normal"):
        task.loss(
            {**shapes(4, 32, seed=0), "defects": torch.tensor([[1.0, 0], [0, 0], [0, 1], [0, 0]])}
        )


def test_an_image_with_two_defects_belongs_to_the_first() -> None:
    task = make()
    batch = shapes(3, 32, seed=0)
    batch["defects"] = torch.tensor([[1.0, 1], [0, 1], [0, 0]])
    assert task.targets(batch).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert make(multi_label=True).targets(batch).tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_without_synthetic_images_the_source_head_changes_nothing() -> None:
    data = shapes(12, 32, seed=0)
    plain, headed = make(steps=3), make(steps=3, source_head="constant")
    headed.load_state_dict(plain.state_dict(), strict=False)
    assert train(plain, data) == train(headed, data)
    for name, value in plain.named_parameters():
        assert torch.equal(value, headed.get_parameter(name)), name


def test_the_reversed_gradient_reaches_the_features_and_grows_with_the_clock() -> None:
    task = make(steps=100, source_head="ganin")
    assert task.source is not None
    data = shapes(8, 32, seed=0)
    data["synthetic"] = torch.arange(8) % 2 == 1
    weight = next(task.network.parameters())

    def gradients() -> tuple[torch.Tensor, torch.Tensor]:
        own = next(task.source.parameters())  # type: ignore[union-attr]
        body, head = torch.autograd.grad(task.loss(data), [weight, own])
        return body, head

    at_start, head_start = gradients()
    task.clock.step = 50
    half_way, head_half_way = gradients()
    assert torch.equal(head_start, head_half_way)
    assert bool(head_start.any())
    plain = make(steps=100)
    plain.load_state_dict(task.state_dict(), strict=False)
    (of_class,) = torch.autograd.grad(plain.loss(data), next(plain.network.parameters()))
    torch.testing.assert_close(at_start, of_class)
    assert float((half_way - of_class).norm()) > 1e-3 * float(of_class.norm())


def test_the_source_loss_counts_both_sources_equally() -> None:
    task = make(source_head="constant")
    assert task.source is not None
    for parameter in task.source.parameters():
        nn.init.zeros_(parameter)
    plain = make()
    plain.load_state_dict(task.state_dict(), strict=False)
    data = shapes(8, 32, seed=0)
    data["synthetic"] = torch.arange(8) == 0
    difference = float(task.loss(data).detach() - plain.loss(data).detach())
    assert difference == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_confusion_counts_are_drawn(multi_label: bool, tmp_path: Path) -> None:
    from PIL import Image

    task = fixed_task(multi_label=multi_label)
    task.measure(seen([[2, 0, 0], [0, 2, 0]], [[0, 0], [1, 0]]))
    task.scores()
    assert set(task.details(tmp_path)) == {"accuracy", "f1"}
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 200
        assert len(picture.convert("RGB").getcolors(100_000) or []) > 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "resnet43", "width": 1.0}, "model 'resnet43'"),
        ({"model": "densenet121"}, "only timm's ResNets"),
        ({"augment": ["cutmax"]}, "did you mean 'cutmix'"),
        ({"pretrained": True, "norm": "group"}, "set norm: batch"),
        ({"source_head": "linear"}, "known: none, ganin, constant"),
        ({"threshold": "test"}, "known: half, validation"),
    ],
)
def test_bad_arguments_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**given)


@pytest.mark.parametrize("model", ["resnet34", "resnet50", "densenet121", "mobilenetv3_small_050"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_networks_of_the_papers_build_and_learn(model: str, norm: str) -> None:
    task = make(steps=1, model=model, width=1.0, norm=norm)
    value = task.loss(shapes(2, 32, seed=0))
    value.backward()
    assert math.isfinite(float(value.detach()))


@pytest.mark.slow
def test_the_source_head_makes_features_forget_a_watermark() -> None:
    """Synthetic images carry a stamp in a corner; a linear probe looks for it in the features."""

    def stamped(n: int, seed: int) -> Batch:
        batch = shapes(n, 32, seed, share=2 / 3)
        batch["synthetic"] = torch.arange(n) % 2 == 1
        at = torch.arange(32)
        checks = 1 - 2 * ((at.view(-1, 1) // 2 + at // 2) % 2).float()
        stamp = 0.5 * checks * ((at.view(-1, 1) < 8) & (at < 8))
        batch["image"] = batch["image"] + batch["synthetic"].view(-1, 1, 1, 1) * stamp
        return batch

    def probe(task: Classification) -> float:
        def features(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.no_grad():
                found = task.network(batch["image"]).double()
            return found, batch["synthetic"].double() * 2 - 1

        known, sign = features(stamped(400, 11))
        unseen, wanted = features(stamped(400, 12))
        mean, scale = known.mean(0), known.std(0) + 1e-6
        known, unseen = (known - mean) / scale, (unseen - mean) / scale
        ridge = known.T @ known + torch.eye(known.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(ridge, known.T @ sign)
        return float(((unseen @ weights > 0) == (wanted > 0)).double().mean())

    given = {
        "steps": 300,
        "norm": "batch",
        "optimizer": "sgd",
        "lr": 0.02,
        "schedule": "constant",
        "warmup": 0.0,
    }
    found: dict[str, float] = {}
    for head in ("none", "ganin"):
        task = make(source_head=head, **given)  # type: ignore[arg-type]
        train(task, stamped(200, 0), batch=16)
        task.measure(stamped(100, 5))
        assert task.scores()["accuracy"] > 0.9
        found[head] = probe(task)
    assert found["none"] > 0.9
    assert found["ganin"] < 0.8
