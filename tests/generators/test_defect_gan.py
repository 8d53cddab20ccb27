"""Defect-GAN: its size, its composition, its noise, its spatial control, and StarGAN + SPADE as its switches off."""

import pytest
import torch

from defectbench.config import UserError
from defectbench.generators.defect_gan import DefectGan
from defectbench.generators.star_gan_spade import StarGanSpade
from defectbench.nn.blocks.content_noise import draw_from
from tests.generators.short_training import (
    asked,
    build,
    check_trains,
    millions,
    sample,
    train,
    train_batch,
)

OFF = {"noise": False, "compose": False, "spatial_losses": False}


@pytest.mark.parametrize(("base", "hidden", "size"), [(64, 128, 16.0), (32, 64, 4.0)])
def test_sizes(base, hidden, size):
    with torch.device("meta"):
        module = DefectGan(
            size=128, defects=list("abcde"), products=["w"], base=base, hidden=hidden
        )
    assert millions(module.generator) == pytest.approx(size, abs=0.06)
    assert millions(module.critic) == pytest.approx(44.8, abs=0.05)


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


def test_the_first_spread_is_faint_and_noise_at_init_is_the_identity():
    module = build(DefectGan)
    one, two = sample(module, asked()), sample(module, asked(), seed=1)
    assert torch.equal(one["image"], two["image"])
    with torch.no_grad():
        layers = module.generator(asked()["normal"], asked()["defects"], draw_from(None))
    assert 0.02 < layers.spread.mean() < 0.3


def test_noise_diversifies_once_it_is_learned():
    module = build(DefectGan, lr=1e-2)
    train(module, 3)
    one = sample(module, asked())["image"]
    assert torch.equal(one, sample(module, asked())["image"])
    assert not torch.equal(one, sample(module, asked(), seed=1)["image"])


def test_a_mask_in_the_request_restricts_where_labels_are_felt_and_the_rest_is_left_alone():
    module = build(DefectGan)
    train(module, 2)
    everywhere = sample(module, asked(mask=torch.ones(4, 1, 32, 32)))["image"]
    assert torch.allclose(everywhere, sample(module, asked())["image"], atol=1e-5)
    corner = torch.zeros(4, 1, 32, 32)
    corner[..., :8, :8] = 1
    nowhere = sample(module, asked(mask=torch.zeros(4, 1, 32, 32)))["image"]
    boxed, normal = sample(module, asked(mask=corner)), asked()["normal"]
    inside = (corner > 0).expand_as(normal)
    assert torch.equal(nowhere, normal)
    assert torch.equal(boxed["image"][~inside], normal[~inside])
    assert not torch.equal(boxed["image"][inside], normal[inside])
    assert not torch.equal(boxed["image"][inside], everywhere[inside])
    assert not boxed["mask"][corner == 0].any()


@pytest.mark.slow
def test_reconstruction_improves():
    rates = {"lr": 2e-3, "lr_end": 2e-3, "class_weight_generator": 0.0, "cycle_weight": 50.0}
    curve = [step["generator_cycle"] for step in train(build(DefectGan, **OFF, **rates), 25)]
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])


def test_spatial_losses_without_composition_are_refused():
    with pytest.raises(UserError, match="needs compose=true"):
        build(DefectGan, compose=False)
