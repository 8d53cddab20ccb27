"""Defect-GAN: its size, its composition, its noise, its spatial control, and StarGAN + SPADE as its switches off."""

import pytest
import torch

from defectbench.batch import Request
from defectbench.config import UserError
from defectbench.generators.defect_gan import DefectGan
from defectbench.generators.star_gan_spade import StarGanSpade
from defectbench.nn.content_noise import draw_from
from defectbench.nn.label_translation import shuffled_labels, two_cycles
from defectbench.nn.layered import LayeredTranslator
from defectbench.nn.modulate import Spade
from defectbench.nn.soft_masks import harden
from tests.generators.short_training import (
    build,
    check_trains,
    draw_batch,
    sample,
    train,
    train_batch,
)

OFF = {"noise": False, "compose": False, "spatial_losses": False}


def _millions(network):
    return sum(p.numel() for p in network.parameters()) / 1e6


def _request(**more):
    batch = draw_batch(defective=False)
    return Request(
        defects=torch.eye(3)[torch.arange(4) % 3],
        product=batch["product"],
        normal=batch["image"],
        **more,
    )


@pytest.mark.parametrize(("base", "hidden", "size"), [(64, 128, 16.0), (32, 64, 4.0)])
def test_sizes(base, hidden, size):
    with torch.device("meta"):
        module = DefectGan(
            size=128, defects=list("abcde"), products=["w"], base=base, hidden=hidden
        )
    assert _millions(module.generator) == pytest.approx(size, abs=0.06)
    assert _millions(module.critic) == pytest.approx(44.8, abs=0.05)


@pytest.mark.parametrize("options", [{}, {"spatial_losses": False}, {**OFF, "noise": True}, OFF])
def test_every_weight_learns_in_every_row_of_the_ablation(options):
    check_trains(build(DefectGan, **options))


def test_trains_in_bfloat16_and_with_exclusive_labels():
    check_trains(build(DefectGan, labels="exclusive"), precision="bf16-mixed")


def test_star_gan_spade_is_defect_gan_with_its_switches_off():
    plain, baseline = build(DefectGan, **OFF), build(StarGanSpade)
    batch = train_batch(plain.streams)
    train(plain, 2, batch=batch)
    train(baseline, 2, batch=batch)
    for (name, one), (other_name, other) in zip(
        plain.named_parameters(), baseline.named_parameters(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other)


def test_composition_by_hand():
    network = LayeredTranslator(classes=2, base=4, blocks=1, hidden=4, noise=False, compose=True)
    image, labels = torch.full((1, 3, 16, 16), 0.5), torch.eye(2)[:1]
    with torch.no_grad():
        for head in network.network.heads.values():
            head.weight.zero_()
            head.bias.zero_()
        network.network.heads["image"].bias.fill_(-20.0)  # paints -1
        layers = network(image, labels, draw_from(None))
        assert layers.spread.unique().tolist() == [0.5]
        assert layers.image.unique().tolist() == [0.5 * 0.5 + 0.5 * -1]
        network.network.heads["spread"].bias.fill_(-40.0)
        assert torch.equal(network(image, labels, draw_from(None)).image, image)


def test_the_first_spread_is_faint_and_noise_at_init_is_the_identity():
    module = build(DefectGan)
    one, two = sample(module, _request()), sample(module, _request(), seed=1)
    assert torch.equal(one["image"], two["image"])
    with torch.no_grad():
        layers = module.generator(_request()["normal"], _request()["defects"], draw_from(None))
    assert 0.02 < layers.spread.mean() < 0.3


def test_noise_diversifies_once_it_is_learned():
    module = build(DefectGan, lr=1e-2)
    train(module, 3)
    one = sample(module, _request())["image"]
    assert torch.equal(one, sample(module, _request())["image"])
    assert not torch.equal(one, sample(module, _request(), seed=1)["image"])


def test_a_constant_map_and_its_vector_steer_alike():
    torch.manual_seed(0)
    layer, x = Spade(4, map_channels=3, hidden=5), torch.randn(2, 4, 9, 12)
    vector = torch.rand(2, 3)
    as_map = layer(x, vector[..., None, None].expand(-1, -1, 9, 12))
    assert torch.allclose(layer(x, vector), as_map, atol=1e-5)
    small = torch.randn(2, 4, 4, 8)
    as_map = layer(small, vector[..., None, None].expand(-1, -1, 4, 8))
    assert torch.allclose(layer(small, vector), as_map, atol=1e-5)


def test_a_mask_in_the_request_restricts_where_labels_are_felt():
    module = build(DefectGan)
    train(module, 2)
    everywhere = sample(module, _request(mask=torch.ones(4, 1, 32, 32)))["image"]
    assert torch.allclose(everywhere, sample(module, _request())["image"], atol=1e-5)
    corner = torch.zeros(4, 1, 32, 32)
    corner[..., :8, :8] = 1
    nowhere = sample(module, _request(mask=torch.zeros(4, 1, 32, 32)))["image"]
    boxed = sample(module, _request(mask=corner))["image"]
    assert not torch.equal(boxed, nowhere)
    assert not torch.equal(boxed, everywhere)


def test_tasks_of_both_papers():
    batch = train_batch({"defect", "normal"})
    task = two_cycles(batch)
    assert torch.equal(task.image[:4], batch["normal"]["image"])
    assert task.label[:4].sum() == 0
    assert task.target[4:].sum() == 0
    assert sorted(task.target[:4].argmax(1).tolist()) == sorted(
        batch["defect"]["defects"].argmax(1).tolist()
    )
    task = shuffled_labels(batch)
    assert sorted(map(tuple, task.target.tolist())) == sorted(map(tuple, task.label.tolist()))
    batch["normal"]["image"] = batch["normal"]["image"].repeat(2, 1, 1, 1)
    batch["normal"]["defects"] = batch["normal"]["defects"].repeat(2, 1)
    assert two_cycles(batch).target.shape == (12, 3)  # more normals than defects


def test_soft_masks_are_split_at_a_half_or_by_otsu():
    soft = torch.zeros(5, 1, 8, 8)
    soft[0, :, 2:5, 2:5] = 0.9
    soft[1, :, 2:5, 2:5] = 0.3
    soft[2] = 0.05
    soft[3] = 0.9
    mask, valid = harden(soft)
    assert valid.tolist() == [True, True, False, False, False]
    assert mask[:2].sum((1, 2, 3)).tolist() == [9, 9]
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_reconstruction_improves():
    rates = {"lr": 2e-3, "lr_end": 2e-3, "class_weight_generator": 0.0, "cycle_weight": 50.0}
    curve = [step["generator_cycle"] for step in train(build(DefectGan, **OFF, **rates), 25)]
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])


def test_spatial_losses_without_composition_are_refused():
    with pytest.raises(UserError, match="needs compose=true"):
        build(DefectGan, compose=False)


def test_sample_of_star_gan_spade():
    module = build(StarGanSpade)
    train(module, 2)
    made = sample(module, _request())
    assert made["image"].abs().max() <= 1
    assert made["mask"].shape == (4, 1, 32, 32)
    other = {**_request(), "defects": _request()["defects"].roll(1, 1)}
    assert not torch.equal(made["image"], sample(module, other)["image"])
