"""The image sets of a score job, at training resolution: unseen and training images, synthetic ones, copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from defectbench.data.cache.prepared import Prepared
from defectbench.features.images import ArrayImages, ImageSet, MaskedImages, Pixels
from defectbench.metrics.base import Against, Mix
from defectbench.rng import numpy_rng
from defectbench.stages.image_values import Indices, Looked


@dataclass(frozen=True)
class Side:
    """Some images of a cache.

    Attributes:
        prepared: the cache.
        rows: which images, in order; one may come more than once.
        real: the cache in which the sources of synthetic images lie; None for real images.
        of_training: for copies, the place of each among the training images.
    """

    prepared: Prepared
    rows: Indices
    real: Prepared | None = None
    of_training: Indices = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)

    @cached_property
    def images(self) -> Pixels:
        """(N, S, S, 3) uint8."""
        return np.ascontiguousarray(self.prepared.images[self.rows])

    @cached_property
    def masks(self) -> npt.NDArray[np.bool_]:
        """(N, S, S); empty where an image has no usable mask."""
        return np.asarray(self.prepared.masks[self.rows] > 0)

    @property
    def labels(self) -> Sequence[tuple[str, ...]]:
        """Defects of each image."""
        return list(self.prepared.table["defects"].iloc[self.rows])

    def image_set(self) -> ArrayImages:
        """The images as the feature store reads them."""
        return ArrayImages(self.images)

    def by_defect(self, masked: bool) -> dict[str, ImageSet]:
        """Images by defect; those with several stand under each.

        Args:
            masked: whether everything outside the masks is set to zero, and images without one left out.
        """
        found: dict[str, ImageSet] = {}
        for defect in self.prepared.defects:
            chosen = np.array([defect in names for names in self.labels], dtype=bool)
            if masked:
                chosen &= self.masks.any(axis=(1, 2))
            if chosen.any():
                images = ArrayImages(self.images[chosen])
                found[defect] = MaskedImages(images, self.masks[chosen]) if masked else images
        return found

    def looked(self) -> Looked:
        """The images with their masks and sources."""
        sources, real = self._sources(), self.real or self.prepared
        masked = self.masks.any(axis=(1, 2))
        return Looked(
            images=lambda some: self.images[some],
            masks=lambda some: self.masks[some],
            sources=lambda some: np.asarray(real.images[sources[some]]),
            everyone=np.arange(len(self), dtype=np.int64),
            masked=np.flatnonzero(masked).astype(np.int64),
            sourced=np.flatnonzero(masked & (sources >= 0)).astype(np.int64),
        )

    def _sources(self) -> Indices:
        """Row in `real` of the normal image that each was made from; -1 where there is none."""
        if self.real is None:
            return np.full(len(self), -1, dtype=np.int64)
        places = {name: row for row, name in enumerate(self.real.table["id"])}
        normals = self.prepared.table["normal"].iloc[self.rows]
        return np.array([places.get(name, -1) for name in normals], dtype=np.int64)


def scored_sets(real: Prepared, synthetic: Prepared | None, seed: int) -> dict[str, Side]:
    """Give the defective test images ("unseen"), the defective training images ("training"), and what is scored.

    That is, where there are synthetic images, "generated" and "copies". A copy replays a training image of the defects
    of the synthetic image in its place, as the generator `memoriser` does; where there is none of these, any. So copies
    follow from the labels asked for and the seed, whatever the generator.
    """
    sides = {
        name: Side(real, real.rows(split=part, defective=True))
        for name, part in (("unseen", "test"), ("training", "train"))
    }
    if synthetic is None:
        return sides
    training = sides["training"]
    generated = Side(synthetic, np.arange(len(synthetic), dtype=np.int64), real=real)
    rng = numpy_rng(seed, "copies")
    places: dict[tuple[str, ...], Indices] = {}
    for label in dict.fromkeys(generated.labels):
        alike = np.flatnonzero([names == label for names in training.labels])
        places[label] = alike if len(alike) else np.arange(len(training))
    chosen = np.array(
        [places[label][rng.integers(len(places[label]))] for label in generated.labels],
        dtype=np.int64,
    )
    copies = Side(real, training.rows[chosen], of_training=chosen)
    return {**sides, "generated": generated, "copies": copies}


def mixes(sides: Mapping[str, Side]) -> dict[Against, Mix] | None:
    """Labels of the unseen and of the training images, with weights that mix them as the generated ones'.

    A label that no generated image has weighs nothing. A side that shares no label with the generated images has none.

    Args:
        sides: as `scored_sets` gives.

    Returns:
        labels by side; None without generated images.
    """
    if "generated" not in sides:
        return None
    wanted = Counter(sides["generated"].labels)
    found: dict[Against, Mix] = {}
    kinds: tuple[Against, ...] = ("unseen", "training")
    for kind in kinds:
        labels = sides[kind].labels
        there = Counter(labels)
        weights = np.array([wanted[label] / there[label] for label in labels])
        if weights.sum():
            number = {label: at for at, label in enumerate(there)}
            found[kind] = Mix(np.array([number[label] for label in labels]), weights)
    return found
