"""What a metric between two image sets is, and the checks that all of them share.

A metric is a pure function of stored features. It carries its protocol in its name, says whose features it reads and
what they are (`Metric.on`), and answers `TooFew` or `Undefined` instead of a number where the number would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Better = Literal["higher", "lower"]
Support = tuple[float, float]
Against = Literal["unseen", "training"]
Side = Literal["real", "fake"]
On = Literal["rows", "distances", "clusters", "masks"]

ANY: Support = (-np.inf, np.inf)
POSITIVE: Support = (0.0, np.inf)
FRACTION: Support = (0.0, 1.0)


@dataclass(frozen=True)
class Undefined:
    """The answer of a metric that has no value for these images."""

    reason: str

    def __str__(self) -> str:
        """What a table cell prints."""
        return f"n/a ({self.reason})"


@dataclass(frozen=True)
class TooFew(Undefined):
    """The answer of a metric that needs more images than it was given."""

    needs: int = 0


# The two parts of a metric, given checked inputs: values by key, or none with a reason; and the (R,)
# replicated values by key of at most `count` resamples.
Score = Callable[[Floats, Floats, np.random.Generator], dict[str, float] | Undefined]
Resample = Callable[[Floats, Floats, np.random.Generator, int], dict[str, Floats]]


@dataclass(frozen=True)
class Mix:
    """How the labels of the generated images differ from those of the real ones.

    Attributes:
        labels: (N,) the label of each real image, as a number.
        weights: (N,) weights of the real images under which their labels are mixed as the generated ones'.
    """

    labels: npt.NDArray[np.int64]
    weights: Floats


@dataclass(frozen=True)
class Fresh:
    """What a floor is taken for: a perfect generator, one that draws fresh images of the real ones' distribution.

    Attributes:
        count: how many images it draws, as many as were generated.
        mix: labels; None if nothing is known of them.
    """

    count: int
    mix: Mix | None = None


# What a perfect generator reaches on average against real features (N, D): values by key.
Floor = Callable[[Floats, Fresh, np.random.Generator], dict[str, float] | Undefined]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score of generated images against real ones, from stored features alone.

    Attributes:
        name: public name; it says the protocol ("fid", "kid_stylegan", "fd_dinov2_vitb14").
        extractor: whose features it reads, as the feature store names them.
        better: which direction is better.
        needs: fewest images per set that it reads.
        score: the values, given checked inputs.
        resample: their values under resamples; a key without an interval is left out.
        on: what the inputs are. "rows": features (N, D), one row per image. "distances": `stored` distances among the
            generated images, and where `real` is read (M, K) from each of them to K real ones. "clusters": the same,
            scored by defect type and averaged. "masks": one value per image, (N, 1), nan where an image has none.
        reads: which sets it reads: "real", "fake" or both.
        against: which real images it compares with, where there are both. "unseen": those that no generator saw;
            "training": those that it was trained on, for memorisation and for what rewards it.
        support: smallest and largest value by key, where there are such; intervals are cut there.
        shares: keys that are shares of images, and of which set; their intervals are at least Wilson's.
        floor: the score of a perfect generator at the score's own numbers of images, for scores that depend on these; None:
            real images against real ones tell it.
        protocol: what the code that computes the inputs must know: of clusters their `ic_lpips.Protocol`, of masks the name
            of the function of `features/mask_alignment.py` that gives the values.
    """

    name: str
    extractor: str
    better: Better
    needs: int
    score: Score
    resample: Resample
    on: On = "rows"
    reads: tuple[str, ...] = ("real", "fake")
    against: Against = "unseen"
    support: Mapping[str, Support] = field(default_factory=dict)
    shares: Mapping[str, Side] = field(default_factory=dict)
    floor: Floor | None = None
    protocol: Any = None

    @property
    def inputs(self) -> tuple[str, str]:
        """Names of the features that it takes for the real and for the generated images."""
        if self.on == "masks":
            return self.name, self.name
        if self.on == "rows" or "real" not in self.reads:
            return self.extractor, self.extractor
        return f"{self.extractor}_to_real", self.extractor

    def sizes(self, real: Array, fake: Array) -> tuple[int, int]:
        """Numbers of real and generated images that these inputs stand for; images without a value do not count."""
        if self.on == "masks":
            return 0, len(known(fake))
        reads_real = "real" in self.reads
        if self.on == "rows":
            return (len(real) if reads_real else 0), len(fake)
        return (real.shape[1] if reads_real else 0), int(unstored(fake)[1].sum())

    def __call__(
        self, real: Array, fake: Array, rng: np.random.Generator
    ) -> dict[str, float] | Undefined:
        """Score the generated images.

        Args:
            real: the input named `inputs[0]`; anything where it is not read.
            fake: the input named `inputs[1]`.
            rng: where all draws come from.

        Returns:
            values by key (one key for most metrics), or why there are none.

        Raises:
            ValueError: features are not (N, D), differ in D, or hold NaN or infinity; distances are not as stored.
        """
        return self._too_few(real, fake) or self.score(*self._checked(real, fake), rng)

    def replicates(
        self, real: Array, fake: Array, rng: np.random.Generator, count: int
    ) -> dict[str, Floats]:
        """Values of at most `count` bootstrap resamples of both sets, under the same keys.

        Call it only where `__call__` gave values. Metrics whose resamples are dear give fewer; a key without an interval
        is left out.
        """
        return self.resample(*self._checked(real, fake), rng, count)

    def interval(self, fake: Array, resamples: int) -> str:
        """How its intervals come about, for the record: "bootstrap_1000"; scores of shares add Wilson's."""
        if self.on == "masks":
            return "student_t"
        if self.on == "distances":
            return f"jackknife_{len(unstored(fake)[1])}"
        return f"bootstrap_{resamples}"

    def _checked(self, real: Array, fake: Array) -> tuple[Floats, Floats]:
        """The sets it reads, checked; the other one as it came."""
        if self.on == "rows":
            if self.reads == ("fake",):
                return real, as_features(fake, "generated features")
            return as_pair(real, fake)
        return real, known(fake) if self.on == "masks" else fake

    def _too_few(self, real: Array, fake: Array) -> TooFew | None:
        """The answer where a set that it reads has fewer images than it needs, else None."""
        references, images = self.sizes(real, fake)
        if self.on == "masks":
            none = f"needs ≥ {self.needs} image with a value; has none"
            return TooFew(none, self.needs) if images < self.needs else None
        if self.on == "rows":
            sizes = {"real": references, "fake": images}
            short = [f"{sizes[side]} {side}" for side in self.reads if sizes[side] < self.needs]
            if not short:
                return None
            return TooFew(f"needs ≥ {self.needs}; has {' and '.join(short)}", self.needs)
        if images < self.needs:
            return TooFew(f"needs ≥ {self.needs}; has {images} fake", self.needs)
        if "real" in self.reads and references < 1:
            return TooFew("needs ≥ 1; has 0 real", 1)
        return None


def as_features(features: npt.ArrayLike, what: str) -> Floats:
    """`features` as float64 (N, D), N >= 1, all finite.

    Args:
        features: one row per image.
        what: how an error names them, for example "real features".

    Raises:
        ValueError: not two-dimensional, empty, or with NaN or infinity; names the first such row.
    """
    rows = np.asarray(features)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"{what} are {rows.shape}; want (images, dimensions)")
    if len(rows) == 0:
        raise ValueError(f"{what} hold no image; want at least one")
    rows = rows.astype(np.float64, copy=False)
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        raise ValueError(
            f"{what}: {int(broken.sum())} of {len(rows)} rows hold NaN or infinity, the first is row "
            f"{int(broken.argmax())}; look at that image, or extract the features again"
        )
    return rows


def as_pair(real: npt.ArrayLike, fake: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both sets checked by `as_features`, with the same number of dimensions.

    Raises:
        ValueError: as `as_features`, or the dimensions differ.
    """
    first, second = as_features(real, "real features"), as_features(fake, "generated features")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"real features have {first.shape[1]} dimensions but generated ones {second.shape[1]}; "
            "both must come from the same extractor"
        )
    return first, second


def stored(distances: Floats, counts: npt.ArrayLike | None = None) -> Floats:
    """Distances (G, G) and group sizes as one array (G, G + 1); None: every group is one image."""
    sizes = np.ones(len(distances)) if counts is None else np.asarray(counts, np.float64)
    return np.column_stack([distances, sizes])


def unstored(pairs: Array) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Distances (G, G) and group sizes (G,) of what `stored` gave.

    Raises:
        ValueError: not (G, G + 1), a distance is NaN, or the diagonal of a full matrix is not 0.
    """
    array = np.asarray(pairs, np.float64)
    if array.ndim != 2 or array.shape[1] != len(array) + 1:
        raise ValueError(f"stored distances are {array.shape}; want (G, G + 1)")
    distances, counts = array[:, :-1], array[:, -1].astype(np.int64)
    several = counts > 1
    expected = ~np.eye(len(array), dtype=bool) | several[:, None]
    if not np.isfinite(distances[expected]).all():
        row = int(np.argwhere(~np.isfinite(distances) & expected)[0, 0])
        raise ValueError(f"stored distances hold NaN or infinity, first in row {row}")
    return np.where(expected, distances, 0.0), counts


def known(values: Array) -> Floats:
    """The values of (N, 1) that are numbers, (n,)."""
    column = np.asarray(values, np.float64)[:, 0]
    return column[np.isfinite(column)]
