"""Preprocessing as data: numbers by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.config.conversion import Location, convert
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.errors import ConfigError

PIXEL = np.array([[[[0, 51, 255]]]], np.uint8)  # one picture of one pixel


def test_the_numbers_of_a_pixel_by_hand() -> None:
    plain = Preprocessing(1, 1)(PIXEL)
    assert plain.dtype == np.float32 and plain.shape == (1, 3, 1, 1)
    assert plain.ravel().tolist() == pytest.approx([0.0, 0.2, 1.0])
    each = Preprocessing(1, 1, (1.0,), (1.0, 2.0, 3.0), (1.0, 7.0, 4.0), layout="NHWC")(PIXEL)
    assert each.shape == (1, 1, 1, 3) and each.ravel().tolist() == [-1.0, 7.0, 63.0]
    turned = Preprocessing(1, 1, (1.0,), colours="BGR", dtype="uint8")(PIXEL)
    assert turned.dtype == np.uint8 and turned.ravel().tolist() == [255, 51, 0]
    grey = Preprocessing(1, 1, (1.0,), (5.0,), (2.0,), colours="grey")
    assert grey.channels == 1
    assert grey(np.array([[[[9]]]], np.uint8)).tolist() == [[[[2.0]]]]


def test_the_order_of_pixels_is_kept() -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    made = Preprocessing(2, 2, (1.0,))(stored)
    assert made[0, 1].tolist() == [[1, 4], [7, 10]]
    assert made.flags.c_contiguous


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"height": 0}, "pictures of 0 x 4 pixels"),
        ({"mean": [0.1, 0.2]}, "mean has 2 numbers for 3 channels"),
        ({"colours": "grey", "mean": [0.1, 0.2, 0.3]}, "mean has 3 numbers for 1 channels"),
        ({"std": [0.0]}, "std is .*; it must be finite, and std not 0"),
        ({"layout": "CHW"}, "'CHW' is none of NCHW, NHWC"),
    ],
)
def test_what_no_picture_can_have_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        convert({"height": 4, "width": 4, **fields}, Preprocessing, Location("x"))
    with pytest.raises(ValueError, match="finite"):
        Preprocessing(1, 1, scale=(float("nan"),))
