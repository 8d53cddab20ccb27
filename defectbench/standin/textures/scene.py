"""A scene of solid parts: filled outlines with clean edges, round shading and soft shadows.

Coordinates are units of the shorter image side from the middle of the image: y downwards, x to the right,
so the picture spans -0.5 to 0.5 at least. Outlines are depths: positive inside, in the same units.
Light comes from the upper left.
"""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import Field, Shape


class Scene:
    """A window of a picture that is being drawn, with its own coordinates.

    Args:
        picture: (H, W, 3) float32 in [0, 255], the whole picture; drawn into.
        centre: where local (0, 0) lies, pixels (y, x).
        reach: half side of the square window around it, in units of the shorter side.
        angle: turn of the local axes, radians, clockwise on screen.
    """

    def __init__(
        self, picture: Field, centre: tuple[float, float], reach: float, angle: float = 0.0
    ) -> None:
        height, width = picture.shape[:2]
        self.unit = min(height, width)
        self.picture, self.centre, self.angle = picture, centre, angle
        half = reach * self.unit
        top, bottom = (min(max(int(centre[0] + h), 0), height) for h in (-half, half + 1))
        left, right = (min(max(int(centre[1] + h), 0), width) for h in (-half, half + 1))
        self.levels = picture[top:bottom, left:right]  # a view, (h, w, 3)
        y = ((np.arange(top, bottom) + 0.5 - centre[0]) / self.unit).astype(np.float32)[:, None]
        x = ((np.arange(left, right) + 0.5 - centre[1]) / self.unit).astype(np.float32)[None, :]
        self.y: Field = y
        self.x: Field = x
        if angle:
            c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            self.y, self.x = c * y - s * x, c * x + s * y

    @property
    def shape(self) -> Shape:
        """(h, w) of the window, pixels; 0 where it lies outside the picture."""
        return self.levels.shape[0], self.levels.shape[1]

    def at(self, y: float, x: float, reach: float, angle: float = 0.0) -> Scene:
        """Window of half side `reach` around local (y, x), turned by `angle` more."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        row = self.centre[0] + self.unit * (c * y + s * x)
        column = self.centre[1] + self.unit * (c * x - s * y)
        return Scene(self.picture, (float(row), float(column)), reach, self.angle + angle)

    def fill(self, depth: Field, colour: Field) -> None:
        """Paint a colour (h, w, 3) where `depth` (h, w) > 0, with an edge that is soft over a pixel."""
        inside = depth > -1.0 / self.unit
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        alpha = np.clip(depth[window] * np.float32(self.unit) + np.float32(0.5), 0, 1)
        view = self.levels[window]
        view += alpha[..., None] * (colour[window] - view)

    def shadow(self, depth: Field, strength: float = 0.4, soft: float = 0.02) -> None:
        """Darken under an outline, fading over `soft` beyond it."""
        fade: Field = np.clip(depth / np.float32(soft) + 1, 0, 1)
        view = self.levels
        view *= (1 - np.float32(strength) * fade * fade)[..., None]


def over(picture: Field) -> Scene:
    """Scene of the whole of a picture, float32 (H, W, 3), from its middle."""
    height, width = picture.shape[:2]
    return Scene(picture, (height / 2, width / 2), max(height, width) / min(height, width))


def lit(depth: Field, unit: int, round_over: float, strength: float = 0.5) -> Field:
    """Brightness factor around 1 of a body whose edge is rounded over the length `round_over`."""
    rise = np.clip(depth / np.float32(round_over), 0, 1)
    height = np.sqrt(np.maximum(1 - (1 - rise) ** 2, 0)) * np.float32(round_over)
    dy, dx = np.gradient(height * np.float32(unit))
    slope = np.clip(dx + dy, -2, 2)
    return np.asarray(1 + strength * 0.5 * slope, np.float32)
