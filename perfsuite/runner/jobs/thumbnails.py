"""Small image files of test samples, and what is said of them, bounded in number and size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from perfsuite.domain.pictures import Look, Picture, Said, Shown
from perfsuite.errors import ConfigError
from perfsuite.store.pictures import name_of_image
from perfsuite.user_code import kind_of

if TYPE_CHECKING:
    from PIL import Image

MOST_SIDE = 320  # pixels
_LOSSLESS = 64  # pixels of a side, up to which a picture is a PNG
_LETTERS, _BOXES, _LOOKS, _WEIGHTS = 200, 40, 32, 1024


def thumbnail(sample: int, found: Shown) -> tuple[Picture, bytes]:
    """Return the description of a sample, and its image file.

    Raises `ConfigError` where the parts of `found` are not what they should be.
    """
    picture, truth, answer = found
    for said in (truth, answer):
        if not isinstance(said, Said):
            raise ConfigError(
                f"what is true, and what was answered, must be a Said, not {kind_of(said)}"
            )
    image = _image(picture)
    image.thumbnail((MOST_SIDE, MOST_SIDE))
    suffix: Literal["png", "jpg"] = "png" if max(image.size) <= _LOSSLESS else "jpg"
    file = io.BytesIO()
    image.save(file, "PNG" if suffix == "png" else "JPEG", quality=80, optimize=True)
    content = file.getvalue()
    name = name_of_image(content, suffix)
    return Picture(sample, name, *image.size, _bounded(truth), _bounded(answer)), content


def _image(picture: object) -> Image.Image:
    from PIL import Image

    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.size:
        if picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3):
            return Image.fromarray(np.ascontiguousarray(picture))
        raise ConfigError(
            f"a picture is uint8 (height, width, 3), or (height, width) if grey, not "
            f"{picture.shape}"
        )
    raise ConfigError(f"a picture is a uint8 array, not {kind_of(picture)}")


def _bounded(said: Said) -> Said:
    """Return what was said without what no page could show; raise where it is of wrong types."""
    cut = Said(
        _text(said.words),
        tuple(msgspec.structs.replace(box, label=_text(box.label)) for box in said.boxes[:_BOXES]),
        tuple(_look(look) for look in said.looks[:_LOOKS]),
    )
    try:
        return msgspec.json.decode(msgspec.json.encode(cut), type=Said)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"what is said of a picture cannot be stored: {error}") from error


def _look(look: Look) -> Look:
    weights = tuple(look.weights) if len(look.weights) <= _WEIGHTS else ()
    return msgspec.structs.replace(look, word=_text(look.word), weights=weights)


def _text(text: str) -> str:
    """Return a text that is not long, and can be written to a file."""
    return str(text).encode("utf-8", "replace").decode()[:_LETTERS]
