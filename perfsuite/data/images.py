"""Pictures as model inputs, and augmentations for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    from PIL import Image

LEAST_SIDE = 4  # pixels of a picture that is worth being shown
_DARKEST = 64  # bytes whose largest is smaller are of another range, as those from 0 to 16 are

# The usual statistics of RGB photographs, per channel, for pictures scaled to [0, 1].
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def normalized(pictures: np.ndarray) -> np.ndarray:
    """Return float32 NCHW, zero mean and unit deviation, of uint8 NHWC RGB `pictures`."""
    scale = (1.0 / (255.0 * DEVIATION)).astype(np.float32)
    shift = (MEAN / DEVIATION).astype(np.float32)
    return np.ascontiguousarray((pictures * scale - shift).transpose(0, 3, 1, 2))


def how_normalized(height: int, width: int) -> Preprocessing:
    """Return what `normalized` does to pictures of this size, as data."""
    scale, shift = (1.0 / (255.0 * DEVIATION)).astype(np.float32), MEAN / DEVIATION
    return Preprocessing(height, width, tuple(map(float, scale)), tuple(map(float, shift)))


def shifted_and_flipped(
    pictures: np.ndarray, rng: np.random.Generator, *, pad: int = 4, flip: bool = True
) -> np.ndarray:
    """Return NHWC pictures shifted by up to `pad` pixels at random, with reflected edges.

    With `flip`, each is mirrored left to right with a probability of one half.
    """
    count, height, width = pictures.shape[:3]
    padded = np.pad(pictures, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    moves = rng.integers(0, 2 * pad + 1, (2, count, 1))
    top, left = moves[0] + np.arange(height), moves[1] + np.arange(width)
    if flip:
        mirrored = rng.random(count) < 0.5
        left[mirrored] = left[mirrored, ::-1]
    moved: np.ndarray = padded[np.arange(count)[:, None, None], top[:, :, None], left[:, None, :]]
    return moved


def rgb(picture: Image.Image) -> np.ndarray:
    """Return an opened picture as uint8 (height, width, 3); 16-bit values are scaled to 8 bits.

    Raises `ValueError` for values whose range is not known.
    """
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise ValueError(f"its values (mode {picture.mode}) have no known range; save it in 8 bits")
    return np.asarray(picture.convert("RGB"))


def cropped(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a uint8 (h, w, 3) picture scaled and cropped around its centre to that size."""
    from PIL import Image, ImageOps

    fitted = ImageOps.fit(Image.fromarray(picture), (width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted)


def displayed(pictures: np.ndarray) -> np.ndarray:
    """Return uint8 pictures, (N, height, width, 3) or (N, height, width), to be looked at.

    Those given are of any layout, with 1 or 3 channels, and of any range: other values than bytes
    that use the range of bytes are stretched between the smallest and the largest of them all.
    Raises `Unsupported` for what is no pictures.
    """
    found = np.asarray(pictures)
    if found.ndim == 4 and found.shape[-1] not in (1, 3) and found.shape[1] in (1, 3):
        found = found.transpose(0, 2, 3, 1)
    looks = found.ndim == 4 and found.shape[-1] in (1, 3) and min(found.shape[1:3]) >= LEAST_SIDE
    if not looks or found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise Unsupported(
            f"samples are {found.dtype} {found.shape[1:]} each, which is no picture of 1 or 3 "
            f"channels"
        )
    if found.dtype != np.uint8 or (found.size and found.max() < _DARKEST):
        values = found.astype(np.float64)
        least = values.min(initial=0.0 if found.dtype.kind == "u" else np.inf)
        extent = values.max(initial=-np.inf) - least
        found = np.round((values - least) * (255.0 / extent if extent > 0 else 0.0))
    found = found.astype(np.uint8)
    return found[..., 0] if found.shape[-1] == 1 else found
