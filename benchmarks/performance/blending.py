"""Milliseconds per 256 px blend, and the Poisson solver beside a plain sparse LU.

Run with ``python benchmarks/performance/blending.py``. One line per measurement, processor
time, the best of several runs; set OMP_NUM_THREADS=1, else the waiting of idle threads counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from defectbench.imaging.blending import (
    alpha_blend,
    improved_poisson_blend,
    poisson_blend,
    solve_poisson,
)
from defectbench.imaging.watershed import content_mask

SIDE = 256
RUNS = 7


def milliseconds(call: Callable[[], object]) -> float:
    """Return the processor time of the cheapest of several calls."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def masks() -> dict[str, np.ndarray]:
    """Return masks of typical sizes and shapes."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = {
        f"disc of {share:.0%}": np.hypot(y - 128, x - 128) < SIDE * np.sqrt(share / np.pi)
        for share in (0.01, 0.03, 0.1, 0.3)
    }
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 8)
    for share in (0.1, 0.3):
        found[f"blobs of {share:.0%}"] = noise > np.quantile(noise, 1 - share)
    found["scratch of 3%"] = (np.abs(y - x) < 6) & (y > 20) & (y < 220)
    return found


def sparse_lu(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Solve Laplace's equation as usual: a sparse LU and three right-hand sides."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    across = number[:, :-1], number[:, 1:]
    down = number[:-1], number[1:]
    first, second = (
        np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(across, down, strict=True)
    )
    both = (first >= 0) & (second >= 0)
    first, second = first[both], second[both]
    diagonal = np.arange(mask.sum())
    matrix = sparse.csc_matrix(
        (
            np.repeat([4.0, -1.0], [len(diagonal), 2 * len(first)]),
            (np.concatenate([diagonal, first, second]), np.concatenate([diagonal, second, first])),
        )
    )
    outer = np.where(mask[..., None], 0.0, values)
    right = ndimage.convolve(outer, [[[0], [1], [0]], [[1], [0], [1]], [[0], [1], [0]]])
    result = values.copy()
    result[mask] = splu(matrix).solve(right[mask])
    return result


def main() -> None:
    rng = np.random.default_rng(1)
    defect = rng.integers(30, 90, size=(SIDE, SIDE, 3), dtype=np.uint8)
    normal = rng.integers(140, 200, size=(SIDE, SIDE, 3), dtype=np.uint8)
    values = normal.astype(float) - defect
    for name, mask in masks().items():
        for blend in (alpha_blend, poisson_blend, improved_poisson_blend):
            taken = milliseconds(lambda b=blend, m=mask: b(defect, normal, m))
            print(f"{blend.__name__:24} {name:14} {taken:8.1f} ms")
        inside = mask.copy()
        inside[[0, -1]] = inside[:, [0, -1]] = False
        ours = milliseconds(lambda m=inside: solve_poisson(0.0, values, m, tolerance=0.25))
        usual = milliseconds(lambda m=inside: sparse_lu(values, m))
        error = np.abs(
            solve_poisson(0.0, values, inside, tolerance=0.25) - sparse_lu(values, inside)
        ).max()
        print(
            f"{'solve_poisson':24} {name:14} {ours:8.1f} ms, sparse LU {usual:.1f} ms, "
            f"ratio {usual / ours:.1f}, largest difference {error:.1e} grey levels"
        )
    content = np.where(masks()["blobs of 10%"][..., None], defect + 100, 0).astype(np.uint8)
    print(
        f"{'content_mask':24} {'blobs of 10%':14} {milliseconds(lambda: content_mask(content, 0)):8.1f} ms"
    )


if __name__ == "__main__":
    main()
