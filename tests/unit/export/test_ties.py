"""Detections with equal scores change places, and nothing else does."""

from __future__ import annotations

import numpy as np

from perfsuite.export.ties import in_same_order

BOXES = np.array([[0, 0, 9, 9], [50, 50, 60, 60], [20, 20, 40, 40]], np.float32)
SCORES = np.array([0.9, 0.9, 0.5], np.float32)
LABELS = np.array([1, 2, 1])


def test_rows_with_equal_scores_are_put_in_order() -> None:
    order = [1, 0, 2]
    near = SCORES + np.array([1e-6, 0, 0], np.float32)
    found = in_same_order([BOXES, SCORES, LABELS], [BOXES[order], near, LABELS[order]], 1e-4)
    assert found is not None
    np.testing.assert_array_equal(found[0], BOXES)
    np.testing.assert_array_equal(found[2], LABELS)


def test_scores_are_equal_within_what_means_nothing() -> None:
    order = [1, 0, 2]
    moved = [BOXES[order], SCORES + np.array([3e-4, 0, 0], np.float32), LABELS[order]]
    whole = [BOXES, SCORES, LABELS]
    assert in_same_order(whole, moved, 1e-4) is None, "the first has no partner"
    found = in_same_order(whole, moved, 1e-4, [0.0, 1e-3, 0.0])
    assert found is not None
    np.testing.assert_array_equal(found[0], BOXES)


def test_rows_with_other_scores_stay_where_they_are() -> None:
    order = [2, 1, 0]
    moved = [BOXES[order], SCORES, LABELS[order]]
    found = in_same_order([BOXES, SCORES, LABELS], moved, 1e-4)
    assert found is not None
    assert not np.array_equal(found[0], BOXES)
    swapped = [BOXES[order], SCORES[order], LABELS[order]]
    in_order = in_same_order([BOXES, SCORES, LABELS], swapped, 1e-4)
    assert in_order is not None, "the engine did not sort, and each row has its partner"
    np.testing.assert_array_equal(in_order[0], BOXES)


def test_what_is_no_set_is_left_alone() -> None:
    assert in_same_order([SCORES], [SCORES], 1e-4) is None
    assert in_same_order([BOXES, SCORES[::-1]], [BOXES, SCORES[::-1]], 1e-4) is None
    assert in_same_order([BOXES, SCORES], [BOXES[:2], SCORES[:2]], 1e-4) is None
    assert in_same_order([BOXES, SCORES], [BOXES, SCORES / 2], 1e-4) is None, "without partners"
    one = [BOXES[:1], SCORES[:1]]
    assert in_same_order(one, one, 1e-4) is None


def test_labels_that_are_all_equal_are_no_scores() -> None:
    outputs = [BOXES, np.ones(3, np.float32), np.array([0.5, 0.9, 0.1], np.float32)]
    assert in_same_order(outputs, [one[::-1] for one in outputs], 1e-4) is None
