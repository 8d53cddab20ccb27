"""Composition of a painted layer."""

import torch

from defectbench.nn.blocks.content_noise import draw_from
from defectbench.nn.translation.layered_translator import LayeredTranslator


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
