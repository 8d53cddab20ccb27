"""Augmentation of a classifier's batches."""

from __future__ import annotations

import pytest
import torch

from defectbench.tasks.parts.batch_augment import (
    AUGMENTATIONS,
    augment,
    cutmix,
    cutout,
    mixup,
    traditional,
)


def batch(n: int = 16, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    image = torch.rand(n, 3, size, size, generator=generator) * 2 - 1
    return image, torch.eye(4)[torch.randint(4, (n,), generator=generator)]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shapes_ranges_and_seeds(name: str) -> None:
    image, labels = batch()
    kept = image.clone()
    first = augment(image, labels, [name], torch.Generator().manual_seed(0))
    again = augment(image, labels, [name], torch.Generator().manual_seed(0))
    other = augment(image, labels, [name], torch.Generator().manual_seed(1))
    assert torch.equal(image, kept)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == image.shape
    assert float(first[0].abs().max()) <= 1
    torch.testing.assert_close(first[1].sum(1), torch.ones(len(image)))


def test_no_names_is_the_identity_and_draws_nothing() -> None:
    image, labels = batch()
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert augment(image, labels, [], generator)[0] is image
    assert torch.equal(generator.get_state(), before)


def test_the_global_generator_is_left_alone() -> None:
    image, labels = batch()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    augment(image, labels, list(AUGMENTATIONS), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_cutmix_mixes_labels_by_the_area_that_it_pastes() -> None:
    n, size = 32, 20
    numbers = torch.arange(n).float() / n
    image = numbers.view(n, 1, 1, 1).expand(n, 3, size, size)
    mixed, labels = cutmix(image, torch.eye(n), torch.Generator().manual_seed(0))
    for row in range(n):
        for number in range(n):
            share = float((mixed[row, 0] == numbers[number]).float().mean())
            assert float(labels[row, number]) == pytest.approx(share, abs=1e-6)
    assert 0.1 < float(1 - labels.diagonal().mean()) < 0.6


def test_mixup_mixes_pixels_and_labels_alike() -> None:
    n = 32
    image = torch.eye(n)[:, :, None, None].expand(n, n, 2, 2)[:, :3].clone()
    labels = torch.eye(n)
    mixed, soft = mixup(image, labels, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed[:, :, 0, 0], soft[:, :3])
    assert bool(((soft > 0.05) & (soft < 0.95)).any())


def test_cutout_greys_out_one_square() -> None:
    image, labels = torch.ones(64, 3, 32, 32), torch.eye(64)
    cut, kept = cutout(image, labels, torch.Generator().manual_seed(0))
    assert torch.equal(kept, labels)
    hidden = (cut == 0).all(1)
    assert torch.equal((cut == 1).all(1), ~hidden)
    assert int(hidden.sum((1, 2)).max()) == 64  # 8 x 8 of 32 x 32
    assert int(hidden.sum((1, 2)).min()) < 64  # clipped at a border


def test_traditional_flips_half_and_keeps_the_labels() -> None:
    n = 400
    image = torch.zeros(n, 3, 8, 8)
    image[:, :, :, :4] = 0.5
    changed, labels = traditional(image, torch.eye(n), torch.Generator().manual_seed(0))
    assert torch.equal(labels, torch.eye(n))
    left, right = changed[..., :4].mean((1, 2, 3)), changed[..., 4:].mean((1, 2, 3))
    assert 0.42 < float((right > left).float().mean()) < 0.58
    assert float((left - right).abs().std()) > 0.03  # contrast and brightness vary
