"""Verdicts, as pure functions of stored runs."""

from perfsuite.judge.comparison import Change, Comparison, compare
from perfsuite.judge.judging import USAGE, exit_code, judge
from perfsuite.judge.reference import ok_cells, reference_cell
from perfsuite.judge.status import expectation, trouble, without_breakdown

__all__ = [
    "USAGE",
    "Change",
    "Comparison",
    "compare",
    "exit_code",
    "expectation",
    "judge",
    "ok_cells",
    "reference_cell",
    "trouble",
    "without_breakdown",
]
