"""Warnings in words."""

from __future__ import annotations

import pytest

from perfsuite.domain.judgement import Labelled, TimeWasUp
from perfsuite.domain.record import FROZEN
from perfsuite.report.sentences import caution_sentence


@pytest.mark.parametrize(
    ("caution", "words"),
    [
        (TimeWasUp(10.0, 2), "measuring ended after 10 minutes with 2 verdicts open"),
        (TimeWasUp(1.0, 1), "measuring ended after 1 minute with 1 verdict open"),
        (TimeWasUp(0.5, 1), "measuring ended after 0.5 minutes with 1 verdict open"),
    ],
)
def test_what_was_open_when_the_time_was_up(caution: TimeWasUp, words: str) -> None:
    assert caution_sentence(caution) == f"{words}: give it more `minutes`, or fewer cells"


def test_a_graph_that_was_traced_where_forward_looks_at_numbers() -> None:
    said = caution_sentence(Labelled(f"{FROZEN}net.py:7 (a branch)", ("a", "b")))
    assert said.startswith("a, b: its forward reads values of its input in Python, at net.py:7 (a")
