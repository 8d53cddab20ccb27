"""The encoder-decoder and the patch critics: published sizes, identities, shapes."""

import pytest
import torch
from torch import nn

from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.blocks.modulate import Spade, instance
from defectbench.nn.blocks.patchgan import ClassCritic, MultiScale, PatchCritic, PatchTrunk
from defectbench.nn.translation.translator import Translator
from tests.generators.short_training import millions


def test_star_gan_sizes():
    with torch.device("meta"):
        generator = Translator(in_ch=3 + 5)
        critics = {size: ClassCritic(size=size, classes=5) for size in (128, 256)}
    assert millions(generator) == pytest.approx(8.43, abs=0.005)
    assert millions(critics[128]) == pytest.approx(44.76, abs=0.005)
    assert millions(critics[256]) == pytest.approx(44.88, abs=0.005)


@pytest.mark.parametrize(("blocks", "size"), [(6, 7.84), (9, 11.38)])
def test_cycle_gan_sizes(blocks, size):
    with torch.device("meta"):
        generator = Translator(
            blocks=blocks,
            kernel=3,
            padding="reflect",
            encode_norm=instance(),
            bias=True,
            head_bias=True,
        )
        critic = PatchCritic(PatchTrunk(strides=(2, 2, 2, 1), norm=nn.InstanceNorm2d))
    assert millions(generator) == pytest.approx(size, abs=0.005)
    assert millions(critic) == pytest.approx(2.76, abs=0.005)


def test_patch_critic_sees_70_pixels():
    critic = PatchCritic(PatchTrunk(widths=(4, 8, 8, 8), strides=(2, 2, 2, 1)))
    image = torch.zeros(1, 3, 128, 128, requires_grad=True)
    logits = critic(image)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_translator_keeps_the_size_and_gives_every_head(kernel, padding):
    network = Translator(
        base=4, blocks=1, kernel=kernel, padding=padding, heads={"image": 3, "mask": 1}
    )
    out = network(torch.zeros(2, 3, 32, 24))
    assert {name: tuple(t.shape) for name, t in out.items()} == {
        "image": (2, 3, 32, 24),
        "mask": (2, 1, 32, 24),
    }


def test_noise_at_init_is_the_identity_and_then_is_felt():
    torch.manual_seed(0)
    network = Translator(base=4, blocks=2, noise=True)
    image = torch.rand(2, 3, 16, 16)
    once, again = (network(image, None, draw_from(None))["image"] for _ in range(2))
    assert torch.equal(once, again)
    assert (
        len([n for n, _ in network.named_parameters() if n.endswith("strength")]) == 3 + 2 * 2 + 2
    )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("strength"):
                parameter.fill_(1.0)
    rng = torch.Generator().manual_seed(1)
    noisy = network(image, None, draw_from(rng))["image"]
    assert not torch.allclose(once, noisy)
    again = network(image, None, draw_from(torch.Generator().manual_seed(1)))["image"]
    assert torch.equal(noisy, again)
    with pytest.raises(ValueError, match="pass draw"):
        network(image)


def test_condition_maps_reach_the_decoder():
    torch.manual_seed(0)
    network = Translator(base=4, blocks=1, decode_norm=lambda c: Spade(c, map_channels=2, hidden=4))
    image, left = torch.rand(1, 3, 16, 16), torch.zeros(1, 2, 16, 16)
    left[..., :4] = 1
    change = (network(image, left)["image"] - network(image, left * 0)["image"]).abs()
    assert change.max() > 1e-3


def test_class_critic_shrinks_its_depth_with_the_image():
    critic = ClassCritic(size=32, classes=4, base=4)
    source, classes = critic(torch.zeros(2, 3, 32, 32))
    assert source.shape == (2, 1, 2, 2)
    assert classes.shape == (2, 4)


def test_trunk_features_and_scales():
    trunk = PatchTrunk(widths=(4, 8), norm=nn.InstanceNorm2d)
    assert [tuple(f.shape) for f in trunk.features(torch.zeros(1, 3, 16, 16))] == [
        (1, 4, 8, 8),
        (1, 8, 4, 4),
    ]
    scales = MultiScale(lambda: PatchCritic(PatchTrunk(widths=(4, 8))), 2)
    assert [t.shape[-1] for t in scales(torch.zeros(1, 3, 32, 32))] == [7, 3]
    with pytest.raises(ValueError, match="1 strides for 2 widths"):
        PatchTrunk(widths=(4, 8), strides=(2,))
