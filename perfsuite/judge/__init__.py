"""Verdicts, as pure functions of stored runs."""

from perfsuite.judge.comparison import Change, Comparison, compare
from perfsuite.judge.judging import USAGE, exit_code, judge
from perfsuite.judge.parent import parent_cell
from perfsuite.judge.reference import ok_cells, reference_cell
from perfsuite.judge.status import expectation, trouble, without_breakdown
from perfsuite.judge.theory import Gain, gain

__all__ = [
    "USAGE",
    "Change",
    "Comparison",
    "Gain",
    "compare",
    "exit_code",
    "expectation",
    "gain",
    "judge",
    "ok_cells",
    "parent_cell",
    "reference_cell",
    "trouble",
    "without_breakdown",
]
