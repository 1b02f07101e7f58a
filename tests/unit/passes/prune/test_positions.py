"""Which positions go together, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfsuite.passes.prune.positions import Positions, compact, varying


def test_what_is_tied_has_one_least_position() -> None:
    positions = Positions()
    a, b = positions.fresh(3), positions.fresh(3)
    positions.tie(a, b[::-1], "no")
    assert positions.find(b).tolist() == [2, 1, 0]
    positions.tie(a[:1], b, "no")  # broadcast: all with the first
    assert positions.find(np.concatenate([a, b])).tolist() == [0] * 6
    assert positions.find(np.array([-1, 4])).tolist() == [-1, 0]


def test_the_first_reason_counts_and_is_passed_on() -> None:
    positions = Positions()
    a, b, c = positions.fresh(2), positions.fresh(2), positions.fresh(2)
    positions.freeze(b[:1], "first")
    positions.freeze(c[:1], lambda: "second")
    positions.freeze(b[:1], "third")
    positions.tie(c, a, "no")
    positions.tie(a, b, "no")
    assert positions.why(int(positions.find(c)[0])) == "first"
    assert positions.why(int(positions.find(c)[1])) == ""
    positions.tie(np.array([-1]), c[1:], "meets what stays")
    assert positions.why(int(positions.find(b)[1])) == "meets what stays"


def test_a_copy_is_joined_alone() -> None:
    positions = Positions()
    a = positions.fresh(2000)
    other = positions.copy()
    other.tie(a[:1], a, "no")
    other.freeze(a, "stays")
    assert positions.find(a).tolist() == a.tolist()
    assert positions.why(0) == "" and other.why(0) == "stays"


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_ties_are_those_of_sets(pairs: list[tuple[int, int]]) -> None:
    positions = Positions()
    positions.fresh(20)
    classes = [{place} for place in range(20)]
    for one, other in pairs:
        positions.tie(np.array([one]), np.array([other]), "no")
        both = classes[one] | classes[other]
        for place in both:
            classes[place] = both
    assert positions.find(np.arange(20)).tolist() == [min(found) for found in classes]


@pytest.mark.parametrize(
    ("labels", "shape"),
    [(np.zeros((2, 3), int), (1, 1)), (np.arange(3) + np.zeros((2, 1)), (1, 3))],
)
def test_axes_without_a_difference_are_one_place(labels: np.ndarray, shape: tuple[int]) -> None:
    assert compact(labels).shape == shape
    assert varying(compact(labels)) == [axis for axis, side in enumerate(shape) if side > 1]
