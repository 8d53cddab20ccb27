"""Scores that look at masks, by name: means of one value per image; `mask_alignment` computes the values.

The protocol is in the name: "..._raw_segmentation" asks the segmentation network that was trained on
real images alone, at its own threshold; "background_<net>" names the LPIPS network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from defectbench.metrics.base import (
    FRACTION,
    POSITIVE,
    Against,
    Array,
    Better,
    Floats,
    Support,
    TooFew,
    Undefined,
)
from defectbench.metrics.bootstrap import resample_counts

INSPECTOR = "raw_segmentation"  # a table's segmentation network, trained in the arm "raw"
PIXELS = "pixels"  # no network
NETS = ("lpips_alex", "lpips_vgg", "lpips_alex_random_s0", "lpips_vgg_random_s0")


@dataclass(frozen=True, kw_only=True)
class ImageMetric:
    """A `SetMetric` that is the mean of a value per image, of those images that have one.

    Its features are the values, (N, 1), nan where an image has none, under its own name.

    Attributes:
        values: name of the function of `mask_alignment` that gives the values.
        extractor: the network behind it: `INSPECTOR`, an LPIPS network, or `PIXELS`.
    """

    name: str
    values: str
    extractor: str
    better: Better
    limits: Support = FRACTION
    needs: int = 1
    reads: tuple[str, ...] = ("fake",)
    against: Against = "unseen"

    @property
    def support(self) -> Mapping[str, Support]:
        """See `SetMetric`."""
        return {self.name: self.limits}

    @property
    def inputs(self) -> tuple[str, str]:
        """See `SetMetric`."""
        return self.name, self.name

    def sizes(self, real: Array, fake: Array) -> tuple[int, int]:
        """See `SetMetric`; images without a value do not count."""
        return 0, len(_known(fake))

    def __call__(
        self, real: Array, fake: Array, rng: np.random.Generator
    ) -> dict[str, float] | Undefined:
        """See `SetMetric`."""
        known = _known(fake)
        if len(known) < self.needs:
            return TooFew(f"needs ≥ {self.needs} image with a value; has none", self.needs)
        return {self.name: float(known.mean())}

    def replicates(
        self, real: Array, fake: Array, rng: np.random.Generator, count: int
    ) -> dict[str, Floats]:
        """See `SetMetric`."""
        known = _known(fake)
        return {self.name: resample_counts(rng, len(known), count) @ known / len(known)}

    def interval(self, fake: Array, resamples: int) -> str:
        """See `SetMetric`."""
        return f"bootstrap_{resamples}"


def _known(values: Array) -> Floats:
    """The values of (N, 1) that are numbers, (n,)."""
    column = np.asarray(values, np.float64)[:, 0]
    return column[np.isfinite(column)]


METRICS = (
    ImageMetric(
        name=f"mask_iou_{INSPECTOR}", values="mask_iou", extractor=INSPECTOR, better="higher"
    ),
    ImageMetric(
        name=f"without_predicted_defect_{INSPECTOR}",
        values="without_predicted_defect",
        extractor=INSPECTOR,
        better="lower",
    ),
    ImageMetric(name="background_l1", values="background_l1", extractor=PIXELS, better="lower"),
    *(
        ImageMetric(
            name=f"background_{net}",
            values="background_lpips",
            extractor=net,
            better="lower",
            limits=POSITIVE,
        )
        for net in NETS
    ),
    ImageMetric(name="change_inside", values="change_inside", extractor=PIXELS, better="higher"),
    ImageMetric(
        name="without_visible_change",
        values="without_visible_change",
        extractor=PIXELS,
        better="lower",
    ),
)
