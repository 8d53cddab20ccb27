"""DT-GAN: sizes, the anchor, the six pairs, what each loss reaches, shapes and styles that travel."""

import pytest
import torch

from defectbench.config import UserError
from defectbench.generators.dt_gan import DtGan
from defectbench.generators.parts.defect_transfer import Defect
from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.training.turns import held
from defectbench.nn.translation.style_domains import domain_weights, exchange
from tests.generators.short_training import (
    asked,
    build,
    check_trains,
    draw_batch,
    millions,
    sample,
    train,
    train_batch,
)


def test_sizes_of_the_transcribed_layers():
    with torch.device("meta"):
        module = DtGan(size=128, defects=list("abc"), products=["p", "q"], background_ch=448)
    networks = module.generator, module.mapping, module.encoder, module.critic
    assert [millions(n) for n in networks] == pytest.approx([43.2, 16.1, 20.7, 20.5], abs=0.15)


@pytest.mark.slow
def test_every_weight_learns():
    check_trains(build(DtGan), steps=5, precision="bf16-mixed")


@pytest.mark.slow
def test_one_product_has_no_product_loss():
    module = DtGan(size=32, defects=["a", "b", "c"], products=["p"], **DtGan.tiny)
    batch = train_batch(module.streams)
    for part in batch.values():
        part["product"].zero_()
    check_trains(module, steps=5, batch=batch)
    assert module.losses["critic_product"] == 0


def test_normal_is_the_anchor_whatever_the_code_or_the_reference():
    module = build(DtGan)
    normal = torch.zeros(2, 3)
    shape = module.invent(normal, torch.Generator()).shape
    assert shape.shape == (2, 4, 4, 4)
    assert shape.abs().max() == 0
    assert module.guide(draw_batch(2)["image"], normal).shape.abs().max() == 0
    assert module.invent(torch.eye(3), torch.Generator()).shape.abs().max() > 0


def test_backgrounds_are_painted_once_and_defects_replace_the_split_channels():
    """The painted image depends on its source through the background channels alone."""
    torch.manual_seed(0)
    module = build(DtGan)
    image = draw_batch(2)["image"]
    one = Defect(torch.randn(2, 4, 4, 4), torch.randn(2, 4))
    two = Defect(torch.randn(2, 4, 4, 4), torch.randn(2, 4))
    background = module.generator.separate(image).background
    assert background.shape == (2, 12, 4, 4)
    behind = module.generator.render(background)
    both = module.generator(behind, one, two)
    assert torch.allclose(both[:2], module.generator(behind, one), atol=1e-5)
    assert torch.allclose(both[2:], module.generator(behind, two), atol=1e-5)
    assert not torch.allclose(both[:2], both[2:], atol=1e-2)


def _all_pairs(module, task, ones):
    behind = module.generator.render(module.generator.separate(task.image).background)
    images = [module.generator(behind, Defect(c.shape, s.style)) for c in ones for s in ones]
    return sum((a - b).abs().mean() for i, a in enumerate(images) for b in images[i + 1 :])


def test_diversity_counts_six_pairs_of_mixed_shapes_and_styles():
    module = build(DtGan)
    task = exchange(train_batch(module.streams))
    ones = [Defect(torch.randn(8, 4, 4, 4), torch.randn(8, 4)) for _ in range(2)]
    module.generator_loss(task, *ones)
    pairs = _all_pairs(module, task, ones)
    assert torch.allclose(module.losses["generator_diversity"], pairs, rtol=1e-4)
    expected = torch.autograd.grad(_all_pairs(module, task, ones), module.generator.out.weight)[0]
    module.diversity_weight, module.clock.budget = (
        1e6,
        100,
    )  # beside which the other terms are nothing
    total = module.generator_loss(task, *ones)
    found = torch.autograd.grad(-total / 1e6, module.generator.out.weight)[0]
    assert torch.allclose(found, expected, atol=1e-3 * expected.abs().max())
    same = Defect(ones[0].shape, ones[0].style)
    module.generator_loss(task, same, same)
    assert module.losses["generator_diversity"].abs() < 1e-5


def test_reference_pass_teaches_the_generator_alone():
    module = build(DtGan)
    task = exchange(train_batch(module.streams))
    with held(module.mapping, module.encoder):
        defects = [module.encoder(r, task.target) for r in (task.reference, task.reference_2)]
        module.generator_loss(task, *defects).backward()
    assert all(p.grad is not None for p in module.generator.parameters())
    assert all(p.grad is None for p in module.encoder.parameters())


def test_critic_learns_classes_from_real_images_alone():
    module = build(DtGan)
    task = exchange(train_batch(module.streams))
    module.critic_loss(task, task.image.flip(0))
    first = module.losses["critic_defect"], module.losses["critic_product"]
    module.critic_loss(task, torch.zeros_like(task.image))
    assert first == (module.losses["critic_defect"], module.losses["critic_product"])


@pytest.mark.slow
def test_cycle_improves():
    module = build(DtGan, lr=2e-3, diversity_weight=0.0)
    curve = [step["generator_cycle"] for step in train(module, 12)]
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])


@pytest.mark.slow
def test_references_in_place_of_noise_change_the_image():
    module = build(DtGan)
    train(module, 2)
    guided = sample(module, asked(reference=draw_batch()))["image"]
    assert not torch.equal(guided, sample(module, asked(reference=draw_batch(seed=5)))["image"])


def test_shape_and_style_mix_freely():
    module = build(DtGan)
    request, references = asked(), draw_batch(8)
    with torch.no_grad():
        one = module.guide(references["image"][:4], request["defects"])
        two = module.guide(references["image"][4:], request["defects"])
        images = [
            module.paint(request["normal"], Defect(c.shape, s.style))["image"]
            for c in (one, two)
            for s in (one, two)
        ]
    assert len({image.numpy().tobytes() for image in images}) == 4


def test_mapping_noise_starts_as_the_identity():
    module = build(DtGan)
    z, domain = torch.randn(3, 16), domain_weights(torch.eye(3))
    one, two = (module.mapping(z, domain, draw_from(None)).shape for _ in range(2))
    assert torch.equal(one, two)
    with torch.no_grad():
        for noise in module.mapping.noises:
            noise.strength.fill_(1.0)
    assert not torch.equal(one, module.mapping(z, domain, draw_from(None)).shape)


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="shape_ch below it"):
        build(DtGan, shape_ch=16)
