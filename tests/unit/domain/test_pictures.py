"""Boxes become fractions of a picture's sides."""

import numpy as np

from perfsuite.domain.pictures import Box, boxes_in


def test_corners_become_fractions_and_are_cut_to_the_picture() -> None:
    corners = np.array([[10, 20, 50, 100], [-5, 0, 400, 3]], np.float32)
    assert boxes_in(corners, ["a", "b"], height=100, width=200) == (
        Box(0.05, 0.2, 0.25, 1.0, "a"),
        Box(0.0, 0.0, 1.0, 0.03, "b"),
    )


def test_scores_are_kept_and_what_is_no_number_is_left_out() -> None:
    corners = np.array([[0, 0, 1, 1], [0, np.nan, 1, 1], [0, 0, 2, 2], [0, 0, 1, 2]])
    scores = np.array([0.51239, 0.5, np.inf, 0.0])
    found = boxes_in(corners, ["a", "b", "c", "d"], height=2, width=2, scores=scores)
    assert found == (Box(0, 0, 0.5, 0.5, "a", 0.5124), Box(0, 0, 0.5, 1.0, "d", 0.0))


def test_no_box_is_no_fault() -> None:
    assert boxes_in(np.zeros((0, 4)), [], 5, 5, np.zeros(0)) == ()
