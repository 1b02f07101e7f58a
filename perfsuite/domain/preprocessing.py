"""How stored pictures become a model's input, as data, so that it can be shipped with the model."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np


class Preprocessing(msgspec.Struct, frozen=True):
    """How stored pictures, uint8 (N, height, width, channels), become the model's one input.

    Each value is `(stored * scale - mean) / std`, computed in float32; `scale`, `mean` and `std`
    have one number, or one for each channel in the model's order. Pictures are stored as RGB, and
    the model takes `colours`; grey ones have one channel. The `input` of that name has the `layout`
    and the type `dtype`. A picture of another size is scaled and cropped around its centre
    (`fit = "crop"`), or scaled to fit and padded with black below or on the right (`"pad"`).
    """

    height: int
    width: int
    scale: tuple[float, ...] = (1.0 / 255.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    colours: Literal["RGB", "BGR", "grey"] = "RGB"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    input: str = "images"
    dtype: str = "float32"
    fit: Literal["crop", "pad"] = "crop"

    def __post_init__(self) -> None:
        """Refuse sides and numbers that no picture can have."""
        if self.height < 1 or self.width < 1:
            raise ValueError(f"pictures of {self.height} x {self.width} pixels; give at least 1x1")
        for name in ("scale", "mean", "std"):
            numbers = getattr(self, name)
            if len(numbers) not in (1, self.channels):
                raise ValueError(
                    f"{name} has {len(numbers)} numbers for {self.channels} channels; give one for "
                    f"all, or one for each"
                )
            if not all(map(math.isfinite, numbers)) or (name == "std" and 0 in numbers):
                raise ValueError(f"{name} is {numbers}; it must be finite, and std not 0")

    @property
    def channels(self) -> int:
        """Return how many values a pixel has."""
        return 1 if self.colours == "grey" else 3

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Return the model's input of stored pictures."""
        numbers = (self.scale, self.mean, self.std)
        scale, mean, std = (np.array(each, np.float32) for each in numbers)
        stored = pictures[..., ::-1] if self.colours == "BGR" else pictures
        values: np.ndarray = (stored * scale - mean) / std
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, self.dtype)
