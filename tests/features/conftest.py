"""Weights that no download is needed for: an Inception of torch-fidelity with random ones."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as inception


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that torch-fidelity accepts; its weights keep the scale of activations.

    The constructor always loads a file, so loading is stubbed while the network is made.
    """
    with (
        mock.patch.object(inception, "load_state_dict_from_url", return_value={}),
        mock.patch.object(inception.FeatureExtractorInceptionV3, "load_state_dict"),
        torch.random.fork_rng(devices=[]),
    ):
        network = inception.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for key, value in state.items():
        if value.ndim > 1:
            torch.nn.init.kaiming_normal_(value, nonlinearity="relu", generator=generator)
        elif key.endswith("bias"):
            value.zero_()
    path = tmp_path_factory.mktemp("weights") / inception.URL_INCEPTION_V3.rsplit("/", 1)[1]
    torch.save(state, path)
    return path
