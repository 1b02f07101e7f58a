"""Two runs beside each other."""

from __future__ import annotations

import pytest
from judged_runs import EAGER, INT8, PAIR, noisy, other_machine, run, scaled

from perfsuite.domain.verdict import Difference
from perfsuite.judge import compare
from perfsuite.report.sentences import change_notes


def test_compare_two_runs() -> None:
    before = noisy(1.0, 0, 0.01)
    found = compare(before, scaled(before, 1.2, INT8))
    assert [one.key for one in found.changes] == [EAGER.key, INT8.key]
    eager, int8 = found.changes
    assert eager.latency_ratio is not None
    assert eager.latency_ratio.value == 1.0
    assert int8.latency_ratio is not None
    assert int8.latency_ratio.value == pytest.approx(1.2)
    assert int8.loss_points is not None
    assert int8.loss_points.value == 0.0
    gone = compare(before, run(PAIR[0]))
    assert gone.only_before == (INT8.key,)
    far = compare(other_machine(before), before)
    assert far.changes[0].latency_ratio is None
    (reason,) = far.changes[0].reasons
    assert reason.kind == "other_machine"
    assert Difference("processor", "A", "B") in reason.differences
    assert "processor ('A' here, 'B' in the baseline)" in change_notes(far.changes[0])[0]
