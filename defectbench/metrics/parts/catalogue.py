"""Every set metric by name; imports no torch, so that listing and planning stay fast.

Installed packages add theirs under the entry-point group `defectbench.metrics`; an entry's value names
a `Metric`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from defectbench.config import UserError, nearest
from defectbench.metrics import (
    fid,
    ic_lpips,
    inception_score,
    kid,
    mask_scores,
    memorisation,
    pairwise,
    prdc,
)
from defectbench.metrics.base import Metric

# Features that distances between distributions are also taken on, besides the Inception's.
SPACES = ("lite0_imagenet", "vgg16_random_s0", "dinov2_vitb14", "dinov2_vitl14", "clip_vitb32")
RANDOM_LPIPS = ("lpips_alex_random_s0", "lpips_vgg_random_s0")


def _house() -> list[Metric]:
    """The metrics of this package."""
    modules = (fid, kid, inception_score, prdc, memorisation, pairwise, ic_lpips, mask_scores)
    found: list[Metric] = [metric for module in modules for metric in module.METRICS]
    for space in SPACES:
        found += [
            fid.distance(space),
            fid.distance(space, against="training"),
            kid.full(space),
            prdc.precision_recall_k3(space),
            prdc.density_coverage_k5(space),
            memorisation.nearest_neighbours(space),
        ]
    found.append(inception_score.metric("lite0_imagenet_logits"))
    found += [pairwise.pairwise(net) for net in RANDOM_LPIPS]
    for protocol in ic_lpips.PROTOCOLS:
        found.append(ic_lpips.metric(protocol, f"{protocol.extractor}_random_s0"))
    return found


def metrics() -> dict[str, Metric]:
    """All metrics by name, with those of installed packages."""
    found = {metric.name: metric for metric in _house()}
    for entry in entry_points(group="defectbench.metrics"):
        metric = entry.load()
        found[metric.name] = metric
    return found


def find(name: str) -> Metric:
    """A metric by name.

    Raises:
        UserError: no such metric; names the nearest.
    """
    known = metrics()
    if name not in known:
        raise UserError(f"no set metric {name!r}; {nearest(name, known)}")
    return known[name]


def _summary(metric: Metric) -> str:
    """One line for `defectbench list metrics`."""
    if metric.on == "masks":
        return f"{MASKED[metric.protocol]}, {metric.extractor}, {metric.better} is better"
    sets = "generated against real" if "real" in metric.reads else "generated images alone"
    if metric.against == "training":
        sets = "generated against training"
    return f"{sets}, {metric.extractor}, {metric.better} is better, needs ≥ {metric.needs} images"


MASKED = {
    "mask_iou": "given masks against those that the inspector finds",
    "without_predicted_defect": "rate of images in which the inspector sees no defect",
    "background_l1": "change outside the mask against the normal source",
    "background_lpips": "LPIPS outside the mask against the normal source",
    "change_inside": "share of the change that falls inside the mask",
    "without_visible_change": "rate of masks with no visible change inside",
}
SUMMARIES: Mapping[str, str] = {metric.name: _summary(metric) for metric in _house()}
