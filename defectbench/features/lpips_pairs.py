"""All-pairs LPIPS distances of image sets, in bounded memory, with every image embedded once.

`within` and `between` keep embeddings of all images, which must fit the budget. Beyond it,
`ClusterSums` keeps only sums, from which mean distances follow exactly: sum over pairs = N sum |f|^2 - |sum f|^2.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defectbench.features.images import ImageSet
from defectbench.features.lpips import Lpips
from defectbench.metrics.base import Floats

BUDGET = 4 << 30  # bytes of embeddings held at once
COLUMNS = 1 << 16  # columns per product: float32 inside, float64 across
ROW_BLOCKS = 8  # of a square of distances, of which only the upper half is computed


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No gradients and no TF32: published numbers are float32 numbers."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def load_batch(images: ImageSet, indices: Sequence[int]) -> Tensor:
    """Images of one size as (n, 3, H, W) uint8.

    Raises:
        ValueError: their sizes differ; names two.
    """
    pixels = [images.load(index) for index in indices]
    first = pixels[0].shape
    for index, image in zip(indices, pixels, strict=True):
        if image.shape != first:
            raise ValueError(
                f"image {indices[0]} is {first[2]} x {first[1]} px but image {index} is "
                f"{image.shape[2]} x {image.shape[1]} px; LPIPS compares one size: resize them"
            )
    return torch.from_numpy(np.stack(pixels))


def batch_size(height: int, width: int, device: torch.device) -> int:
    """Images per forward pass, so that the widest layer takes 64 MiB on a CPU and 1 GiB on a GPU."""
    room = (64 if device.type == "cpu" else 1024) << 20
    return int(np.clip(room // (64 * 4 * height * width), 1, 64))


class Embedder:
    """Reads images, embeds them and subtracts a fixed vector, which keeps digits in products."""

    def __init__(self, net: Lpips, images: ImageSet, *, centre: Tensor | None = None) -> None:
        """Look at the first image for the size.

        Args:
            net: the network, on the device to be used.
            images: the set.
            centre: (D,) what is subtracted; None takes the mean of the first batch.
        """
        self.net, self.images, self.centre = net, images, centre
        self.device = net.shift.device
        height, width = images.load(0).shape[1:]
        self.dimensions = net.dimensions(height, width)
        self.batch = batch_size(height, width, self.device)

    def stream(self, indices: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
        """Batches of indices and their centred embeddings (n, D)."""
        for start in range(0, len(indices), self.batch):
            some = [int(index) for index in indices[start : start + self.batch]]
            rows = self.net(load_batch(self.images, some).to(self.device))
            if self.centre is None:
                self.centre = rows.mean(dim=0)
            yield some, rows.sub_(self.centre)

    def all(self, indices: Sequence[int]) -> Tensor:
        """Centred embeddings (n, D) of these images, held at once."""
        held = torch.empty(len(indices), self.dimensions, device=self.device)
        start = 0
        for some, rows in self.stream(indices):
            held[start : start + len(some)] = rows
            start += len(some)
        return held


def squared_distances(first: Tensor, second: Tensor) -> Floats:
    """Squared Euclidean distances (N, M) between embeddings (N, D) and (M, D)."""
    product = torch.zeros(len(first), len(second), dtype=torch.float64, device=first.device)
    for start in range(0, first.shape[1], COLUMNS):
        columns = slice(start, start + COLUMNS)
        product += (first[:, columns] @ second[:, columns].T).double()
    gaps = _squares(first)[:, None] + _squares(second) - 2 * product
    return np.asarray(gaps.clamp_(min=0).cpu().numpy())


def _squares(rows: Tensor) -> Tensor:
    """Squared lengths (N,), float64."""
    total = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for start in range(0, rows.shape[1], COLUMNS):
        total += rows[:, start : start + COLUMNS].square().sum(dim=1).double()
    return total


def _square(rows: Tensor) -> Floats:
    """Squared distances (N, N) within one set, each pair computed once."""
    count = len(rows)
    distances = np.zeros((count, count))
    edges = np.linspace(0, count, min(ROW_BLOCKS, count) + 1).astype(int)
    blocks = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    for i, left in enumerate(blocks):
        for right in blocks[i:]:
            distances[left, right] = squared_distances(rows[left], rows[right])
            distances[right, left] = distances[left, right].T
    np.fill_diagonal(distances, 0.0)
    return (distances + distances.T) / 2  # blocks on the diagonal differ in their last bits


def within(net: Lpips, images: ImageSet, *, budget: int = BUDGET) -> Floats:
    """LPIPS distances (N, N) between all images of a set.

    Costs N forward passes. Sets whose embeddings do not fit go through `lpips_streams.grouped_distances`.

    Args:
        net: the network, on the device to be used.
        images: N >= 1 images of one size.
        budget: bytes of embeddings that may be held.

    Raises:
        ValueError: sizes differ or are too small for the network, or the embeddings do not fit the budget.
    """
    with exact_arithmetic():
        source = Embedder(net, images)
        check_fit(source.dimensions, len(images), budget)
        return _square(source.all(range(len(images))))


def between(
    net: Lpips, images: ImageSet, references: ImageSet, *, inner: bool, budget: int = BUDGET
) -> tuple[Floats, Floats | None]:
    """LPIPS distances of images to references, and among the images, from one pass over both.

    Args:
        net: the network, on the device to be used.
        images: N images.
        references: K images of the same size, whose embeddings are held.
        inner: whether the distances among the images are wanted as well; only where all
            embeddings fit the budget (see `fits`).
        budget: bytes of embeddings that may be held.

    Returns:
        (N, K) distances, and (N, N) ones or None.

    Raises:
        ValueError: sizes differ, or the embeddings do not fit the budget.
    """
    with exact_arithmetic():
        source = Embedder(net, references)
        check_fit(source.dimensions, len(references), budget)
        near = source.all(range(len(references)))
        far = Embedder(net, images, centre=source.centre)
        if far.dimensions != source.dimensions:
            raise ValueError("images and references differ in size; resize one to the other")
        if not inner:
            stream = far.stream(range(len(images)))
            return np.concatenate([squared_distances(rows, near) for _, rows in stream]), None
        check_fit(source.dimensions, len(references) + len(images), budget)
        held = far.all(range(len(images)))
        return squared_distances(held, near), _square(held)


def fits(net: Lpips, images: ImageSet, count: int, *, budget: int = BUDGET) -> bool:
    """Whether embeddings of `count` images of that size fit the budget."""
    height, width = images.load(0).shape[1:]
    return 4 * count * net.dimensions(height, width) <= budget


def check_fit(dimensions: int, count: int, budget: int) -> None:
    """Refuse more embeddings than may be held.

    Raises:
        ValueError: names how much they need.
    """
    need = 4 * dimensions * count
    if need > budget:
        raise ValueError(
            f"embeddings of {count} images take {need / 2**30:.1f} GiB, over the budget of "
            f"{budget / 2**30:.1f} GiB; raise the budget, resize the images or use fewer references"
        )


class ClusterSums:
    """Sums of embeddings by cluster and group: all that mean distances need.

    Attributes:
        counts: (K, G) images added.
    """

    def __init__(self, clusters: int, groups: int, dimensions: int, device: torch.device) -> None:
        """Start from nothing: K clusters of G groups of embeddings of D numbers."""
        self.shape = (clusters, groups)
        self.counts = np.zeros(self.shape, np.int64)
        self._sums = torch.zeros(clusters * groups, dimensions, device=device)
        self._squares = torch.zeros(clusters * groups, dtype=torch.float64, device=device)

    def add(
        self, rows: Tensor, clusters: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
    ) -> None:
        """Add embeddings (n, D) to their clusters and groups (n,)."""
        np.add.at(self.counts, (clusters, groups), 1)
        slots, squares = clusters * self.shape[1] + groups, _squares(rows)
        for slot in np.unique(slots):  # index_add_ would sum in any order on a GPU
            mine = torch.as_tensor(np.flatnonzero(slots == slot), device=rows.device)
            self._sums[slot] += rows[mine].sum(dim=0)
            self._squares[slot] += squares[mine].sum()

    def means(self) -> Floats:
        """Mean distances (K, G, G) between groups of a cluster; the diagonal: within a group.

        nan where a group is empty, or, on the diagonal, holds one image.
        """
        clusters, groups = self.shape
        found = np.full((clusters, groups, groups), np.nan)
        squares = self._squares.cpu().numpy().reshape(self.shape)
        for k in range(clusters):
            rows = self._sums[k * groups : (k + 1) * groups]
            gram = np.zeros((groups, groups))
            for start in range(0, rows.shape[1], COLUMNS):
                block = rows[:, start : start + COLUMNS].double()
                gram += (block @ block.T).cpu().numpy()
            n, q = self.counts[k].astype(np.float64), squares[k]
            with np.errstate(divide="ignore", invalid="ignore"):
                found[k] = (q / n)[:, None] + q / n - 2 * gram / np.outer(n, n)
                own = 2 * (n * q - np.diag(gram)) / (n * (n - 1))
            np.fill_diagonal(found[k], np.where(n > 1, own, np.nan))
        return found
