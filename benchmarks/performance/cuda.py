"""What a GPU gains from band matrices and from convolutions made for second derivatives, in turns; nothing without CUDA.

Seen on one H100 while 14 trainings of the preset `small` of house/mtd shared it (batch 20 or 32, float32), as medians of
seconds per step before and after both changes, in two runs on two such machines: StyleGAN2 1.10 and 0.60,
StyleGAN3 1.44 and 0.59, ImbDef-GAN 1.71 and 0.74, StarGAN v2 1.78 and 1.13. A first step took 9 to 16 seconds, and then
5: cuDNN looks long for a way to convolve by groups.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch

from defectbench.nn.blocks import resample
from defectbench.nn.stylegan.style_critic import Critic
from defectbench.nn.stylegan.stylegan3 import FilteredLeakyReLU, plan
from defectbench.nn.training import penalties

SIZE, IMAGES, ROUNDS, STEPS = 128, 16, 7, 5


def milliseconds(call: Callable[[], None], device: str) -> float:
    """Time a few calls, to the end of what they set going."""
    start = time.perf_counter()
    for _ in range(STEPS):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / STEPS


def print_turns(name: str, old: Callable[[], None], new: Callable[[], None], device: str) -> None:
    """Warm both up, let them take turns, and print medians and their ratio."""
    for call in (old, new):
        milliseconds(call, device)
    pairs = [(milliseconds(old, device), milliseconds(new, device)) for _ in range(ROUNDS)]
    before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name}: {before:.1f} ms as PyTorch does it, {after:.1f} ms ours, {after / before:.2f}")


def penalty(device: str) -> None:
    """Take R1 of StyleGAN2's critic, forwards and backwards."""
    critic = Critic(size=SIZE, labels=0, base=4096, most=128).to(device)
    images = torch.randn(IMAGES, 3, SIZE, SIZE, device=device)

    def step() -> None:
        penalties.r1(critic, images)[0].backward()

    def plainly() -> None:
        with mock.patch.object(penalties, "DerivableConvolutions", penalties.nullcontext):
            step()

    print_turns("R1 of StyleGAN2's critic", plainly, step, device)


def filters(device: str) -> None:
    """Filter as StyleGAN3 does around an activation, forwards and backwards."""
    signals = plan(SIZE, 10, 2048, 64)
    layer = FilteredLeakyReLU(signals[8], signals[9], grown=2).to(device)
    side = signals[8].size + 2
    x = torch.randn(IMAGES, signals[8].channels, side, side, device=device, requires_grad=True)

    def step() -> None:
        layer(x).sum().backward()

    def plainly() -> None:
        with mock.patch.object(resample, "by_bands", return_value=False):
            step()

    print_turns("a layer's filters of StyleGAN3", plainly, step, device)


def main(device: str = "cuda") -> None:
    if device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device")
        return
    torch.set_float32_matmul_precision("high")
    penalty(device)
    filters(device)


if __name__ == "__main__":
    main()
