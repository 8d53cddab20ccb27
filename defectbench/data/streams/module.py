"""From the decoded cache to batches: views, image sets and the one DataModule.

A batch is a function of (seed, step, rank) alone: which images, which augmentation. So a training that is killed and
resumed sees the batches that it would have seen, and the loader needs no state of its own: it starts at the step that
the module's clock shows when its iteration begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from defectbench.batch import Batch, TrainBatch, to_float
from defectbench.config import UserError
from defectbench.data.cache.prepare import Prepared
from defectbench.data.streams.classic_augment import augment
from defectbench.rng import derive, numpy_rng, torch_rng

Balance = Literal["none", "defect", "halves"]


@dataclass(frozen=True)
class View:
    """What a generator sees of an image.

    Attributes:
        name: "full" is the plain image; "contents" sets everything outside the mask to `background` (DCDGANc).
        background: grey value of the constant background, [0, 255].
        dilate: pixels by which the mask is widened first ("masks expanded", DCDGANc section 3.1).
    """

    name: Literal["full", "contents"] = "full"
    background: int = 0
    dilate: int = 0

    def apply(self, batch: Batch) -> Batch:
        """Apply the view to defect images; the mask becomes what is shown of the defect."""
        if self.name == "full":
            return batch
        mask = batch["mask"]
        if self.dilate:
            side = 2 * self.dilate + 1
            mask = torch.nn.functional.max_pool2d(mask, side, stride=1, padding=self.dilate)
        constant = self.background / 127.5 - 1
        image = torch.where(mask.bool(), batch["image"], torch.full_like(batch["image"], constant))
        return {**batch, "image": image, "mask": mask}


@dataclass(frozen=True)
class ImageSet:
    """Rows of one or more decoded caches, as one indexable set.

    Attributes:
        parts: (cache, row numbers) pairs; an index counts through them in order.
    """

    parts: tuple[tuple[Prepared, npt.NDArray[np.int64]], ...]

    @classmethod
    def of(cls, prepared: Prepared, rows: npt.NDArray[np.int64]) -> ImageSet:
        """Take some rows of one cache."""
        return cls(parts=((prepared, np.asarray(rows, dtype=np.int64)),))

    def __len__(self) -> int:
        """Count the images."""
        return sum(len(rows) for _, rows in self.parts)

    def __add__(self, other: ImageSet) -> ImageSet:
        """Put another set behind this one."""
        return ImageSet(parts=self.parts + other.parts)

    @cached_property
    def defects(self) -> npt.NDArray[np.float32]:
        """Labels, (N, K) multi-hot."""
        if not self.parts:
            return np.zeros((0, 0), dtype=np.float32)
        return np.concatenate([prepared.multi_hot(rows) for prepared, rows in self.parts])

    @cached_property
    def product(self) -> npt.NDArray[np.int64]:
        """Product indices, (N,)."""
        return np.concatenate(
            [
                np.array(
                    [
                        prepared.products.index(p)
                        for p in prepared.table["product"].to_numpy()[rows]
                    ],
                    dtype=np.int64,
                )
                for prepared, rows in self.parts
            ]
            or [np.zeros(0, dtype=np.int64)]
        )

    @cached_property
    def synthetic(self) -> npt.NDArray[np.bool_]:
        """True for images that a generator made, (N,)."""
        return np.concatenate(
            [prepared.table["source"].to_numpy()[rows] != "real" for prepared, rows in self.parts]
            or [np.zeros(0, dtype=bool)]
        ).astype(bool)

    @property
    def ids(self) -> list[str]:
        """Ids of the images, in order."""
        return [str(i) for p, rows in self.parts for i in p.table["id"].to_numpy()[rows]]

    def subset(self, indices: npt.NDArray[np.int64]) -> ImageSet:
        """Keep some images, in the order of the parts."""
        parts, start = [], 0
        for prepared, rows in self.parts:
            inside = indices[(indices >= start) & (indices < start + len(rows))] - start
            parts.append((prepared, rows[inside]))
            start += len(rows)
        return ImageSet(parts=tuple(parts))

    def take(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Read images by index, in the order asked, as floats."""
        images: npt.NDArray[np.uint8] | None = None
        boxes: list[npt.NDArray[np.float32]] = [np.zeros((0, 5), np.float32)] * len(indices)
        masks: npt.NDArray[np.uint8] | None = None
        start = 0
        for prepared, rows in self.parts:
            here = np.flatnonzero((indices >= start) & (indices < start + len(rows)))
            if images is None or masks is None:
                images = np.empty((len(indices), *prepared.images.shape[1:]), dtype=np.uint8)
                masks = np.empty((len(indices), *prepared.masks.shape[1:]), dtype=np.uint8)
            if len(here):
                where = rows[indices[here] - start]
                images[here], masks[here] = prepared.images[where], prepared.masks[where]
                marked = prepared.boxes
                if marked is not None:
                    for place, row in zip(here, where, strict=True):
                        boxes[place] = marked[row]
            start += len(rows)
        if images is None or masks is None:
            raise UserError("an empty set of images was asked for a batch; check split and defects")
        batch = Batch(
            image=to_float(torch.from_numpy(images).permute(0, 3, 1, 2)).contiguous(),
            mask=torch.from_numpy(masks).unsqueeze(1).float(),
            defects=torch.from_numpy(self.defects[indices]),
            product=torch.from_numpy(self.product[indices]),
            synthetic=torch.from_numpy(self.synthetic[indices]),
        )
        if any(prepared.boxes is not None for prepared, _ in self.parts):
            batch["boxes"] = torch.from_numpy(_padded(boxes))
        return batch

    def all(self) -> Batch:
        """Read every image."""
        return self.take(np.arange(len(self), dtype=np.int64))


def _padded(boxes: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Put the boxes of several images, (M, 5) each, into one array; rows without a box have the defect number -1."""
    rows = np.zeros((len(boxes), max(map(len, boxes), default=0), 5), dtype=np.float32)
    rows[..., 4] = -1
    for row, found in zip(rows, boxes, strict=True):
        row[: len(found)] = found
    return rows


@dataclass(frozen=True)
class Stream:
    """An endless, seeded sequence of batches from one image set.

    Attributes:
        images: what to draw from.
        name: its part of the seed, e.g. "defect".
        view: applied to each batch.
        augment: names of augmentations, in order.
        balance: "none" passes through shuffled epochs; "defect" draws the label uniformly, then an image of it;
            "halves" draws normal or defective, then an image of that kind.
    """

    images: ImageSet
    name: str
    view: View = View()
    augment: tuple[str, ...] = ()
    balance: Balance = "none"

    @cached_property
    def _classes(self) -> list[npt.NDArray[np.int64]]:
        keys = [tuple(row) for row in self.images.defects]
        return [
            np.array([i for i, k in enumerate(keys) if k == key], dtype=np.int64)
            for key in sorted(set(keys), reverse=True)
        ]

    @cached_property
    def _halves(self) -> list[npt.NDArray[np.int64]]:
        defective = np.asarray((self.images.defects > 0).any(axis=1))
        return [half for half in map(np.flatnonzero, (~defective, defective)) if len(half)]

    def indices(self, seed: int, step: int, batch: int) -> npt.NDArray[np.int64]:
        """Choose the images of one step, (batch,)."""
        if self.balance == "halves":
            rng = numpy_rng(seed, self.name, "halves", step)
            kinds = rng.integers(len(self._halves), size=batch)
            return np.array(
                [self._halves[k][rng.integers(len(self._halves[k]))] for k in kinds], dtype=np.int64
            )
        if self.balance == "defect":
            rng = numpy_rng(seed, self.name, "balanced", step)
            kinds = rng.integers(len(self._classes), size=batch)
            return np.array(
                [self._classes[k][rng.integers(len(self._classes[k]))] for k in kinds],
                dtype=np.int64,
            )
        n = len(self.images)
        places = np.arange(step * batch, (step + 1) * batch)
        chosen = np.empty(batch, dtype=np.int64)
        for epoch in np.unique(places // n):
            order = numpy_rng(seed, self.name, "epoch", int(epoch)).permutation(n)
            here = places // n == epoch
            chosen[here] = order[places[here] % n]
        return chosen

    def at(self, seed: int, step: int, batch: int, rank: int = 0, world: int = 1) -> Batch:
        """Make the batch of one step; each rank gets its slice of the same global batch.

        Args:
            seed: seed of the training.
            step: step of the stage, from 0.
            batch: images over all ranks; a multiple of `world`.
            rank: this process.
            world: number of processes.
        """
        mine = self.indices(seed, step, batch)[rank::world]
        rng = torch_rng(seed, self.name, "augment", step, rank)
        return augment(self.view.apply(self.images.take(mine)), self.augment, rng)


class StepSampler(Sampler[int]):
    """Counts steps from where the clock stands when the iteration begins, up to `stop`."""

    def __init__(self, start: Callable[[], int], stop: int) -> None:
        """Keep how to ask for the first step."""
        self._start, self._stop = start, stop

    def __iter__(self) -> Iterator[int]:
        """Count."""
        return iter(range(self._start(), self._stop))


class StepBatches(Dataset[Any]):
    """Batches by step, so that loader workers can make them ahead."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        """Keep the function that makes a step's batch."""
        self._make = make

    def __getitem__(self, step: int) -> Any:
        """Make the batch of `step`."""
        return self._make(step)


class DefectData(LightningDataModule):
    """The one DataModule: generators and tasks train from it.

    Args:
        streams: by name; one stream named "train" gives plain batches, otherwise batches are dictionaries of streams.
        batch: images per step over all ranks (of each stream).
        seed: seed of the training; a stage adds its name.
        workers: loader processes; 0 makes batches in the training process.
    """

    def __init__(
        self, streams: Sequence[Stream], *, batch: int, seed: int, workers: int = 0
    ) -> None:
        super().__init__()
        self.streams = {stream.name: stream for stream in streams}
        self.batch, self.seed, self.workers = batch, seed, workers
        self.wanted: frozenset[str] = frozenset(self.streams)
        self.stage = "train"
        self.steps = 0
        self.start: Callable[[], int] = lambda: 0

    def begin(
        self, stage: str, wanted: frozenset[str], steps: int, start: Callable[[], int]
    ) -> None:
        """Set what the next training loop reads.

        Args:
            stage: name of the stage, part of its seed.
            wanted: names of the streams that its batches hold.
            steps: number of steps of the stage.
            start: gives the step to begin at, e.g. the module's clock.
        """
        missing = wanted - set(self.streams)
        if missing:
            raise UserError(
                f"training needs {', '.join(sorted(missing))} images, and there are none"
            )
        self.stage, self.wanted, self.steps, self.start = stage, wanted, steps, start

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch | TrainBatch:
        """Make the batch of one step."""
        seed = derive(self.seed, "data", self.stage)
        made = {
            name: self.streams[name].at(seed, step, self.batch, rank, world)
            for name in sorted(self.wanted)
        }
        if set(made) == {"train"}:
            return made["train"]
        streams: TrainBatch = {}
        if "defect" in made:
            streams["defect"] = made["defect"]
        if "normal" in made:
            streams["normal"] = made["normal"]
        return streams

    def train_dataloader(self) -> DataLoader[Any]:
        """Give the loader of the current stage; it starts at the step the clock shows."""
        rank, world = (0, 1)
        if self.trainer is not None:
            rank, world = self.trainer.global_rank, self.trainer.world_size
        if self.batch % world:
            raise UserError(f"batch {self.batch} does not divide among {world} devices; change one")
        return DataLoader(
            StepBatches(lambda step: self.at(step, rank, world)),
            batch_size=None,
            sampler=StepSampler(self.start, self.steps),
            num_workers=self.workers,
            multiprocessing_context="fork" if self.workers else None,
            persistent_workers=False,
        )


def batches(images: ImageSet, batch: int) -> Iterator[Batch]:
    """Read a set once, in order, for evaluation; the last batch may be short."""
    for start in range(0, len(images), batch):
        stop = min(start + batch, len(images))
        yield images.take(np.arange(start, stop, dtype=np.int64))


def contents_background(images: ImageSet, limit: int = 64) -> int:
    """Choose the constant background on which the defects stand out best: black, mid grey or white.

    Departs: DCDGANc always uses black, where dark defects vanish (facts of section 4, pitfalls). Of 0, 128 and 255 the
    value whose distance to the defect pixels' grey values has the largest 20th percentile is taken.

    Args:
        images: training images with masks.
        limit: how many of them to look at.

    Returns:
        a grey value in [0, 255].
    """
    batch = images.take(np.arange(min(len(images), limit), dtype=np.int64))
    grey: Tensor = batch["image"].mean(1, keepdim=True).add(1).mul(127.5)
    pixels = grey[batch["mask"].bool()]
    if not len(pixels):
        return 0
    return max(
        (0, 255, 128),
        key=lambda value: float(torch.quantile((pixels - value).abs()[:1_000_000], 0.2)),
    )


def tensor_tree(batch: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """Apply `move` to every tensor of nested dictionaries."""
    if isinstance(batch, dict):
        return {key: tensor_tree(value, move) for key, value in batch.items()}
    return move(batch)
