"""Masks may lie a pixel further than the reference's, and no further."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.errors import ParityError
from perfsuite.export.parity import parity
from perfsuite.export.pasted import in_same_place

BOXES = np.array([[2, 2, 12, 12], [5, 5, 15, 15]], np.float32)


def _disc(column: float) -> np.ndarray:
    """Return masks (2, 1, 20, 20) of a disc with a soft edge, whose middle is at `column`."""
    down, right = np.mgrid[:20, :20]
    one = np.clip(6 - np.hypot(down - 10, right - column), 0, 1).astype(np.float32)
    return np.stack([one, one])[:, None]


def test_a_mask_that_lies_a_pixel_further_is_the_same() -> None:
    masks, moved = _disc(9), _disc(10)
    with pytest.raises(ParityError):
        parity([BOXES, masks], [BOXES, moved], ["boxes", "masks"], "fp32")
    found = in_same_place([BOXES, masks], [BOXES, moved], 1e-4)
    assert found is not None
    assert parity([BOXES, masks], found, ["boxes", "masks"], "fp32")["masks"] <= 1e-4


def test_a_mask_that_lies_two_pixels_further_is_another() -> None:
    found = in_same_place([BOXES, _disc(9)], [BOXES, _disc(11)], 1e-4)
    assert found is not None
    with pytest.raises(ParityError, match="masks"):
        parity([BOXES, _disc(9)], found, ["boxes", "masks"], "fp32")


def test_a_difference_that_no_move_makes_stays() -> None:
    found = in_same_place([BOXES, _disc(9)], [BOXES, _disc(9) * np.float32(0.9)], 1e-4)
    assert found is not None
    assert np.abs(found[1] - _disc(9)).max() == pytest.approx(0.1, rel=1e-6)


def test_what_is_within_the_tolerance_is_told_as_it_is() -> None:
    near = _disc(9) + np.float32(5e-5)
    found = in_same_place([BOXES, _disc(9)], [BOXES, near], 1e-4)
    assert found is not None
    np.testing.assert_array_equal(found[1], near)


def test_a_hundredth_of_the_pixels_in_masks_may_differ_otherwise() -> None:
    masks, other = np.ones((2, 10, 10), bool), np.ones((2, 10, 10), bool)
    other[0, 4, 4:6] = False
    found = in_same_place([BOXES, masks], [BOXES, other], 1e-4)
    assert found is not None
    np.testing.assert_array_equal(found[1], masks)
    other[1, 4, 4] = False  # three of 200
    found = in_same_place([BOXES, masks], [BOXES, other], 1e-4)
    assert found is not None
    np.testing.assert_array_equal(found[1], other)


@pytest.mark.parametrize(
    "others",
    [
        [np.ones((2, 10, 10), np.float32)],  # no boxes
        [BOXES, np.ones((3, 10, 10), np.float32)],  # not as many
        [BOXES, np.ones((2, 5, 10, 10), np.float32)],  # features
        [BOXES, np.ones((2, 10, 10), np.int64)],
        [BOXES, np.ones((2, 1, 2, 10), np.float32)],
    ],
)
def test_what_is_no_mask_is_left_alone(others: list[np.ndarray]) -> None:
    assert in_same_place(others, others, 1e-4) is None
