"""What scoring costs beside the networks' bare forward passes, beside torchmetrics, and a second time.

Images are made up and weights are random, so only times mean anything. DEFECTBENCH_BENCH_IMAGES (default 200) is the
number of real and of generated images; the targets are for 1000, where everything that is not a forward pass is dearest.
On two quiet cores 1000 images take about fifteen minutes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.functional.image.lpips import _LPIPS
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from defectbench.metrics import catalogue
from defectbench.metrics.features import InceptionTF2015
from defectbench.metrics.fid import fid
from defectbench.metrics.images import ArrayImages
from defectbench.metrics.kid import replicated_kid
from defectbench.metrics.lpips import Lpips
from defectbench.metrics.lpips_pairs import within
from defectbench.metrics.lpips_streams import grouped_distances
from defectbench.metrics.scoring import score_sets
from defectbench.metrics.store import FeatureStore

IMAGES = int(os.environ.get("DEFECTBENCH_BENCH_IMAGES", "200"))
SIZE = 64
LPIPS_IMAGES, PAIRS = 200, 25


class Unloaded(FeatureExtractorInceptionV3):
    """The network with the weights it was born with: the published ones are a download."""

    def load_state_dict(self, state_dict):
        """Load nothing."""


def random_inception(folder):
    """Our extractor with random weights."""
    empty, path = folder / "empty.pth", folder / "random.pth"
    torch.save({}, empty)
    network = Unloaded("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(empty))
    torch.save(network.state_dict(), path)
    return InceptionTF2015(weights=path)


def pictures(count, seed, size=SIZE):
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return ArrayImages(blocks.repeat(size // 8, 1).repeat(size // 8, 2))


class Stopwatch:
    """Time spent inside the forward passes of some modules."""

    def __init__(self, *modules):
        self.seconds, self.images = 0.0, 0
        for module in modules:
            module.register_forward_pre_hook(self._start)
            module.register_forward_hook(self._stop)

    def _start(self, _module, _given):
        self._began = time.perf_counter()

    def _stop(self, _module, given, _out):
        self.seconds += time.perf_counter() - self._began
        self.images += len(given[0])


def timed(action):
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


def median_of(action, rounds=5):
    return statistics.median(timed(action)[0] for _ in range(rounds))


def whole_scoring(folder, inception):
    """FID, KID, IS, precision and recall, pairwise LPIPS; then a second generator."""
    net = Lpips("vgg", seed=0)
    watch = Stopwatch(inception, net)
    metrics = [
        catalogue.find(name)
        for name in ("fid", "kid", "is", "precision_recall_k3", "lpips_vgg_random_s0_pairwise")
    ]
    store, real = FeatureStore(folder), pictures(IMAGES, 0)

    def score(seed):
        first = store.get(real, [inception, net])
        second = store.get(pictures(IMAGES, seed), [inception, net])
        return score_sets(first, second, metrics, np.random.default_rng(0))

    took, _ = timed(lambda: score(1))
    again, _ = timed(lambda: score(2))
    print(f"{IMAGES} x {IMAGES} images, {SIZE} px, Inception and LPIPS VGG16, with intervals:")
    whole = (took + again) / watch.seconds
    print(
        f"  all / bare forward passes          {whole:.3f}   (target <= 1.10; {watch.images} passes)"
    )
    print(f"  second generator / first           {again / took:.3f}   (target <= 0.55)")


class Part(torch.nn.Module):
    """One layer of the shared network, as torchmetrics wants a feature extractor."""

    num_features = 2048

    def __init__(self, inception, part):
        super().__init__()
        self.inner, self.part = inception, part

    def forward(self, images):
        return self.inner(images)[:, self.inner.parts[self.part]]


def against_torchmetrics(folder, inception):
    """FID, KID and IS, ours with intervals, from the same network."""
    real, fake = pictures(IMAGES, 3), pictures(IMAGES, 4)
    metrics = [catalogue.find(name) for name in ("fid", "kid", "is")]

    def ours():
        store = FeatureStore(folder)
        sets = [store.get(images, [inception]) for images in (real, fake)]
        return score_sets(*sets, metrics, np.random.default_rng(0))

    def theirs():
        pool, logits = "inception_tf2015_pool3", "inception_tf2015_logits"
        size = min(IMAGES, 1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they say that they keep all features
            both = [
                FrechetInceptionDistance(Part(inception, pool)),
                KernelInceptionDistance(Part(inception, pool), subset_size=size),
            ]
            alone = InceptionScore(Part(inception, logits))
        with torch.inference_mode():
            for images, is_real in ((real, True), (fake, False)):
                for start in range(0, IMAGES, 32):
                    rows = range(start, min(start + 32, IMAGES))
                    batch = torch.from_numpy(np.stack([images.load(i) for i in rows]))
                    for metric in both:
                        metric.update(batch, real=is_real)
                    if not is_real:
                        alone.update(batch)
        return [metric.compute() for metric in [*both, alone]]

    watch = Stopwatch(inception)
    mine, _ = timed(ours)
    passes, inside = watch.images, watch.seconds
    others, _ = timed(theirs)
    print(f"FID + KID + IS of {IMAGES} x {IMAGES}: torchmetrics / ours")
    print(f"  time                               {others / mine:.2f}    (target >= 2.4)")
    print(f"  forward passes                     {(watch.images - passes) / passes:.2f}")
    print(f"  ours / its forward passes          {mine / inside:.3f}")


def all_pairs():
    """All pairs of LPIPS against pair by pair through torchmetrics, a few pairs extrapolated."""
    for name in ("alex", "vgg"):
        net, reference = Lpips(name, seed=0), _LPIPS(net=name, pnet_rand=True)
        values = net.backbone.layers.state_dict().values()
        with torch.no_grad():
            for target, value in zip(reference.net.state_dict().values(), values, strict=True):
                target.copy_(value)
        ratios, gaps = zip(*(one_round_of_pairs(net, reference) for _ in range(3)), strict=True)
        print(f"all LPIPS pairs of {LPIPS_IMAGES} images, {name}, {SIZE} px:")
        print(
            f"  torchmetrics / ours                {statistics.median(ratios):.0f}     (target >= 100)"
        )
        print(f"  largest difference                 {max(gaps):.1e} (target <= 1e-6)")


def one_round_of_pairs(net, reference):
    """Ratio of times for all pairs, and the largest difference over the pairs that both computed."""
    images = pictures(LPIPS_IMAGES, 5)
    i = np.arange(PAIRS)
    first, second = (
        torch.from_numpy(np.stack([images.load(k) for k in rows])).float() / 127.5 - 1
        for rows in (i, i + PAIRS)
    )
    took, distances = timed(lambda: within(net, images))
    with torch.inference_mode():
        slow, found = timed(lambda: reference(first, second))
    pairs = LPIPS_IMAGES * (LPIPS_IMAGES - 1) // 2
    gap = np.abs(distances[i, i + PAIRS] - found.flatten().numpy()).max()
    return slow / PAIRS * pairs / took, float(gap)


def statistics_alone():
    """FID and the bootstrap of KID from features that are there already."""
    rng = np.random.default_rng(0)
    small, large, other = (rng.normal(size=(n, 2048)) for n in (100, 1000, 1000))
    took = median_of(lambda: fid(small, large))
    print(f"FID of 100 x 1000 at 2048 dimensions  {took:.3f} s (target < 0.2)")
    took = median_of(lambda: replicated_kid(large, other, rng, 1000), 3)
    print(f"1000 bootstrap replicates of KID      {took:.2f} s  (target < 10)")


def memory(images, budget):
    """Largest memory of this process after all pairs, or groups, of images of 256 px with VGG16."""
    net, many = Lpips("vgg", seed=0), pictures(images, 6, 256)
    if budget:
        within(net, many, budget=budget)
    else:
        grouped_distances(net, many)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def measured_memory():
    """Peak memory does not grow with the number of images, only with the budget."""
    code = "import sys; from benchmarks.performance.scoring import memory; memory(*map(int, sys.argv[1:]))"
    print("peak memory, LPIPS VGG16 at 256 px (target: 2000 images in 8 GiB):")
    for what, count, budget in (
        ("groups, 12 images", 12, 0),
        ("groups, 36 images", 36, 0),
        ("all pairs, budget 0.25 GiB, 12 images", 12, 1 << 28),
        ("all pairs, budget 1 GiB, 40 images", 40, 1 << 30),
    ):
        asked = [sys.executable, "-c", code, str(count), str(budget)]
        peak = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        print(f"  {what:<40} {float(peak):.2f} GiB")


def main():
    statistics_alone()
    all_pairs()
    measured_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inception = random_inception(folder)
        whole_scoring(folder / "first", inception)
        against_torchmetrics(folder / "second", inception)


if __name__ == "__main__":
    main()
