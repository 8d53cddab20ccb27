"""Domains, partners, references."""

import pytest
import torch

from defectbench.nn.translation.style_domains import (
    another_of_the_domain,
    domain_weights,
    exchange,
    pick,
)
from tests.generators.short_training import train_batch


def test_domains_put_normal_first_and_sum_to_one():
    labels = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0.3, 0.2]])
    weights = domain_weights(labels)
    assert weights.tolist()[:3] == [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]
    assert weights[3].tolist() == pytest.approx([0.5, 0.3, 0.2])
    values = torch.arange(12.0).reshape(2, 3, 2)
    assert pick(values, torch.tensor([[0.0, 1, 0], [0.5, 0, 0.5]])).tolist() == [[2, 3], [8, 9]]


def test_partners_are_others_of_the_same_domain():
    domain = torch.eye(3)[[0, 0, 0, 1, 1, 2]]
    for seed in range(20):
        torch.manual_seed(seed)
        other = another_of_the_domain(domain)
        assert torch.equal(domain[other], domain)
        assert (other != torch.arange(6)).tolist() == [True] * 5 + [False]


def test_references_have_the_target_domain():
    batch = train_batch({"defect", "normal"})
    task = exchange(batch)
    everything = torch.cat([batch["defect"]["image"], batch["normal"]["image"]])
    for reference in (task.reference, task.reference_2):
        rows = [(everything == image).flatten(1).all(1).nonzero().item() for image in reference]
        assert torch.equal(task.domain[rows], task.target)
