"""Pictures and defects as data: solid parts on a ground, and marks on them, each a few numbers.

Lengths are fractions of the shorter image side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from defectbench.standin.defects import marks, shapes
from defectbench.standin.defects.canvas import Canvas
from defectbench.standin.textures.noise import (
    Colour,
    Field,
    Shape,
    light,
    smooth,
    tint,
    white,
)
from defectbench.standin.textures.scene import Scene, lit, over

Range = tuple[float, float]
Painting = Callable[[Canvas, np.random.Generator], None]
"""Draws one occurrence of a defect."""
Kind = Literal[
    "scratch", "crack", "hole", "stain", "paint", "strand", "chip", "abrasion", "push", "shards", "smear", "bite"
]  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """A surface that fills the frame.

    Attributes:
        colour: mean colour, grey levels.
        noise: a smooth field: vertical length, horizontal length, grey levels.
        grain: noise of single pixels, grey levels.
        light: strength of uneven light.
    """

    colour: Colour
    noise: tuple[float, float, float] | None = None
    grain: float = 3.0
    light: float = 0.06

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Field:
        """Draw it: (H, W, 3) in [0, 255]."""
        tone = np.float32(self.grain) * white(shape, rng)
        if self.noise:
            down, right, levels = self.noise
            tone = tone + np.float32(levels) * smooth(shape, rng, (down, right))
        colours = np.asarray(self.colour, np.float32) + tone[..., None]
        return np.asarray(colours * light(shape, rng, self.light)[..., None], np.float32)


@dataclass(frozen=True)
class Part:
    """A solid piece in the middle of a picture.

    Attributes:
        size: half height and half width.
        colour: of it.
        power: exponent of the outline: 1 rhombus, 2 ellipse, 8 nearly a rectangle.
        inner: share of the outline that is open.
        spin: a random turn, up to so many radians either way.
        ribs: dark stripes across the half width.
        rounding: share of the shorter half over which the edge is rounded.
        shadow: strength of the shadow around it.
    """

    size: tuple[float, float]
    colour: Colour
    power: float = 2.0
    inner: float = 0.0
    spin: float = 0.0
    ribs: float = 0.0
    rounding: float = 0.5
    shadow: float = 0.0

    def draw(self, scene: Scene, rng: np.random.Generator) -> None:
        """Draw it into a scene."""
        rng.integers(1)  # keeps the numbers that follow as they were
        reach = 1.2 * float(np.hypot(*self.size)) + 0.02
        window = scene.at(0.0, 0.0, reach, self.spin * rng.uniform(-1, 1))
        depth = self.depth(window)
        if self.shadow:
            window.shadow(depth, self.shadow, 0.025)
        tone = 1 + 0.03 * smooth(window.shape, rng, 0.1)
        tone = tone * lit(depth, scene.unit, self.rounding * min(self.size), 0.5)
        if self.ribs:
            period = 2 * np.pi * self.ribs / self.size[1]
            tone = tone * (0.8 + 0.2 * np.sin(period * (window.x + 0.4 * window.y)))
        window.fill(depth, tint(np.asarray(tone, np.float32), self.colour))

    def depth(self, scene: Scene) -> Field:
        """Depth inside the outline around the middle of a scene; about exact near the edge."""
        height, width = self.size
        v, u = np.abs(scene.y) / np.float32(height), np.abs(scene.x) / np.float32(width)
        r = np.maximum((v**self.power + u**self.power) ** (1 / self.power), 1e-4)
        p = self.power - 1
        slope = np.maximum(np.hypot((v / r) ** p / height, (u / r) ** p / width), 1e-4)
        inside = (1 - r) / slope
        if self.inner:
            inside = np.minimum(inside, (r - self.inner) / slope)
        return np.asarray(inside, np.float32)


@dataclass(frozen=True)
class Picture:
    """A drawing: parts on a ground, in turn.

    Attributes:
        ground: fills the frame.
        parts: drawn in this order.
        turn: the whole is turned by up to so many radians either way.
        spread: standard deviation of its place.
    """

    ground: Ground
    parts: tuple[Part, ...] = ()
    turn: float = 0.0
    spread: float = 0.0

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Field:
        """Draw it: (H, W, 3) in [0, 255]."""
        picture = self.ground(shape, rng)
        turn, place = self.turn * rng.uniform(-1, 1), rng.normal(0, self.spread, 2)
        whole = over(picture).at(place[0], place[1], 4.0, turn)
        for part in self.parts:
            part.draw(whole, rng)
        return picture


@dataclass(frozen=True)
class Mark:
    """A defect of one of twelve kinds; eleven are those of `marks`, `bite` takes a piece out of the part.

    Attributes:
        kind: which.
        size: least and greatest length of a line, or radius of a patch.
        colours: one of them is chosen; `scratch` and `stain` multiply by it (1 = unchanged), the others paint it.
        width: of a line; of `push`: how far the middle is moved.
        aspect: least and greatest length over breadth of a patch.
        times: least and greatest number of marks.
        rim: on the outline of the part instead of anywhere on it.
        loose: may reach beyond the part.
    """

    kind: Kind
    size: Range
    colours: tuple[Colour, ...] = ((0.4, 0.4, 0.4),)
    width: float = 0.012
    aspect: Range = (1.0, 1.8)
    times: tuple[int, int] = (1, 1)
    rim: bool = False
    loose: bool = False

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Paint it."""
        margin = 0.15 if canvas.region is None else 0.03
        where = canvas.rim(rng) if self.rim else canvas.place(rng, margin)
        colour = self.colours[rng.integers(len(self.colours))]
        if self.loose:
            canvas.region = None
        for k in range(rng.integers(self.times[0], self.times[1] + 1)):
            spread = 0.04 * canvas.side if k else 0.0
            near = (where[0] + rng.normal(0, spread), where[1] + rng.normal(0, spread))
            self._paint(canvas, rng, near, rng.uniform(*self.size), colour)

    def _paint(
        self, canvas: Canvas, rng: np.random.Generator, at: marks.Point, size: float, colour: Colour
    ) -> None:
        aspect, angle = rng.uniform(*self.aspect), rng.uniform(0, 2 * np.pi)
        match self.kind:
            case "scratch":
                marks.scratch(canvas, rng, at, size, self.width, angle, colour, 0.05, 0.3)
            case "crack":
                half = 0.5 * size * canvas.side
                start = (at[0] - half * np.sin(angle), at[1] - half * np.cos(angle))
                marks.crack(canvas, rng, start, angle, size, self.width, colour, 1, 0.35, 0.2)
            case "hole":
                marks.hole(canvas, rng, at, size, colour, 0.4, 0.15, aspect, angle)
            case "stain":
                marks.stain(canvas, rng, at, size, colour, 0.25, 0.3, aspect, angle)
            case "paint":
                marks.paint(canvas, rng, at, size, colour, 0.9, 0.25, aspect, angle)
            case "strand":
                marks.strand(canvas, rng, at, size, self.width, colour)
            case "chip":
                marks.chip(canvas, rng, at, size, self.width, colour)
            case "abrasion":
                marks.abrasion(canvas, rng, at, size, colour[0], 18, aspect, angle, 0.85)
            case "push":
                down, right = self.width * np.sin(angle), self.width * np.cos(angle)
                marks.push(canvas, at, size, down, right, 0.02)
            case "shards":
                marks.shards(canvas, rng, at, size, colour)
            case "smear":
                marks.smear(canvas, rng, at, size, colour, 0.8, aspect)
            case "bite":  # the ground shows; the break is lit or dark by the factor `colour`
                pixels = canvas.pixels(size, 3)
                depth = shapes.blob(canvas.shape, at, pixels, rng, 0.3, aspect, angle)
                canvas.shade(shapes.soft(depth + max(0.14 * pixels, 1.0)), colour)
                canvas.cover(shapes.soft(depth), canvas.ground(rng))
