"""Small images, and what is said of them, whatever a user's task gives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from perfsuite.domain.pictures import Box, Look, Said, Shown
from perfsuite.errors import ConfigError
from perfsuite.runner.jobs.thumbnails import thumbnail

SMALL = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
CAT = Said("cat")


def test_a_small_picture_is_stored_as_it_is_and_a_large_one_is_made_smaller() -> None:
    found, content = thumbnail(7, Shown(SMALL, CAT, CAT))
    assert (found.sample, found.width, found.height, found.file[-4:]) == (7, 4, 4, ".png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), SMALL)
    found, content = thumbnail(0, Shown(np.zeros((900, 450), np.uint8), CAT, CAT))
    assert (found.width, found.height, found.file[-4:]) == (160, 320, ".jpg")
    assert Image.open(io.BytesIO(content)).size == (160, 320)


def test_what_is_said_is_bounded() -> None:
    boxes = tuple(Box(0, 0, 1, 1, "x" * 999) for _ in range(99))
    looks = tuple(Look("\ud800 word", tuple(range(9999)), 3) for _ in range(99))
    found = thumbnail(0, Shown(SMALL, Said("w" * 999), Said(boxes=boxes, looks=looks)))[0]
    assert len(found.truth.words) == 200
    assert (len(found.answer.boxes), len(found.answer.boxes[0].label)) == (40, 200)
    assert (len(found.answer.looks), found.answer.looks[0]) == (32, Look("? word", (), 3))


@pytest.mark.parametrize(
    "shown",
    [
        Shown(SMALL.astype(float), CAT, CAT),
        Shown(SMALL[..., :2], CAT, CAT),
        Shown(np.zeros((0, 4, 3), np.uint8), CAT, CAT),
        Shown(SMALL, "cat", CAT),  # type: ignore[arg-type]
        Shown(SMALL, CAT, Said(boxes=(Box(0, 0, float("nan"), 1),))),
        Shown(SMALL, CAT, Said(looks=(Look("a", (0.5,)),))),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_shown_is_an_error_that_says_so(shown: Shown) -> None:
    with pytest.raises(ConfigError):
        thumbnail(0, shown)
