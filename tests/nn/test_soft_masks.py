"""Soft masks made binary."""

import torch

from defectbench.nn.masks.soft_masks import harden


def test_soft_masks_are_split_at_a_level_or_by_otsu():
    soft = torch.zeros(5, 1, 8, 8)
    soft[0, :, 2:5, 2:5] = 0.9
    soft[1, :, 2:5, 2:5] = 0.2
    soft[2] = 0.05
    soft[3] = 0.9
    mask, valid = harden(soft)
    assert valid.tolist() == [True, True, False, False, False]
    assert mask[:2].sum((1, 2, 3)).tolist() == [9, 9]
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_thin_edges_belong_to_a_mark_and_faint_traces_elsewhere_do_not():
    soft = torch.zeros(1, 1, 8, 8)
    soft[0, 0, 3, 1:7] = torch.tensor([0.05, 0.15, 0.6, 0.2, 0.15, 0.08])
    soft[0, 0, 7, 1:4] = 0.2
    mask, valid = harden(soft)
    assert valid.tolist() == [True]
    assert mask.nonzero()[:, 2:].tolist() == [[3, 2], [3, 3], [3, 4], [3, 5]]
