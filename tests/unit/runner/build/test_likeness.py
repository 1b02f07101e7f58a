"""How alike answers are, by hand; and what a cosine says nothing of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from perfsuite.domain.record import Likeness
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.runner.build.likeness import (
    NOT_FINITE,
    NOT_FLOAT,
    OTHER_SHAPE,
    SETS,
    calls_like,
    likeness,
)


class Boxes(Task):
    def agreement(self, expected: Outputs, answered: Outputs, precision: str) -> dict[str, float]:
        return {"boxes": 0.0}


def manifest(outputs: str = "y", batch: int = 1) -> Manifest:
    return Manifest("fake", "cpu", "fp32", batch, (), tuple(outputs.split()), True, True)


def floats(*values: object) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("expected", "answered", "cosine", "error"),
    [
        (floats([3, 4]), floats([3, 4]), 1.0, 0.0),
        (floats([3, 4]), floats([6, 8]), 1.0, 1.0),
        (floats([3, 4]), floats([4, -3]), 0.0, 2**0.5),
        (floats([3, 4]), floats([-3, -4]), -1.0, 2.0),
        (floats([0, 0]), floats([0, 0]), 1.0, 0.0),
        (floats([0, 0]), floats([0, 1]), 0.0, 1.0),
        (floats([3, 4, -np.inf]), floats([3, 4, -np.inf]), 1.0, 0.0),
    ],
)
def test_by_hand(expected: np.ndarray, answered: np.ndarray, cosine: float, error: float) -> None:
    (one,) = likeness(Task(), manifest(), [{}], [[expected]], [[answered]])
    assert (one.output, one.samples, one.left_out) == ("y", 1, "")
    assert one.cosine == pytest.approx(cosine)
    assert one.relative_error == pytest.approx(error)


def test_the_mean_is_over_all_samples_of_all_calls() -> None:
    expected = [[floats([1, 0], [0, 5])], [floats([2, 0], [0, 1])]]
    answered = [[floats([1, 0], [5, 0])], [floats([4, 0], [0, 1])]]
    (one,) = likeness(Task(), manifest(batch=2), [{}, {}], expected, answered)
    assert (one.cosine, one.samples) == (pytest.approx(0.75), 4)
    assert one.relative_error == pytest.approx((2**0.5 + 1) / 4)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda n: np.array([[n, 1]]), NOT_FLOAT),
        (lambda n: np.ones((1, 2 + n), np.float32), OTHER_SHAPE),
        (lambda n: np.full((1, 2), np.nan, np.float32), NOT_FINITE),
    ],
)
def test_what_is_left_out_is_told(make: Callable[[int], np.ndarray], reason: str) -> None:
    values = [[make(n), floats([1])] for n in (0, 1)]
    assert likeness(Task(), manifest("y z"), [{}, {}], values, values) == (
        Likeness("y", left_out=reason),
        Likeness("z", 1.0, 0.0, 2),
    )


def test_shapes_that_follow_from_those_of_the_inputs_are_compared() -> None:
    given = [{"x": np.zeros((1, side), np.float32)} for side in (2, 4, 4)]
    values = [[one["x"] + 1] for one in given]
    assert likeness(Task(), manifest(), given, values, values) == (Likeness("y", 1.0, 0.0, 3),)
    values[2] = [np.ones((1, 5), np.float32)]  # another than that of inputs of the same sides
    (one,) = likeness(Task(), manifest(), given, values, values)
    assert one.left_out == OTHER_SHAPE


def test_sets_are_not_compared_value_by_value() -> None:
    values = [[floats([1, 2])]]
    assert likeness(Boxes(), manifest(), [{}], values, values) == (Likeness("y", left_out=SETS),)
    assert likeness(Task(), manifest("y z"), [{}, {}], values, values) == ()


@pytest.mark.parametrize("shapes", [[(7, 4), (7,), (7,)], [(1, 7, 4), (1, 7)]])
def test_boxes_in_the_order_of_their_scores_are_sets(shapes: list[tuple[int, ...]]) -> None:
    outputs = [np.random.default_rng(0).random(shape).astype(np.float32) for shape in shapes]
    names = " ".join(f"y{place}" for place in range(len(shapes)))
    found = likeness(Task(), manifest(names), [{}], [outputs], [outputs])
    assert {one.left_out for one in found} == {SETS}


@pytest.mark.parametrize("shapes", [[(2, 4), (2,)], [(1, 7, 4), (1, 7, 20)], [(9, 4)]])
def test_one_box_a_sample_and_one_for_each_query_are_compared(
    shapes: list[tuple[int, ...]],
) -> None:
    outputs = [np.random.default_rng(0).random(shape).astype(np.float32) for shape in shapes]
    names = " ".join(f"y{place}" for place in range(len(shapes)))
    found = likeness(Task(), manifest(names, batch=2), [{}], [outputs], [outputs])
    assert [one.cosine for one in found] == pytest.approx([1.0] * len(shapes))


def test_what_is_the_same_for_all_samples_counts_none() -> None:
    class Scaled(Task):
        def calibration(self, samples: int) -> Iterator[Inputs]:
            yield {"scale": np.array(2.0), "x": floats(*range(samples))}

    example = {"scale": np.array(2.0), "x": floats(0, 0)}
    calls = calls_like(example, Scaled(), {"scale"})
    assert [call["x"].tolist() for call in calls] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert all(call["scale"] == 2.0 for call in calls)
    again = calls_like(example, Scaled())  # what has no sides counts none either
    assert [call["x"].tolist() for call in again] == [call["x"].tolist() for call in calls]


def test_where_no_input_counts_samples_a_call_is_one() -> None:
    class Pictures(Task):
        def calibration(self, samples: int) -> Iterator[Inputs]:
            for number in range(samples):
                yield {"x": np.full((3, 2), number)}

    calls = calls_like({"x": np.zeros((3, 2))}, Pictures(), {"x"})
    assert [call["x"][0, 0] for call in calls] == [0, 1, 2, 3]
