"""Seeded noise, for generated pictures and for augmentation.

All generators use only elementwise sums, products and square roots, whose results IEEE 754 defines
exactly, so that a seed gives the same picture on every machine.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np


@cache
def _places(cells: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each pixel, the grid points on both sides and its fraction between them."""
    at = ((np.arange(side) + 0.5) * (cells / side)).astype(np.float32)
    low = np.minimum(at.astype(np.int64), cells - 1)
    return low, low + 1, at - low.astype(np.float32)


def smooth_noise(rng: np.random.Generator, rows: int, columns: int, side: int) -> np.ndarray:
    """Return float32 (side, side) in [0, 1), interpolated from rows x columns random values."""
    values = rng.random((rows + 1, columns + 1), dtype=np.float32)
    low, high, way = _places(columns, side)
    wide = values[:, low] * (1 - way) + values[:, high] * way
    low, high, way = _places(rows, side)
    noise: np.ndarray = wide[low] * (1 - way[:, None]) + wide[high] * way[:, None]
    return noise


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number in [low, high)."""
    return low + (high - low) * float(rng.random())


def colour(rng: np.random.Generator, low: tuple[int, ...], high: tuple[int, ...]) -> np.ndarray:
    """Return a random float32 colour between two, each channel on its own."""
    span = np.array(high, np.float32) - np.array(low, np.float32)
    drawn: np.ndarray = np.array(low, np.float32) + span * rng.random(3, dtype=np.float32)
    return drawn


def direction(rng: np.random.Generator) -> tuple[float, float]:
    """Return the cosine and sine of a random angle, as a random point of the disc, normalized.

    This is von Neumann's method (1951). It needs a square root, which is rounded alike on all
    machines, and no trigonometric functions, which are not.
    """
    while True:
        x, y = uniform(rng, -1, 1), uniform(rng, -1, 1)
        square = x * x + y * y
        if 0.01 < square <= 1:
            length = math.sqrt(square)
            return x / length, y / length


def in_other_light(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return float32 NHWC pictures, with brightness and contrast of each channel varied."""
    shape = (len(pictures), 1, 1, 3)
    gain = rng.uniform(0.8, 1.25, shape).astype(np.float32)
    return pictures * gain + rng.uniform(-15, 15, shape).astype(np.float32)
