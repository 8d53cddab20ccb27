"""Scores that look at masks, by name: means of one value per image; `mask_alignment` computes the values.

The protocol is in the name: "..._raw_segmentation" asks the segmentation network that was trained on
real images alone, at its own threshold; "background_<net>" names the LPIPS network.
"""

from __future__ import annotations

from defectbench.metrics.base import FRACTION, POSITIVE, Better, Metric, Support
from defectbench.metrics.parts.bootstrap import mean_values

INSPECTOR = "raw_segmentation"  # a table's segmentation network, trained in the arm "raw"
PIXELS = "pixels"  # no network
RATES = ("without_predicted_defect", "without_visible_change")  # values of 0 or 1 per image
NETS = ("lpips_alex", "lpips_vgg", "lpips_alex_random_s0", "lpips_vgg_random_s0")


def per_image(
    name: str, values: str, extractor: str, better: Better, limits: Support = FRACTION
) -> Metric:
    """The mean of a value per image, of those images that have one.

    Args:
        name: public name; its input has the same.
        values: name of the function of `mask_alignment` that gives the values.
        extractor: the network behind it: `INSPECTOR`, an LPIPS network, or `PIXELS`.
        better: which direction is better.
        limits: smallest and largest value.
    """
    return Metric(
        name=name,
        extractor=extractor,
        better=better,
        needs=1,
        on="masks",
        reads=("fake",),
        support={name: limits},
        protocol=values,
        score=lambda _real, fake, _rng: {name: float(fake.mean())},
        resample=lambda _real, fake, _rng, count: {name: mean_values(fake, count)},
        shares={name: "fake"} if values in RATES else {},
    )


METRICS = (
    per_image(f"mask_iou_{INSPECTOR}", "mask_iou", INSPECTOR, "higher"),
    per_image(
        f"without_predicted_defect_{INSPECTOR}", "without_predicted_defect", INSPECTOR, "lower"
    ),
    per_image("background_l1", "background_l1", PIXELS, "lower"),
    *(per_image(f"background_{net}", "background_lpips", net, "lower", POSITIVE) for net in NETS),
    per_image("change_inside", "change_inside", PIXELS, "higher"),
    per_image("without_visible_change", "without_visible_change", PIXELS, "lower"),
)
