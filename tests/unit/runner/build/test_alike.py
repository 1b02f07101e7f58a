"""Answers of which parity cannot tell whether a model was followed."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runner.build.alike import answers_alike

INPUTS: list[Inputs] = [{"x": np.zeros(2)}, {"x": np.ones(2)}]
ZEROS, SCORES = np.zeros((1, 3)), np.array([[1.0, 2.0, 3.0]])
NONE, SAME = np.zeros((0, 4)), np.array([7])


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([ZEROS], [ZEROS], True),
        ([SCORES], [SCORES + 1e-4], True),
        ([SCORES], [SCORES + 1e-3], False),
        ([NONE], [NONE], True),  # a detector that finds nothing
        ([NONE], [np.zeros((1, 4))], False),
        ([ZEROS, SCORES], [ZEROS, SCORES * 2], False),
        ([SAME], [SAME], False),  # two pictures of one class
        ([ZEROS, SAME], [ZEROS, SAME + 1], True),
        ([SCORES, ZEROS], [SCORES], False),
        ([np.full(2, np.nan)], [np.full(2, np.nan)], False),
    ],
)
def test_answers_to_two_inputs(one: Outputs, other: Outputs, alike: bool) -> None:
    assert answers_alike(INPUTS, [one, other]) == alike


def test_equal_inputs_tell_nothing_and_one_that_is_answered_otherwise_is_enough() -> None:
    assert not answers_alike(INPUTS[:1], [[ZEROS]])
    assert not answers_alike([INPUTS[0]] * 2, [[ZEROS], [ZEROS]])
    third = [*INPUTS, {"x": np.full(2, 2.0)}]
    assert answers_alike(third, [[ZEROS]] * 3)
    assert not answers_alike(third, [[ZEROS], [ZEROS], [SCORES]])
