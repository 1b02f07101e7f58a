"""Verdicts, as pure functions of stored runs."""

from perfsuite.judge.comparison import CellChange, Comparison, compare
from perfsuite.judge.judging import USAGE, exit_code, judge, judge_profile
from perfsuite.judge.realised import Gain, gain
from perfsuite.judge.references import ok_cells, parent_cell, reference_cell
from perfsuite.judge.status import expectation, trouble, without_breakdown

__all__ = [
    "USAGE",
    "CellChange",
    "Comparison",
    "Gain",
    "compare",
    "exit_code",
    "expectation",
    "gain",
    "judge",
    "judge_profile",
    "ok_cells",
    "parent_cell",
    "reference_cell",
    "trouble",
    "without_breakdown",
]
