"""Labelled pictures, as every data set returns them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

# Called with a text of what is being done, the amount done, and the total or None.
FetchProgress = Callable[[str, int, int | None], None]

SPLITS = ("train", "calibration", "test")
# Those of data sets that have samples for validation which training never sees.
WITH_VALIDATION = (*SPLITS, "validation")
# What generated samples of a split are seeded by; 3 seeds what all splits share.
SEEDS = {"train": 0, "calibration": 1, "test": 2, "validation": 4}


class Samples(NamedTuple):
    """uint8 NHWC `images` and uint8 `labels`, perhaps memory-mapped."""

    images: np.ndarray
    labels: np.ndarray


def check_split(split: str, known: Sequence[str] = SPLITS) -> None:
    """Raise `ConfigError` unless `split` is one of those `known`."""
    if split not in known:
        raise ConfigError(f"unknown split '{split}'{suggestion(split, known)}")


def held_out_tenth(count: int) -> np.ndarray:
    """Return the places, in order, of a seeded tenth of `count` training samples, rounded up."""
    places: np.ndarray = np.random.default_rng(0).permutation(count)[: math.ceil(count / 10)]
    return np.sort(places)
