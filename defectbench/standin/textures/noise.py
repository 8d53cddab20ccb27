"""Band-limited random fields and the few array steps that every drawn texture shares.

Lengths are fractions of the shorter image side unless a name says pixels, so that one drawing looks the
same at 64 and at 1024 pixels. Grey levels and colours are float32 in [0, 255] until `to_bytes`.
The fields are sums of cubic B-splines on a random lattice: four row gathers per axis, whatever the
scale, and no library whose result would depend on its thread count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.floating[Any]]  # float32 wherever it is (H, W)
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Shape = tuple[int, int]
Colour = Sequence[float]


def side(shape: Shape) -> int:
    """Shorter image side, pixels."""
    return min(shape[0], shape[1])


def coordinates(shape: Shape) -> tuple[Field, Field]:
    """Pixel centres in units of the shorter side: y (H, 1) and x (1, W)."""
    unit = side(shape)
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) / unit
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) / unit
    return y, x


def white(shape: Shape, rng: np.random.Generator) -> Field:
    """Independent standard normal pixels, (H, W)."""
    return rng.standard_normal(shape, dtype=np.float32)


def smooth(shape: Shape, rng: np.random.Generator, scale: float | tuple[float, float]) -> Field:
    """Random field of zero mean and unit variance whose features are `scale` long, (H, W).

    `scale` is one length or (vertical, horizontal); nothing is finer than a pixel.
    """
    vertical, horizontal = scale if isinstance(scale, tuple) else (scale, scale)
    unit = side(shape)
    rows, row_weights, row_count = _spline(shape[0], vertical * unit, rng)
    columns, column_weights, column_count = _spline(shape[1], horizontal * unit, rng)
    lattice = rng.standard_normal((column_count, row_count), dtype=np.float32)
    half = np.ascontiguousarray(_expand(lattice, columns, column_weights).T)  # (rows, W)
    return _expand(half, rows, row_weights)  # (H, W)


def fractal(
    shape: Shape,
    rng: np.random.Generator,
    scale: float,
    octaves: int = 4,
    gain: float = 0.55,
) -> Field:
    """Sum of `smooth` fields, each octave half as long and `gain` times as strong; unit variance."""
    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        length = scale / 2**octave
        weight = gain**octave
        total += np.float32(weight) * smooth(shape, rng, length)
        power += weight**2
        if length * side(shape) < 1.0:
            break
    return total / np.float32(np.sqrt(power))


def sigmoid(field: Field, threshold: float = 0.0, width: float = 0.2) -> Field:
    """Soft step from 0 to 1 at `threshold`, `width` wide, cheaper than a logistic."""
    t: Field = np.clip((field - np.float32(threshold)) / np.float32(width) + np.float32(0.5), 0, 1)
    t *= t * (3 - 2 * t)
    return t


def light(shape: Shape, rng: np.random.Generator, strength: float = 0.06) -> Field:
    """Multiplicative lighting around 1: a random slope and a slow undulation, (H, W)."""
    y, x = coordinates(shape)
    angle = rng.uniform(0, 2 * np.pi)
    slope: Field = np.float32(np.cos(angle)) * (x - x.mean()) + np.float32(np.sin(angle)) * (
        y - y.mean()
    )
    wave = smooth(shape, rng, 0.5)
    field: Field = np.float32(rng.uniform(0.4, 1.6)) * slope + 0.5 * wave
    return 1 + np.float32(strength) * field


def ramp(field: Field, stops: Sequence[tuple[float, Colour]]) -> Field:
    """Colours of `field` by linear interpolation between (value, RGB) stops, (H, W, 3)."""
    values = [value for value, _ in stops]
    channels = [np.interp(field, values, [rgb[c] for _, rgb in stops]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def tint(field: Field, colour: Colour) -> Field:
    """`field` (H, W) times one RGB colour, (H, W, 3)."""
    return field[..., None] * np.asarray(colour, np.float32)


def to_bytes(levels: Field) -> Image:
    """Round grey levels (H, W) or colours (H, W, 3) in [0, 255] to uint8 (H, W, 3)."""
    levels = np.clip(levels + np.float32(0.5), 0, 255)
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    return levels.astype(np.uint8)


def _expand(lattice: Field, index: npt.NDArray[np.intp], weight: Field) -> Field:
    """Spline-interpolate the rows of `lattice` (N, M) to (len(index), M)."""
    if index.shape[1] == 1:
        return lattice
    out = weight[:, :1] * lattice[index[:, 0]]
    for tap in range(1, 4):
        out += weight[:, tap : tap + 1] * lattice[index[:, tap]]
    return out


def _spline(
    length: int, cell: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], Field, int]:
    """Taps, weights and lattice count of a cubic B-spline over `length` pixels, `cell` apart."""
    phase = rng.random()
    if cell < 1.25:
        return np.arange(length)[:, None], np.ones((length, 1), np.float32), length
    position = np.arange(length) / cell + phase
    first = np.floor(position).astype(np.intp)
    t = position - first
    weight = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    weight /= np.sqrt((weight**2).sum(axis=1, keepdims=True))  # unit variance at every pixel
    return first[:, None] + np.arange(4), weight.astype(np.float32), int(first[-1]) + 4


def cells(shape: Shape, rng: np.random.Generator, scale: float) -> tuple[Field, Field]:
    """Distances to the nearest and second nearest of scattered points `scale` apart, in units of it.

    One point is jittered in each square of a lattice (Worley 1996); second minus first is small on
    the borders between cells.
    """
    unit = max(scale * side(shape), 2.0)
    rows, columns = int(shape[0] / unit) + 4, int(shape[1] / unit) + 4
    jitter = 0.1 + 0.8 * rng.random((2, rows, columns), dtype=np.float32)
    y = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) / np.float32(unit) + 1
    x = (np.arange(shape[1], dtype=np.float32)[None, :] + 0.5) / np.float32(unit) + 1
    column = x[0].astype(np.intp)
    first, second = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, shape[0], 64):  # strips that stay in the cache
        here = slice(start, start + 64)
        row = y[here, 0].astype(np.intp)
        best = np.full((len(row), shape[1]), 9.0, np.float32)
        other = best.copy()
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                down = row[:, None] + dy + jitter[0][row + dy].take(column + dx, axis=1) - y[here]
                right = column + dx + jitter[1][row + dy].take(column + dx, axis=1) - x
                away = (down * down + right * right).astype(np.float32)
                np.minimum(other, np.maximum(best, away), out=other)
                np.minimum(best, away, out=best)
        first[here], second[here] = best, other
    return np.sqrt(first), np.sqrt(second)
