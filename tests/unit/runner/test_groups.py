"""Whose answers are compared with whose, and in which order they are given."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.runner.groups import compared_last, compared_with

EAGER = Cell("net", "fp32", "pytorch")
INT8 = Cell("net", "int8", "openvino")
OTHER = Cell("other", "fp32", "openvino")


def test_answers_are_compared_with_those_of_eager_fp32() -> None:
    cells = [INT8, EAGER, OTHER]
    assert compared_with(INT8, cells) == EAGER.id
    assert compared_with(EAGER, cells) == compared_with(OTHER, cells) == ""


def test_what_others_are_compared_with_is_answered_first() -> None:
    assert compared_last([INT8, OTHER, EAGER]) == [OTHER, EAGER, INT8]
    assert compared_last([EAGER, INT8, OTHER]) == [EAGER, OTHER, INT8]
