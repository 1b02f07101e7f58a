"""When a profile is good: each cell that was asked for has its breakdown."""

from __future__ import annotations

from typing import Any

from judged_runs import EAGER, INT8, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import Judgement, NotProfiled
from perfsuite.domain.profile import Breakdown, BreakdownRow
from perfsuite.domain.record import NO_BREAKDOWN, Evidence, EvidenceItem, Failure, Record
from perfsuite.domain.verdict import Reason
from perfsuite.judge import judge_profile

WHOLE = Breakdown(0.1, 10, (BreakdownRow("body", "stage", 0.1),))
GOOD = record(EAGER, 0.1, breakdown=WHOLE)


def other(status: str, kind: str = "", **fields: Any) -> Record:
    error = Failure(kind, "because\nof it") if kind else None
    return record(INT8, status=status, error=error, **fields)


def lacking(judgement: Judgement) -> list[NotProfiled]:
    return [one for one in judgement.warnings if isinstance(one, NotProfiled)]


def test_with_every_breakdown_it_is_good() -> None:
    found = judge_profile(run(GOOD, record(INT8, 0.01, breakdown=WHOLE)), asked=True)
    assert (found.exit_code, lacking(found), found.verdicts) == (0, [], ())


def test_what_nobody_asked_for_may_be_missing() -> None:
    for status in ("unsupported", "unavailable"):
        one = other(status, "Unsupported")
        found = judge_profile(run(GOOD, one), asked=False)
        assert found.exit_code == 0
        reason = Reason("not_ok", names=(status,), text="Unsupported: because")
        assert lacking(found) == [NotProfiled(INT8.key, reason)]
        assert judge_profile(run(GOOD, one), asked=True).exit_code == 2


def test_one_of_each_kind_is_excused() -> None:
    third = record(Cell("vgg", "int8", "other"), status="unavailable")
    found = judge_profile(run(GOOD, other("unsupported", "Unsupported"), third), asked=False)
    assert (found.exit_code, len(lacking(found))) == (0, 2)


def test_an_engine_that_cannot_be_profiled_says_why() -> None:
    evidence = Evidence((EvidenceItem("reported", "profile", NO_BREAKDOWN, "no profiler\nat all"),))
    one = other("ok", evidence=evidence)
    found = judge_profile(run(GOOD, one), asked=False)
    assert found.exit_code == 0
    assert lacking(found) == [NotProfiled(INT8.key, Reason("no_breakdown", text="no profiler"))]
    assert judge_profile(run(GOOD, one), asked=True).exit_code == 2  # though the cell is well


def test_one_breakdown_there_must_be() -> None:
    assert judge_profile(run(other("ok")), asked=False).exit_code == 2
    assert judge_profile(run(other("unsupported", "Unsupported")), asked=False).exit_code == 2


def test_a_failure_is_never_excused() -> None:
    failed = judge_profile(run(GOOD, other("failed", "Crash")), asked=False)
    assert failed.exit_code == 3
    assert [one.cell for one in lacking(failed)] == [INT8.key]
    assert judge_profile(run(GOOD, other("failed", "BuildError")), asked=False).exit_code == 2


def test_a_breakdown_of_a_cell_that_failed_later_does_not_count() -> None:
    later = other("failed", "Crash", breakdown=WHOLE)
    found = judge_profile(run(later), asked=False)
    assert (found.exit_code, len(lacking(found))) == (3, 1)


def test_other_warnings_come_first() -> None:
    found = judge_profile(run(record(EAGER, 0.1, 0.1, labels=("unsteady",))), asked=False)
    assert isinstance(found.warnings[-1], NotProfiled)
