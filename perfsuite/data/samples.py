"""Labelled pictures, as every data set returns them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

# Called with a text of what is being done, the amount done, and the total or None.
FetchProgress = Callable[[str, int, int | None], None]

SPLITS = ("train", "calibration", "test")


class Samples(NamedTuple):
    """uint8 NHWC `images` and uint8 `labels`, perhaps memory-mapped."""

    images: np.ndarray
    labels: np.ndarray


def check_split(split: str) -> None:
    """Raise `ConfigError` unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split '{split}'{suggestion(split, SPLITS)}")
