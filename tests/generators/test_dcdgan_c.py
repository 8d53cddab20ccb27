"""DCDGANc: sizes of the authors' networks, its update order, its normalisation, its class control."""

import pytest
import torch

from defectbench.config import UserError
from defectbench.generators.dcdgan_c import DcdganC, class_values
from tests.generators.short_training import (
    build,
    check_trains,
    draw_batch,
    millions,
    request_of,
    sample,
    train,
    train_batch,
)

CONTENTS = {"contents": True}


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(64, (6.98, 0.03, 2.79)), (128, (7.05, 0.07, 2.86)), (256, (7.34, 0.27, 3.16))],
)
def test_sizes_are_those_of_the_authors_networks(size, sizes):
    with torch.device("meta"):
        module = DcdganC(size=size, defects=list("abcde"), products=["wood"])
    found = [millions(n) for n in (module.generator, module.encoder, module.critic)]
    assert found == pytest.approx(sizes, abs=0.006)


@pytest.mark.parametrize("norm", ["od_spade", "adain", "instance"])
def test_every_weight_learns(norm):
    check_trains(build(DcdganC, norm=norm), batch=train_batch({"defect"}, **CONTENTS))


@pytest.mark.parametrize(
    "options", [{"adversarial": "log"}, {"gp": "loss", "adversarial": "least_squares_mean"}]
)
def test_the_other_choices_train(options):
    check_trains(build(DcdganC, **options), batch=train_batch({"defect"}, **CONTENTS), steps=2)


def test_trains_in_bfloat16():
    check_trains(build(DcdganC), precision="bf16-mixed", batch=train_batch({"defect"}, **CONTENTS))


@pytest.mark.slow
def test_reconstruction_improves():
    batch = train_batch({"defect"}, **CONTENTS)
    curve = [
        step["generator_pixel"] for step in train(build(DcdganC, base=8, lr=4e-3), 50, batch=batch)
    ]
    assert sum(curve[-5:]) < 0.5 * sum(curve[:5])


def test_at_first_gradients_reach_every_layer():
    model = build(DcdganC, size=64, base=16, blocks=2)
    image = model.make(torch.randn(3, 8), torch.eye(3))
    (image - torch.rand_like(image)).abs().mean().backward()
    named = dict(model.generator.named_parameters())
    convolutions = [
        n for n in named if n.endswith(("conv.weight", "first.weight", "second.weight"))
    ]
    assert len(convolutions) == 5 + 2 * 2 + 4
    # Adam does not act on what is far below its epsilon of 1e-8.
    assert min(named[n].grad.abs().mean() for n in convolutions) > 5e-9


def test_encoder_learns_nothing_from_the_latent_loss():
    """Two trainings that differ in the weight of the latent loss alone differ in the generator, not in the encoder."""
    batch = train_batch({"defect"}, **CONTENTS)
    ends = []
    for weight in (0.0, 100.0):
        module = build(DcdganC, latent_weight=weight)
        train(module, 1, batch=batch)
        ends.append({name: p.detach().clone() for name, p in module.named_parameters()})
    same = {name for name in ends[0] if torch.equal(ends[0][name], ends[1][name])}
    assert {name for name in ends[0] if name.startswith("encoder.")} <= same
    assert not any(name.startswith("generator.layers") for name in same)


def test_class_values_of_code_and_paper():
    assert class_values(5, "code").tolist() == [-1, -0.5, 0, 0.5, 1]
    assert class_values(4, "paper").tolist() == [-1, -0.5, 0, 0.5]
    assert class_values(1, "code").isfinite().all()


def test_least_squares_of_the_authors_code_is_of_each_images_mean():
    """Means 1 and 3 over the patches: (0^2 + 2^2) / 2 against target 1."""
    module = build(DcdganC, adversarial="least_squares_mean")
    logits = torch.tensor([[0.0, 2.0], [1.0, 5.0]]).reshape(2, 1, 1, 2)
    assert module.generator_loss(logits).item() == 2
    assert module.critic_loss(logits, logits).item() == 2 + (1 + 9) / 2


@pytest.mark.parametrize("gp", ["logit", "loss"])
def test_the_penalty_does_not_hang_on_the_size_of_the_batch(gp):
    module = build(DcdganC, gp=gp)
    one = torch.rand(1, 3, 32, 32)  # real and made alike: where between them does not matter
    few, many = (
        module.penalty(
            one.expand(n, -1, -1, -1), one.expand(2 * n, -1, -1, -1), torch.eye(3)[[0] * n]
        )
        for n in (1, 4)
    )
    torch.testing.assert_close(few, many)


def test_classes_interpolate():
    module = build(DcdganC)
    train(module, 2, batch=train_batch({"defect"}, **CONTENTS))
    steps = torch.linspace(0, 1, 5)[:, None]
    path = torch.cat([1 - steps, steps, torch.zeros(5, 1)], 1)
    with torch.no_grad():
        images = module.make(torch.zeros(1, 8).expand(5, 8), path)
    assert (images.diff(dim=0).abs().amax((1, 2, 3)) > 0).all()


def test_a_finer_pool_tells_the_encoder_where_a_small_content_lies():
    image = torch.zeros(2, 3, 64, 64)
    image[0, :, 22, 22] = image[1, :, 26, 26] = 1  # a dot, and the same dot four pixels off
    for pool, told in ((8, False), (2, True)):
        encoder = build(DcdganC, size=64, encoder_pool=pool).encoder
        first, second = encoder.features(image)
        assert torch.allclose(first, second, atol=1e-5) != told


@pytest.mark.parametrize("pool", [0, 17])
def test_a_pool_larger_than_the_features_is_refused(pool):
    with pytest.raises(UserError, match=f"encoder_pool={pool} at 32 px: expected 1 to 16"):
        build(DcdganC, size=32, encoder_pool=pool)


def test_a_row_without_class_is_refused():
    module = build(DcdganC)
    request = request_of(draw_batch(defective=False))
    with pytest.raises(UserError, match="hole, scratch, stain"):
        sample(module, request)


def test_one_class_alone_trains():
    module = DcdganC(size=32, defects=["hole"], products=["wood"], base=4, blocks=1)
    batch = draw_batch(contents=True)
    batch["defects"] = torch.ones(4, 1)
    train(module, 1, batch={"defect": batch})
    assert all(p.isfinite().all() for p in module.parameters())


def test_the_average_follows_the_generator_and_draws_the_samples():
    module = build(DcdganC, ema=0.75)
    before = [p.clone() for p in module.generator.parameters()]
    train(module, 1, batch=train_batch({"defect"}, **CONTENTS))
    after = list(module.generator.parameters())
    for old, new, mean in zip(before, after, module.average.network.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.75 * old + 0.25 * new)
    request = request_of(draw_batch())
    drawn = sample(module, request)
    with torch.no_grad():
        for weight in module.generator.parameters():
            weight.zero_()
    torch.testing.assert_close(sample(module, request)["image"], drawn["image"])


def test_by_default_there_is_no_average():
    module = DcdganC(size=32, defects=["hole"], products=["wood"], base=4, blocks=1)
    assert not [key for key in module.state_dict() if key.startswith("average")]


@pytest.mark.parametrize("ema", [-0.1, 1.0])
def test_an_ema_that_is_no_decay_is_refused(ema):
    with pytest.raises(UserError, match=f"ema={ema}: expected 0"):
        build(DcdganC, ema=ema)
