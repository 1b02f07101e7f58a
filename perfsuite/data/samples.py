"""What every data set of labelled pictures gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

SPLITS = ("train", "calibration", "test")


class Samples(NamedTuple):
    """uint8 NHWC `images` and uint8 `labels`, perhaps memory-mapped."""

    images: np.ndarray
    labels: np.ndarray


def check_split(split: str) -> None:
    """Raise `ConfigError` unless `split` is one of `SPLITS`."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split '{split}'{suggestion(split, SPLITS)}")
