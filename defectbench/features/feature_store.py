"""Features of image sets on disk: extracted once, found again by content.

A set's features are filed under a hash of the images' content and resize rule and of the extractor's
name, weights and resize rule. One pass over the images feeds every extractor whose features are
missing. Images are taken in chunks; a finished chunk is a file, written under a temporary name and
renamed. So an interrupted extraction goes on where it stopped, several processes may share the
chunks of a set (process r of w takes every w-th) or do the same ones at once without harm, and the
numbers are bitwise the same whatever the number of processes: what one forward pass sees does not
depend on it. The chunks of a complete set are joined into one file, read memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from defectbench.features.extractors import FeatureExtractor
from defectbench.features.images import HeldImages, ImageSet, Pixels
from defectbench.features.lpips import Lpips
from defectbench.features.lpips_pairs import BUDGET, exact_arithmetic, fits, within
from defectbench.features.lpips_streams import grouped_distances
from defectbench.files import replacing, set_aside
from defectbench.metrics.base import Array, stored

CHUNK = 32  # images per file, and per forward pass unless they are large
PIXELS = CHUNK * 256**2  # per forward pass: larger images go through a network a few at a time
REVISION = 1  # raised when the same images and weights would give other numbers
AHEAD = 2  # chunks decoded in advance
Extractor = FeatureExtractor | Lpips


class FeatureStore:
    """A folder of features; any number of processes may read and write it at once."""

    def __init__(
        self, root: Path, *, chunk: int = CHUNK, workers: int = 2, budget: int = BUDGET
    ) -> None:
        """Name the folder; it is made when something is written.

        Args:
            root: the folder.
            chunk: images per file and per forward pass; part of no key, but low bits depend on it.
            workers: threads that decode images.
            budget: bytes of LPIPS embeddings held at once; a larger set is stored as groups.
        """
        self.root, self.chunk, self.workers, self.budget = root, chunk, workers, budget

    def key(self, digest: str, images: ImageSet, extractor: Extractor) -> str:
        """What features of these images are filed under.

        Args:
            digest: `images.digest()`, which is dear enough to be taken once.
            images: the set.
            extractor: whose features.
        """
        told = [REVISION, digest, len(images), images.resize]
        told += [extractor.name, extractor.sha256, extractor.resize]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]

    def get(
        self, images: ImageSet, extractors: Sequence[Extractor], *, device: str = "cpu"
    ) -> dict[str, Array]:
        """Features of a set by name of part, extracted now where they are missing.

        Args:
            images: the set.
            extractors: what to extract. Ordinary ones give (N, D) float32 under the name of each of
                their parts; LPIPS networks give distances as `pairwise.stored` keeps them.
            device: where missing features are computed.

        Raises:
            ValueError: an extractor refuses the images or gives NaN; names the image.
        """
        digest = images.digest()
        if any(extractor.gives == "distances" for extractor in extractors):
            images = HeldImages(images)  # LPIPS looks at them a second time
        self.extract(images, extractors, device=device, digest=digest)
        found: dict[str, Array] = {}
        for extractor in extractors:
            path = self._path(self.key(digest, images, extractor))
            if extractor.gives == "distances":
                found[extractor.name] = self._distances(path, images, extractor, device)
                continue
            rows = np.load(path, mmap_mode="r")
            found |= {part: rows[:, columns] for part, columns in extractor.parts.items()}
        return found

    def extract(
        self,
        images: ImageSet,
        extractors: Sequence[Extractor],
        *,
        device: str = "cpu",
        rank: int = 0,
        world: int = 1,
        digest: str | None = None,
    ) -> bool:
        """Extract this process's share of the missing chunks, in one pass over the images.

        Args:
            images: the set, the same in every process.
            extractors: what to extract; LPIPS networks are left to `get`, which sees all images.
            device: where.
            rank: which process this is.
            world: number of processes.
            digest: `images.digest()` if it is known already.

        Returns:
            Whether the features of every extractor are complete now.

        Raises:
            ValueError: an extractor refuses the images or gives NaN; names the image.
        """
        digest = digest or images.digest()
        rows = [e for e in extractors if e.gives == "rows"]
        places = {e.name: self._path(self.key(digest, images, e)) for e in rows}
        share = self._chunks(images)[rank::world]
        missing = {e.name: {c for c in share if not self._done(places[e.name], c)} for e in rows}
        for extractor in rows:
            if missing[extractor.name]:
                extractor.to(device)
        with exact_arithmetic():
            for chunk, pixels in self._load(images, sorted(set().union(*missing.values()))):
                for extractor in rows:
                    if chunk in missing[extractor.name]:
                        features = _forward(extractor, pixels, chunk * self.chunk, device)
                        self._put(places[extractor.name], chunk, features)
        complete = [self._join(places[e.name], images) for e in rows]
        return all(complete)

    def _path(self, key: str) -> Path:
        """The joined file of a key."""
        return self.root / key[:2] / f"{key}.npy"

    def _chunks(self, images: ImageSet) -> range:
        """Numbers of the chunks of a set."""
        return range(-(-len(images) // self.chunk))

    def _done(self, path: Path, chunk: int) -> bool:
        """Whether a chunk is on disk, alone or in the joined file."""
        return is_whole(path) or is_whole(self._part(path, chunk))

    def _part(self, path: Path, chunk: int) -> Path:
        """File of one chunk; chunks of other sizes lie in another folder."""
        return path.with_name(f"{path.stem}.parts_{self.chunk}") / f"{chunk:06d}.npy"

    def _put(self, path: Path, chunk: int, rows: Array) -> None:
        """Write a chunk, unless another process has joined the set and cleared its folder."""
        try:
            self._write(self._part(path, chunk), rows)
        except (FileNotFoundError, FileExistsError):  # the folder went while it was made or used
            if not path.is_file():
                raise

    def _load(self, images: ImageSet, chunks: Sequence[int]) -> Iterator[tuple[int, list[Pixels]]]:
        """Chunks of images, decoded ahead of their use by threads."""
        if not chunks:
            return

        def indices(chunk: int) -> range:
            start = chunk * self.chunk
            return range(start, min(start + self.chunk, len(images)))

        with ThreadPoolExecutor(self.workers) as pool:
            waiting = [[pool.submit(images.load, i) for i in indices(c)] for c in chunks[:AHEAD]]
            for place, chunk in enumerate(chunks):
                current = waiting.pop(0)
                if place + AHEAD < len(chunks):
                    following = indices(chunks[place + AHEAD])
                    waiting.append([pool.submit(images.load, i) for i in following])
                yield chunk, [future.result() for future in current]

    def _write(self, path: Path, rows: Array) -> None:
        """Write an array under a temporary name and rename it."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, rows)

    def _join(self, path: Path, images: ImageSet) -> bool:
        """Join the chunks of a set if all are there; afterwards they are deleted.

        Several processes may come here at once: each writes the same bytes, and one that finds the
        chunks gone finds the joined file in their place.
        """
        parts = [self._part(path, chunk) for chunk in self._chunks(images)]
        try:
            if not path.is_file() and all(part.is_file() for part in parts):
                self._write(path, np.concatenate([np.load(part) for part in parts]))
        except FileNotFoundError:
            if not path.is_file():
                raise
        if path.is_file():
            for folder in path.parent.glob(f"{path.stem}.parts_*"):
                shutil.rmtree(folder, ignore_errors=True)
        return path.is_file()

    def _distances(self, path: Path, images: ImageSet, net: Lpips, device: str) -> Array:
        """Stored distances of a set, computed now where they are missing."""
        if not is_whole(path):
            net.to(device)
            if fits(net, images, len(images), budget=self.budget):
                pairs = stored(within(net, images, budget=self.budget))
            else:
                pairs = grouped_distances(net, images)
            self._write(path, pairs)
        return np.asarray(np.load(path, mmap_mode="r"))


def is_whole(path: Path) -> bool:
    """Whether an array is on disk; one that is damaged is set aside."""
    if not path.is_file():
        return False
    try:
        np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        set_aside(path, error)
        return False
    return True


def _forward(
    extractor: FeatureExtractor, pixels: Sequence[Pixels], start: int, device: str
) -> npt.NDArray[np.float32]:
    """Features of one chunk; images of one size go through the network together, `PIXELS` at most.

    Raises:
        ValueError: a feature is NaN or infinite; names the first such image.
    """
    rows = np.empty((len(pixels), extractor.dim), np.float32)
    for shape in dict.fromkeys(image.shape for image in pixels):
        alike = [i for i, image in enumerate(pixels) if image.shape == shape]
        at_once = max(1, PIXELS // (shape[1] * shape[2]))
        for first in range(0, len(alike), at_once):
            some = alike[first : first + at_once]
            batch = torch.from_numpy(np.stack([pixels[i] for i in some])).to(device)
            rows[some] = extractor(batch).float().cpu().numpy()
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        raise ValueError(
            f"{extractor.name} gives NaN or infinity for image {start + int(broken.argmax())}; "
            "look at that image and at the weights"
        )
    return rows
