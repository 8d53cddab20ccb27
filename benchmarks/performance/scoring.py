"""What scoring costs beside the networks' bare forward passes, beside torchmetrics, and a second time.

Images are made up and weights are random, so only times mean anything. `--images N` is the number of real and of
generated images; the targets are for 1000, where everything that is not a forward pass is dearest, and which take about
twenty minutes on two quiet cores. Times are CPU seconds on one thread, in which other users of the machine hardly
count, and ratios are medians over rounds that take both sides in turn.
"""

from __future__ import annotations

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

from defectbench.features.extractors import InceptionTF2015
from defectbench.features.feature_store import FeatureStore
from defectbench.features.images import ArrayImages
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import exact_arithmetic, within
from defectbench.features.lpips_streams import grouped_distances
from defectbench.metrics.base import stored
from defectbench.metrics.fid import fid
from defectbench.metrics.kid import replicated_kid
from defectbench.metrics.parts import catalogue
from defectbench.metrics.parts.scoring import score_sets

SIZE = 64
ROUNDS = 3
LARGE = 200  # images from which on one round is enough
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
    """CPU time spent inside the forward passes of some modules."""

    def __init__(self, *modules):
        self.seconds, self.images = 0.0, 0
        for module in modules:
            module.register_forward_pre_hook(self._start)
            module.register_forward_hook(self._stop)

    def _start(self, _module, _given):
        self._began = time.thread_time()

    def _stop(self, _module, given, _out):
        self.seconds += time.thread_time() - self._began
        self.images += len(given[0])


def timed(action):
    """CPU seconds of the process, all its threads together, and what `action` gives."""
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


def median_of(action, rounds=5):
    return statistics.median(timed(action)[0] for _ in range(rounds))


def rounds_of(images):
    return 1 if images >= LARGE else ROUNDS


def whole_scoring(folder, inception, images):
    """FID, KID, IS, precision and recall, pairwise LPIPS; then a second generator."""
    net = Lpips("vgg", seed=0)
    watch = Stopwatch(inception, net)
    metrics = [
        catalogue.find(name)
        for name in ("fid", "kid", "is", "precision_recall_k3", "lpips_vgg_random_s0_pairwise")
    ]
    real = pictures(images, 0)

    def score(store, seed):
        first = store.get(real, [inception, net])
        second = store.get(pictures(images, seed), [inception, net])
        return score_sets(first, second, metrics, np.random.default_rng(0))

    wholes, seconds = [], []
    for number in range(rounds_of(images)):
        store = FeatureStore(folder / str(number))
        watch.seconds, watch.images = 0.0, 0
        took, _ = timed(lambda store=store: score(store, 1))
        wholes.append(took / watch.seconds)
        again, _ = timed(lambda store=store: score(store, 2))
        seconds.append(again / took)
    print(f"{images} x {images} images, {SIZE} px, Inception and LPIPS VGG16, with intervals:")
    print(
        f"  all / bare forward passes          {statistics.median(wholes):.3f}   "
        f"(target <= 1.10; {watch.images} passes for two generators)"
    )
    print(
        f"  second generator / first           {statistics.median(seconds):.3f}   (target <= 0.55)"
    )


def all_but_passes(inception, images=1000, sample=32):
    """What the same costs at full size besides forward passes, which are replayed or left out, beside those of a sample."""
    net, few = Lpips("vgg", seed=0), pictures(sample, 7)
    batch = torch.from_numpy(np.stack([few.load(i) for i in range(sample)]))
    with exact_arithmetic():
        bare = timed(lambda: (inception(batch), net(batch)))[0] / sample
    rng = np.random.default_rng(0)
    metrics = [catalogue.find(n) for n in ("fid", "kid", "is", "precision_recall_k3")]
    widths = {"inception_tf2015_pool3": 2048, "inception_tf2015_logits": 1008}
    sets = [{n: rng.normal(size=(images, w)) for n, w in widths.items()} for _ in range(2)]
    statistic, _ = timed(lambda: score_sets(*sets, metrics, rng))
    replay(net)
    watch = Stopwatch(net)
    pairs, distances = timed(lambda: within(net, pictures(images, 8)))
    pairs -= watch.seconds
    diverse = [catalogue.find("lpips_vgg_random_s0_pairwise")]
    found = {"lpips_vgg_random_s0": stored(distances)}
    statistic += timed(lambda: score_sets(found, found, diverse, rng))[0]
    first, second = (
        sets * (images * bare + pairs) + statistic for sets in (2, 1)
    )  # a second generator brings one set
    print(f"{images} x {images} images, passes extrapolated from {sample}:")
    print(
        f"  all / bare forward passes          {first / (2 * images * bare):.3f}   (target <= 1.10)"
    )
    print(f"  second generator / first           {second / first:.3f}   (target <= 0.55)")


class Part(torch.nn.Module):
    """One layer of the shared network, as torchmetrics wants a feature extractor."""

    num_features = 2048

    def __init__(self, inception, part):
        super().__init__()
        self.inner, self.part = inception, part

    def forward(self, images):
        return self.inner(images)[:, self.inner.parts[self.part]]


def against_torchmetrics(folder, inception, images):
    """FID, KID and IS, ours with intervals, from the same network."""
    real, fake = pictures(images, 3), pictures(images, 4)
    metrics = [catalogue.find(name) for name in ("fid", "kid", "is")]

    def ours(store):
        sets = [store.get(some, [inception]) for some in (real, fake)]
        return score_sets(*sets, metrics, np.random.default_rng(0))

    watch = Stopwatch(inception)
    ratios, overheads = [], []
    for number in range(rounds_of(images)):
        watch.seconds, watch.images = 0.0, 0
        store = FeatureStore(folder / str(number))
        mine, _ = timed(lambda store=store: ours(store))
        passes, inside = watch.images, watch.seconds
        others, _ = timed(lambda: theirs(inception, real, fake))
        ratios.append(others / mine)
        overheads.append(mine / inside)
    print(f"FID + KID + IS of {images} x {images}: torchmetrics / ours")
    print(
        f"  time                               {statistics.median(ratios):.2f}    (target >= 2.4)"
    )
    print(f"  forward passes                     {(watch.images - passes) / passes:.2f}")
    print(f"  ours / its forward passes          {statistics.median(overheads):.3f}")


def theirs(inception, real, fake):
    """The three metrics of torchmetrics, each with its own pass through the same network."""
    pool, logits = "inception_tf2015_pool3", "inception_tf2015_logits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they say that they keep all features
        both = [
            FrechetInceptionDistance(Part(inception, pool)),
            KernelInceptionDistance(Part(inception, pool), subset_size=min(len(real), 1000)),
        ]
        alone = InceptionScore(Part(inception, logits))
    with torch.inference_mode():
        for images, is_real in ((real, True), (fake, False)):
            for start in range(0, len(images), 32):
                rows = range(start, min(start + 32, len(images)))
                batch = torch.from_numpy(np.stack([images.load(i) for i in rows]))
                for metric in both:
                    metric.update(batch, real=is_real)
                if not is_real:
                    alone.update(batch)
    return [metric.compute() for metric in [*both, alone]]


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


def replay(net):
    """Let a network run once per batch size and then give the same rows again: its memory without its time."""
    known, forward = {}, net.forward

    def again(images):
        if len(images) not in known:
            known[len(images)] = forward(images)
        return known[len(images)].clone()

    net.forward = again


def memory(images, budget, replayed):
    """Largest memory of this process after all pairs, or groups, of images of 256 px with VGG16."""
    net, many = Lpips("vgg", seed=0), pictures(images, 6, 256)
    if replayed:
        replay(net)
    if budget:
        within(net, many, budget=budget)
    else:
        grouped_distances(net, many)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def measured_memory():
    """Peak memory does not grow with the number of images, only with the budget."""
    code = "import sys; from benchmarks.performance.scoring import memory; memory(*map(int, sys.argv[1:]))"
    print("peak memory, LPIPS VGG16 at 256 px (target: 2000 images in 8 GiB):")
    for what, count, budget, replayed in (
        ("groups, 12 images", 12, 0, 0),
        ("groups, 36 images", 36, 0, 0),
        ("groups, 2000 images, one pass replayed", 2000, 0, 1),
        ("all pairs, budget 0.25 GiB, 12 images", 12, 1 << 28, 0),
        ("all pairs, budget 1 GiB, 40 images", 40, 1 << 30, 0),
    ):
        asked = [sys.executable, "-c", code, str(count), str(budget), str(replayed)]
        peak = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        print(f"  {what:<40} {float(peak):.2f} GiB")


def main(images: int = 64):
    torch.set_num_threads(1)
    statistics_alone()
    all_pairs()
    measured_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inception = random_inception(folder)
        all_but_passes(inception)
        whole_scoring(folder / "first", inception, images)
        against_torchmetrics(folder / "second", inception, images)


if __name__ == "__main__":
    main()
