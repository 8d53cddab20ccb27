"""Which metrics `defectbench score` takes: those that are named, or those that this machine can compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from defectbench.config import UserError
from defectbench.features import weights
from defectbench.metrics.base import Metric
from defectbench.metrics.mask_scores import INSPECTOR
from defectbench.metrics.parts import catalogue
from defectbench.nn.pretrained import KNOWN, LITE0_FILE
from defectbench.nn.weights import WeightFile, locate

WEIGHTS: Mapping[str, WeightFile] = {
    "inception_tf2015": weights.INCEPTION,
    "lite0_imagenet": LITE0_FILE,
    "dinov2_vitb14": weights.DINOV2_VITB14,
    "dinov2_vitl14": weights.DINOV2_VITL14,
    "clip_vitb32": weights.CLIP_VITB32,
    "lpips_alex": weights.ALEXNET,
    "lpips_vgg": weights.VGG16,
}
INCEPTION_METRICS = (
    "fid",
    "kid",
    "is",
    "precision_recall_k3",
    "density_coverage_k5",
    "memorisation",
)
SPACE_METRICS = ("fd", "kd", "precision_recall_k3", "density_coverage_k5", "memorisation")


def default_metrics(*, masks: bool = False) -> tuple[tuple[str, ...], str]:
    """Metrics whose weight files are on this machine; those of seeded networks where there are none.

    Args:
        masks: whether there are masks and sources to look at.

    Returns:
        their names, and a line that says which networks they look through.
    """
    found = {name for name, file in WEIGHTS.items() if locate(file)}
    chosen: list[str] = []
    if "inception_tf2015" in found:
        chosen += INCEPTION_METRICS
    if any(map(locate, KNOWN)):
        found.add("lite0_imagenet")
    order = ("lite0_imagenet", "dinov2_vitb14", "dinov2_vitl14")
    spaces: list[str] = [space for space in order if space in found]
    if not chosen and not spaces:
        spaces = ["vgg16_random_s0"]
    if "lite0_imagenet" in spaces and not chosen:
        chosen.append("is_lite0_imagenet")
    chosen += [f"{metric}_{space}" for space in spaces for metric in SPACE_METRICS]
    lpips = "lpips_alex" if "lpips_alex" in found else "lpips_alex_random_s0"
    chosen.append(f"{lpips}_pairwise")
    if masks:
        chosen += [
            "background_l1",
            f"background_{lpips}",
            "change_inside",
            "without_visible_change",
        ]
    looks = [*(["inception_tf2015"] if "inception_tf2015" in found else []), *spaces, lpips]
    absent = ""
    if any(look.endswith("random_s0") for look in looks):
        absent = (
            "; random_s0: seeded random weights, as pretrained files are not here "
            "(`defectbench doctor` lists them)"
        )
    return tuple(chosen), f"metrics: {', '.join(looks)}{absent}"


def chosen_metrics(
    wanted: Sequence[str], *, masks: bool, say: Callable[[str], None]
) -> tuple[list[Metric], list[Metric]]:
    """Metrics on features, and those on masks.

    Args:
        wanted: names; none for the default.
        masks: whether there are masks and sources to look at.
        say: gets a line on what was chosen.

    Raises:
        UserError: a name is unknown, or asks for what is not given.
    """
    names = tuple(dict.fromkeys(wanted))
    if not names:
        names, told = default_metrics(masks=masks)
        say(told)
    found: list[Metric] = []
    on_masks: list[Metric] = []
    for name in names:
        metric = catalogue.find(name)
        if metric.extractor == INSPECTOR:
            raise UserError(
                f"--metrics {name}: needs a segmentation network trained on real images, which "
                "`score` does not train; tables do"
            )
        if metric.extractor.endswith("_masked"):
            raise UserError(f"--metrics {name}: needs masks of the real images too; leave it out")
        if metric.on != "masks":
            found.append(metric)
        elif masks:
            on_masks.append(metric)
        else:
            raise UserError(f"--metrics {name}: needs --masks DIR and --sources DIR")
    return found, on_masks
