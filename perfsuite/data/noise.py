"""Seeded noise, for pictures that are generated and for augmenting them.

Generators use elementwise sums, products and square roots alone, here and on top: IEEE 754 fixes
them to the last bit, so that a seed gives the same picture on every machine.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np


@cache
def _places(cells: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each pixel's grid points on both sides, and how far it is between them."""
    at = ((np.arange(side) + 0.5) * (cells / side)).astype(np.float32)
    low = np.minimum(at.astype(np.int64), cells - 1)
    return low, low + 1, at - low.astype(np.float32)


def smooth_noise(rng: np.random.Generator, rows: int, columns: int, side: int) -> np.ndarray:
    """Return float32 (side, side) in [0, 1): random values at rows x columns, bilinear between."""
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
    """Return a float32 colour between two, each channel by itself."""
    span = np.array(high, np.float32) - np.array(low, np.float32)
    drawn: np.ndarray = np.array(low, np.float32) + span * rng.random(3, dtype=np.float32)
    return drawn


def direction(rng: np.random.Generator) -> tuple[float, float]:
    """Return the cosine and sine of a random angle, without computing either.

    A point in the disc, brought to the circle (von Neumann 1951): square roots round alike
    everywhere, trigonometric functions do not.
    """
    while True:
        x, y = uniform(rng, -1, 1), uniform(rng, -1, 1)
        square = x * x + y * y
        if 0.01 < square <= 1:
            length = math.sqrt(square)
            return x / length, y / length


def in_other_light(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return float32 NHWC pictures, each channel somewhat brighter and of more or less contrast."""
    shape = (len(pictures), 1, 1, 3)
    gain = rng.uniform(0.8, 1.25, shape).astype(np.float32)
    return pictures * gain + rng.uniform(-15, 15, shape).astype(np.float32)
