"""Controls that need no real defect: what they paint, where, and that the mask says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from defectbench.batch import Batch, Request, to_uint8
from defectbench.config import UserError
from defectbench.generators.cutpaste import CutPaste, jitter_colours
from defectbench.generators.draem_perlin import DraemPerlin
from defectbench.generators.nsa import NSA
from defectbench.imaging.foreign_texture import foreign_texture
from defectbench.imaging.objects import object_area

SIZE = 64


def noise(seed: int = 0, *, grey: bool = False) -> np.ndarray:
    """A surface of noise without a background, (64, 64, 3) uint8."""
    drawn = np.random.default_rng(seed).integers(60, 200, (SIZE, SIZE, 3), dtype=np.uint8)
    return np.repeat(drawn[..., :1], 3, axis=2) if grey else drawn


def disc(seed: int = 0) -> np.ndarray:
    """A dark noisy disc of radius 24 on white."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    there = np.hypot(y, x) <= 24
    image = np.full((SIZE, SIZE, 3), 250, np.uint8)
    drawn = np.random.default_rng(seed).integers(20, 120, (SIZE, SIZE, 3), dtype=np.uint8)
    image[there] = drawn[there]
    return image


def tensor(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def batch(*images: np.ndarray) -> Batch:
    n = len(images)
    return Batch(
        image=tensor(*images),
        mask=torch.zeros(n, 1, SIZE, SIZE),
        defects=torch.zeros(n, 2),
        product=torch.zeros(n, dtype=torch.int64),
        synthetic=torch.zeros(n, dtype=torch.bool),
    )


def request(*images: np.ndarray) -> Request:
    n = len(images)
    return Request(
        defects=torch.eye(2)[torch.arange(n) % 2],
        product=torch.zeros(n, dtype=torch.int64),
        normal=tensor(*images),
    )


def built(cls, images, **options):
    generator = cls(size=SIZE, defects=["a", "b"], products=["p"], **options)
    generator.observe(batch(*images), batch(*images))
    return generator


def made(generator, images, seed=0):
    """Images and masks as arrays: (B, H, W, 3) uint8 and (B, H, W) bool."""
    sample = generator.synthesise(request(*images), torch.Generator().manual_seed(seed))
    pictures = to_uint8(sample["image"]).permute(0, 2, 3, 1).numpy()
    return pictures, sample["mask"][:, 0].bool().numpy()


SURFACES = [noise(i) for i in range(12)]
ALL = (CutPaste, NSA, DraemPerlin)


@pytest.mark.parametrize("cls", ALL)
def test_nothing_changes_outside_the_mask_and_something_does_inside(cls):
    pictures, masks = made(built(cls, SURFACES), SURFACES)
    for before, after, mask in zip(SURFACES, pictures, masks, strict=True):
        changed = np.abs(after.astype(int) - before).max(axis=2)
        assert mask.any()
        assert changed[mask].mean() > 1
        if cls is not NSA:  # its label is median-filtered: corners of a patch may be lost
            assert not changed[~mask].any()
        else:
            assert (changed[~mask] > 0).mean() < 0.05


@pytest.mark.parametrize("cls", ALL)
def test_defects_stay_on_the_object_before_a_flat_background(cls):
    things = [disc(i) for i in range(12)]
    _, masks = made(built(cls, things), things)
    there = object_area(things[0])
    share = [mask[there].sum() / max(1, mask.sum()) for mask in masks]
    assert min(share) > 0.2
    assert np.mean(share) > 0.6
    if cls is DraemPerlin:
        assert min(share) == 1


@pytest.mark.parametrize("cls", ALL)
def test_an_image_does_not_depend_on_its_neighbours_in_the_batch(cls):
    generator = built(cls, SURFACES[:1])  # one source: which one is drawn cannot differ
    whole, _ = made(generator, SURFACES[:1] * 3)
    other, _ = made(generator, [SURFACES[0], SURFACES[5], SURFACES[0]])
    assert np.array_equal(whole[2], other[2])


def test_sizes_of_patches_are_the_papers():
    generator = built(CutPaste, SURFACES, variant="patch")
    _, masks = made(generator, SURFACES * 10)
    area = masks.reshape(len(masks), -1).mean(1)
    assert area.min() > 0.015
    assert area.max() < 0.16
    heights, widths = (masks.any(axis=axis).sum(1) for axis in (2, 1))
    assert np.array_equal(heights * widths, masks.sum((1, 2))), "patches are rectangles"
    ratio = heights / widths
    assert 1 / 3.8 < ratio.min() < 0.6
    assert 1.7 < ratio.max() < 3.8


def test_scars_are_thin_and_turned():
    generator = built(CutPaste, SURFACES, variant="scar")
    _, masks = made(generator, SURFACES * 10)
    area = masks.sum((1, 2))
    assert area.max() <= 7.5 * 5.5  # 25 x 16 px at 256 px is 6.25 x 4 px here
    boxes = masks.any(axis=1).sum(1) * masks.any(axis=2).sum(1)
    assert (boxes > area).mean() > 0.3, "turned scars do not fill their boxes"


def test_a_piece_that_cannot_be_seen_is_cut_again():
    half = np.full((SIZE, SIZE, 3), 100, np.uint8)
    half[:, SIZE // 2 :] = 110  # pieces within one half change nothing
    generator = built(CutPaste, [half], jitter=0.0, variant="patch")
    pictures, masks = made(generator, [half] * 40)
    seen = [
        np.abs(p[m].astype(int) - half[m]).mean() >= 2 for p, m in zip(pictures, masks, strict=True)
    ]
    assert np.mean(seen) > 0.95


def test_a_grey_image_stays_grey():
    grey = noise(3, grey=True)
    for seed in range(30):
        for changed in (
            foreign_texture(grey, np.random.default_rng(seed)),
            jitter_colours(grey, 0.1, np.random.default_rng(seed)),
        ):
            assert (changed[..., :1] == changed).all()


def test_the_foreign_texture_differs_from_its_source():
    image = noise(1)
    changes = [
        np.abs(foreign_texture(image, np.random.default_rng(s)).astype(int) - image).mean()
        for s in range(30)
    ]
    assert np.median(changes) > 20


def test_draem_mixes_by_its_equation():
    image, texture = noise(1), np.full((SIZE, SIZE, 3), 0, np.uint8)
    generator = built(DraemPerlin, SURFACES, opacity=0.0)
    rng = np.random.default_rng(5)
    expected = foreign_texture(texture, np.random.default_rng(5))
    painted, mask = generator.paint(image.copy(), texture, rng)
    assert np.array_equal(painted[mask], expected[mask]), "opacity 0 leaves the texture alone"
    assert np.array_equal(painted[~mask], image[~mask])


def test_draem_keeps_to_the_largest_share():
    _, masks = made(built(DraemPerlin, SURFACES, largest=0.05), SURFACES * 5)
    share = masks.reshape(len(masks), -1).mean(1)
    assert share.max() <= 0.05
    assert share.min() > 0


def test_nsa_takes_its_patches_from_other_images_and_leaves_no_step_at_their_border():
    dark = np.full((SIZE, SIZE, 3), 100, np.uint8)
    stripes = np.full((SIZE, SIZE, 3), 180, np.uint8)
    stripes[:, (np.arange(SIZE) // 2) % 2 == 0] = 160
    pictures, masks = made(built(NSA, [stripes], patches=1), [dark] * 20)
    assert masks.any((1, 2)).mean() > 0.8, "the stripes come along"
    assert max(p[m].std() for p, m in zip(pictures, masks, strict=True) if m.any()) > 5
    inside = np.concatenate([p[m] for p, m in zip(pictures, masks, strict=True)])
    assert inside.mean() == pytest.approx(100, abs=15), "their brightness does not"


def test_nsa_without_a_difference_has_an_empty_mask():
    flat = np.full((SIZE, SIZE, 3), 90, np.uint8)
    pictures, masks = made(built(NSA, [flat]), [flat])
    assert not masks.any()
    assert np.array_equal(pictures[0], flat)


def test_objects_are_found_and_surfaces_are_all_object():
    area = object_area(disc())
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    true = np.hypot(y, x) <= 24
    assert (area & true).sum() / (area | true).sum() > 0.97
    assert object_area(noise()).all()
    assert object_area(np.full((SIZE, SIZE, 3), 90, np.uint8)).all()
    scratched = np.full((SIZE, SIZE, 3), 90, np.uint8)
    scratched[30:32, 5:60] = 200
    assert object_area(scratched).all(), "a defect on a flat surface is no object"
    with pytest.raises(ValueError, match="expected uint8"):
        object_area(np.zeros((SIZE, SIZE), np.uint8))


@pytest.mark.parametrize(
    ("cls", "options", "told"),
    [
        (CutPaste, {"area": [0.2, 0.1]}, "cutpaste: area"),
        (CutPaste, {"jitter": 2.0}, "jitter from 0 to 0.5"),
        (NSA, {"width": [0.1, 0.9]}, "widths up to 0.5"),
        (NSA, {"patches": 0}, "patches and remember of 1"),
        (DraemPerlin, {"threshold": 0.95}, "threshold in"),
    ],
)
def test_impossible_ranges_are_refused(cls, options, told):
    with pytest.raises(UserError, match=told):
        cls(size=SIZE, defects=["a"], products=["p"], **options)
