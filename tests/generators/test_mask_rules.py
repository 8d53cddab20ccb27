"""Where each mask comes from: every generator follows the rule that its `mask_source` names, and says which masks failed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defectbench import names
from defectbench.batch import Sample
from defectbench.data.streams.module import View
from defectbench.generators.defect_gan import DefectGan
from defectbench.generators.dt_gan import DtGan
from defectbench.generators.memoriser import Memoriser
from defectbench.generators.mgdefect import MGDefect
from defectbench.generators.parts.defect_transfer import Defect
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.masks.drawn_masks import anchor_masks, difference_masks
from defectbench.stages.sample import LARGEST_DEFECT, finish_sample
from tests.generators.short_training import build, draw_batch, sample
from tests.generators.test_contract import GENERATORS, ask
from tests.generators.test_contract import build as build_on

CONTENTS = View("contents", 0)


def request(**more):
    defect, normal = draw_batch(), draw_batch(seed=1, defective=False)
    return {
        "defects": defect["defects"],
        "product": defect["product"],
        "normal": normal["image"],
        **more,
    }


def finished(image, mask=None, valid=None, *, source="native", composite="none", view=CONTENTS):
    """What the sample stage makes of a sample on black normals."""
    made = Sample(image=image)
    if mask is not None:
        made["mask"] = mask
    if valid is not None:
        made["valid"] = torch.tensor(valid)
    normals = np.zeros((len(image), *image.shape[2:], 3), np.uint8)
    return finish_sample(made, normals, view, composite, source)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_sample_says_where_its_mask_is_from(name, squares):
    generator = build_on(name, squares)
    batch = draw_batch(6)
    remembered = {**batch, "defects": batch["defects"][:, :2], "product": batch["product"] * 0}
    generator.observe(remembered, remembered)
    made = sample(generator, ask(squares, generator, count=4))
    done = finished(made["image"], made.get("mask"), source=generator.mask_source)
    if generator.mask_source in {"none", "watershed"}:
        assert done.sources == ["none"] * 4
        assert done.masks is None
    else:
        assert set(done.sources) <= {generator.mask_source, "invalid"}
        assert done.valid == [source != "invalid" for source in done.sources]
        assert len(done.masks) == 4


@pytest.mark.parametrize("name", [n for n in GENERATORS if names.entries("generators")[n].facts["mask_source"] == "difference"])  # fmt: skip
def test_a_translators_mask_is_what_changed(name):
    asked = request()
    made = sample(build(names.find("generators", name).load()), asked)
    mask, valid = difference_masks(made["image"], asked["normal"])
    assert torch.equal(made["mask"], mask)
    assert torch.equal(made["valid"], valid)


def test_dt_gans_mask_is_the_difference_to_the_anchor_of_the_same_background():
    module, asked = build(DtGan), request(reference=draw_batch(seed=3))
    made = sample(module, asked)
    with torch.no_grad():
        defect = module.guide(asked["reference"]["image"], asked["defects"])
        plain = module.paint(asked["normal"], Defect(torch.zeros_like(defect.shape), defect.style))
    mask, valid = anchor_masks(made["image"], plain["image"])
    assert torch.equal(made["mask"], mask)
    assert torch.equal(made["valid"], valid)
    assert not plain["mask"].any()
    assert not plain["valid"].any()


@pytest.mark.parametrize(("bias", "valid"), [(-4.0, False), (-2.0, True), (4.0, False)])
def test_defect_gans_mask_is_its_layer_by_hysteresis_and_at_most_half_of_the_image(bias, valid):
    module, asked = build(DefectGan), request()
    head = module.generator.network.heads["spread"]
    head.weight.data.mul_(30 if valid else 0)
    head.bias.data.fill_(bias)
    made = sample(module, asked)
    with torch.no_grad():
        draw = draw_from(torch.Generator().manual_seed(0))
        spread = module.generator(asked["normal"], asked["defects"], draw).spread
    mask, strong = made["mask"].bool(), spread > 0.25
    share = mask.float().mean((1, 2, 3))
    if valid:
        assert (mask & strong).equal(strong)
        assert not (mask & (spread <= 0.1)).any()
        assert (mask & ~strong).any()
        assert torch.equal(made["valid"], share <= 0.5)
        assert made["valid"].any()
    else:
        assert share.unique().tolist() == [float(bias > 0)]
        assert not made["valid"].any()


def test_mgdefect_returns_the_mask_that_it_was_given():
    mask = draw_batch(seed=7)["mask"]
    made = sample(build(MGDefect), request(mask=mask))
    assert torch.equal(made["mask"], mask)
    assert made["valid"].all()


def test_a_remembered_image_without_mask_counts_as_invalid():
    module, batch = build(Memoriser), draw_batch()
    module.observe({**batch, "mask": torch.zeros_like(batch["mask"])}, batch)
    made = sample(module, request())
    assert finished(made["image"], made["mask"]).sources == ["invalid"] * 4


def test_contents_are_masked_by_watershed_unless_they_are_nothing_or_nearly_everything():
    image = torch.full((3, 3, 32, 32), -1.0)
    image[0, :, 8:20, 8:20] = 0.8
    image[2] = 0.8
    done = finished(image, source="watershed", composite="improved_poisson")
    assert done.sources == ["watershed", "invalid", "invalid"]
    assert 0.08 < done.masks[0].mean() < 0.2
    assert done.masks[2].mean() >= LARGEST_DEFECT


def test_masks_that_are_empty_or_that_a_generator_disowns_are_invalid():
    mask = torch.zeros(3, 1, 32, 32)
    mask[:2, :, :8, :8] = 1
    done = finished(torch.zeros(3, 3, 32, 32), mask, [True, False, True], source="anchor")
    assert done.sources == ["anchor", "invalid", "invalid"]
    assert done.valid == [True, False, False]
