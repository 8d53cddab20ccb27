"""What a metric between two image sets is, and the checks that all of them share.

A metric is a pure function of stored features: arrays (N, D), one row per image. It carries its
protocol in its name, says which extractor's features it wants, and answers `TooFew` or `Undefined`
instead of a number where the number would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Better = Literal["higher", "lower"]
Support = tuple[float, float]
Against = Literal["unseen", "training"]

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


@runtime_checkable
class SetMetric(Protocol):
    """A score of generated images against real ones, from stored features alone."""

    @property
    def name(self) -> str:
        """Public name; it says the protocol ("fid", "kid_stylegan", "fd_dinov2_vitb14")."""

    @property
    def extractor(self) -> str:
        """Whose features it wants, as the feature store names them."""

    @property
    def better(self) -> Better:
        """Which direction is better."""

    @property
    def needs(self) -> int:
        """Fewest images per set that it reads."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Which sets it reads: "real", "fake" or both."""

    @property
    def against(self) -> Against:
        """Which real images it compares with, where there are both.

        "unseen": those that no generator saw; "training": those that it was trained on, for
        memorisation and for what rewards it.
        """

    @property
    def support(self) -> Mapping[str, Support]:
        """Smallest and largest value by key, where there are such; intervals are cut there."""

    @property
    def inputs(self) -> tuple[str, str]:
        """Names of the features that it takes for the real and for the generated images."""

    def sizes(self, real: Array, fake: Array) -> tuple[int, int]:
        """Numbers of real and generated images that these features stand for."""

    def __call__(
        self, real: Array, fake: Array, rng: np.random.Generator
    ) -> dict[str, float] | Undefined:
        """Score `fake` (M, D) against `real` (N, D).

        Returns:
            Values by key (one key for most metrics), or why there are none.

        Raises:
            ValueError: features are not (N, D), differ in D, or hold NaN or infinity.
        """

    def replicates(
        self, real: Array, fake: Array, rng: np.random.Generator, count: int
    ) -> dict[str, Floats]:
        """Values of at most `count` bootstrap resamples of both sets, under the same keys.

        Call it only where `__call__` gave values. Metrics whose resamples are dear give fewer;
        a key without an interval is left out.
        """

    def interval(self, fake: Array, resamples: int) -> str:
        """How its intervals come about, for the record: "bootstrap_1000"."""


# The two parts of a `FeatureMetric`, given checked features: values by key, or none with a reason;
# and the (R,) replicated values by key of at most `count` resamples.
Score = Callable[[Floats, Floats, np.random.Generator], dict[str, float] | Undefined]
Resample = Callable[[Floats, Floats, np.random.Generator, int], dict[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class FeatureMetric:
    """A `SetMetric` from two functions; it checks features and numbers of images for them."""

    name: str
    extractor: str
    better: Better
    needs: int
    score: Score
    resample: Resample
    reads: tuple[str, ...] = ("real", "fake")
    against: Against = "unseen"
    support: Mapping[str, Support] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, str]:
        """See `SetMetric`."""
        return self.extractor, self.extractor

    def sizes(self, real: Array, fake: Array) -> tuple[int, int]:
        """See `SetMetric`."""
        return (len(real) if "real" in self.reads else 0), len(fake)

    def __call__(
        self, real: Array, fake: Array, rng: np.random.Generator
    ) -> dict[str, float] | Undefined:
        """See `SetMetric`."""
        return too_few(self, real, fake) or self.score(*self._checked(real, fake), rng)

    def replicates(
        self, real: Array, fake: Array, rng: np.random.Generator, count: int
    ) -> dict[str, Floats]:
        """See `SetMetric`."""
        return self.resample(*self._checked(real, fake), rng, count)

    def interval(self, fake: Array, resamples: int) -> str:
        """See `SetMetric`."""
        return f"bootstrap_{resamples}"

    def _checked(self, real: Array, fake: Array) -> tuple[Floats, Floats]:
        """The sets it reads, checked; the other one as it came."""
        if self.reads == ("fake",):
            return real, as_features(fake, "generated features")
        return as_pair(real, fake)


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


def too_few(metric: SetMetric, real: Array, fake: Array) -> TooFew | None:
    """`TooFew` where a set that the metric reads has fewer images than it needs, else None."""
    sizes = {"real": len(real), "fake": len(fake)}
    short = [f"{sizes[side]} {side}" for side in metric.reads if sizes[side] < metric.needs]
    if not short:
        return None
    return TooFew(f"needs ≥ {metric.needs}; has {' and '.join(short)}", metric.needs)
