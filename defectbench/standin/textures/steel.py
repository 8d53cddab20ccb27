"""Hot-rolled steel strip under a grey line camera, as NEU-DET and X-SDD show it."""

from __future__ import annotations

import numpy as np

from defectbench.standin.textures.noise import Field, Shape, coordinates, fractal, smooth, white


def hot_rolled_steel(shape: Shape, rng: np.random.Generator) -> Field:
    """NEU-DET's strip: scaled and grainy, of any brightness, lit unevenly from one side to the other."""
    y, x = coordinates(shape)
    level = rng.uniform(85, 175)
    grain = white(shape, rng) + 0.8 * smooth(shape, rng, 0.012)
    rolled = smooth(shape, rng, (0.4, 0.02)) + 0.5 * smooth((1, shape[1]), rng, (1.0, 6.0))
    tone = 1 + rng.uniform(0.02, 0.06) * grain + 0.03 * rolled
    tone += 0.05 * fractal(shape, rng, 0.3, octaves=3)
    tone *= 1 + rng.uniform(-0.3, 0.3) * (x - x.mean()) + rng.uniform(-0.15, 0.15) * (y - y.mean())
    return np.asarray(level * np.maximum(tone, 0.2), np.float32)


def hot_rolled_strip(shape: Shape, rng: np.random.Generator) -> Field:
    """X-SDD's strip: a smooth even grey with a fine grain and hardly a shade."""
    level = rng.uniform(108, 132)
    grain = white(shape, rng) + smooth(shape, rng, (0.02, 0.012))
    tone = 1 + rng.uniform(0.012, 0.03) * grain + 0.02 * fractal(shape, rng, 0.4, octaves=3)
    tone += 0.015 * smooth((1, shape[1]), rng, (1.0, 10.0))
    return np.asarray(level * tone, np.float32)
