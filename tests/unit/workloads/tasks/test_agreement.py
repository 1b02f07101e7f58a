"""The agreement of two answers, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.workloads.tasks.agreement import agreement, cosine


def test_the_cosine_of_floats() -> None:
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(0.5**0.5)
    assert cosine(np.array([1.0, 2.0]), np.array([10.0, 20.0])) == pytest.approx(1.0)
    assert cosine(np.array([1.0]), np.array([-1.0])) == 0.0
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert cosine(np.zeros(3), np.ones(3)) == 0.0
    assert cosine(np.array([1e200, 0]), np.array([1e-200, 0])) == pytest.approx(1.0)
    assert cosine(np.zeros(0), np.zeros(0)) == 1.0


def test_masked_logits_agree_where_both_are_masked() -> None:
    masked = np.array([1.0, -np.inf, 2.0])
    assert cosine(masked, masked) == pytest.approx(1.0)
    assert cosine(masked, np.array([1.0, 5.0, 2.0])) == 0.0
    assert cosine(np.array([1.0, 5.0]), np.array([1.0, np.nan])) == 0.0


def test_the_worst_output_counts() -> None:
    good, bad = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert agreement([good, good], [good, bad]) == 0.0
    assert agreement([good, good], [good, good]) == pytest.approx(1.0)
    assert agreement([good], [good, good]) == 0.0
    assert agreement([good], [np.ones((1, 3))]) == 0.0


def test_whole_numbers_and_masks() -> None:
    assert agreement([np.array([1, 2, 3, 4])], [np.array([1, 2, 3, 5])]) == 0.75
    mask, other = np.zeros((1, 8, 8), int), np.zeros((1, 8, 8), int)
    mask[0, :4], other[0, :2] = 1, 1
    # Class 1: 16 of 32 pixels; class 0: 32 of 48.
    assert agreement([mask], [other]) == pytest.approx((16 / 32 + 32 / 48) / 2)


def test_detections_are_matched_whatever_their_order_and_number() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    labels, scores = np.array([1, 2]), np.array([0.9, 0.8], np.float32)
    turned = [boxes[::-1], labels[::-1], scores[::-1]]
    assert agreement([boxes, labels, scores], turned) == 1.0
    fewer = [boxes[:1], labels[:1], scores[:1]]
    assert agreement([boxes, labels, scores], fewer) == pytest.approx(2 / 3)
    other_label = [boxes, np.array([1, 3]), scores]
    assert agreement([boxes, labels, scores], other_label) == 0.5
    nothing = [boxes[:0], labels[:0], scores[:0]]
    assert agreement(nothing, nothing) == 1.0 and agreement(nothing, fewer) == 0.0
