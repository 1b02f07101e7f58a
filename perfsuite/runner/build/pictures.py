"""Pictures of the user as inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perfsuite.data.images import rgb
from perfsuite.errors import ConfigError


def read_picture(path: Path) -> np.ndarray:
    """Return the picture in `path` as uint8 (height, width, RGB), rotated upright by its EXIF data.

    Raises `ConfigError` for a file that is no picture, or a broken one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as error:
        raise ConfigError(f"{path}: not a picture in a format that can be read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: this picture cannot be read: {error}") from error
