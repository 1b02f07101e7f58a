"""Verdicts, as pure functions of stored runs."""

from perfsuite.judge.comparison import Change, Comparison, compare
from perfsuite.judge.judging import exit_code, judge
from perfsuite.judge.reference import ok_cells, reference_cell

__all__ = [
    "Change",
    "Comparison",
    "compare",
    "exit_code",
    "judge",
    "ok_cells",
    "reference_cell",
]
