"""Two photographs inside the scikit-learn package, for models whose own data are not here."""

from __future__ import annotations

from functools import cache

import numpy as np

from perfsuite.data.sklearn_files import sklearn_file


@cache
def photographs() -> np.ndarray:
    """Return uint8 (2, 427, 640, 3) RGB: a temple in China, and a flower.

    Raises `Unavailable` without scikit-learn.
    """
    from PIL import Image

    files = [sklearn_file(f"images/{name}.jpg", "photographs") for name in ("china", "flower")]
    if all(file.is_file() for file in files):
        return np.stack([np.asarray(Image.open(file)) for file in files])
    from sklearn.datasets import load_sample_images  # which knows where another version has them

    return np.stack(load_sample_images().images)


def sections(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Return `count` sections of the photographs as uint8 (count, height, width, 3).

    Each has at least two thirds of a photograph's sides and the proportions of the result, to which
    it is scaled, and may be mirrored; all this depends on `seed`.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    pictures = np.empty((count, height, width, 3), np.uint8)
    for index in range(count):
        photograph = photographs()[rng.integers(2)]
        rows, columns = photograph.shape[:2]
        largest = min(rows / height, columns / width)
        scale = largest * rng.uniform(2 / 3, 1)
        high, wide = int(height * scale), int(width * scale)
        top, left = rng.integers(rows - high + 1), rng.integers(columns - wide + 1)
        section = Image.fromarray(photograph[top : top + high, left : left + wide])
        resized = np.asarray(section.resize((width, height), Image.Resampling.BILINEAR))
        pictures[index] = resized[:, ::-1] if rng.random() < 0.5 else resized
    return pictures
