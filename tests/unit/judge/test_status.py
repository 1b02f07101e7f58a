"""Cells that did not end well: what is said of them, and what the exit code says."""

from __future__ import annotations

import msgspec
import pytest
from judged_runs import EAGER, INT8, PAIR, budget, only, record, run, warned

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Failure
from perfsuite.domain.suite import Expect
from perfsuite.domain.verdict import Reason, Verdict
from perfsuite.judge import judge
from perfsuite.judge.status import trouble
from perfsuite.report.sentences import verdict_sentence

FAILED = record(INT8, status="failed", error=Failure("BuildError", "no such kernel\nmore"))


def test_failed_cells_are_red_in_words_and_code() -> None:
    found = judge(run(PAIR[0], FAILED, budgets=(budget(min_speedup=5.0),)))
    status, of_budget = found.verdicts
    assert status == Verdict(
        "failed",
        "status",
        INT8.key,
        "status",
        "status",
        reason=Reason("not_ok", names=("failed",), text="BuildError: no such kernel"),
    )
    assert verdict_sentence(status) == "failed: BuildError: no such kernel"
    assert of_budget.status == "missing"
    assert found.exit_code == 2


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        *[("failed", kind, 2) for kind in ("ConfigError", "SchemaError", "ParityError")],
        *[("failed", kind, 3) for kind in ("Crash", "Timeout", "MemoryError", "SilentFallback")],
        ("failed", "ValueError", 3),
        ("unsupported", "Unsupported", 2),
        ("unavailable", "Unavailable", 2),
    ],
)
def test_what_the_user_must_mend_is_told_by_the_code(status: str, kind: str, code: int) -> None:
    bad = record(INT8, status=status, error=Failure(kind, "no"))
    assert judge(run(PAIR[0], bad)).exit_code == code
    over = budget(cell=EAGER.key, against=None, max=0.001)  # 1 comes after 2 and before 3
    assert judge(run(PAIR[0], bad, budgets=(over,))).exit_code == (2 if code == 2 else 1)


def test_a_cell_without_a_record_is_missing() -> None:
    found = judge(run(PAIR[0], cells=(EAGER, INT8)))
    assert verdict_sentence(only(found.verdicts)) == "was not run"
    assert only(found.verdicts).status == "missing"


@pytest.mark.parametrize(("message", "text"), [("", "Crash: "), ("\n\n a\nb", "Crash: a")])
def test_of_a_long_message_the_first_line_is_told(message: str, text: str) -> None:
    failed = record(INT8, status="unavailable", error=Failure("Crash", message))
    verdict = only(judge(run(PAIR[0], failed)).verdicts)
    assert verdict.reason == Reason("not_ok", names=("unavailable",), text=text)
    assert verdict.status == "missing"
    nameless = only(judge(run(PAIR[0], record(INT8, status="failed"))).verdicts)
    assert nameless.reason == Reason("not_ok", names=("failed",))


def test_expected_statuses_are_green_but_satisfy_no_budget() -> None:
    expect = Expect(status="unsupported", reason="no such engine", recipe="int8")
    gone = record(INT8, status="unsupported", error=Failure("Unsupported", "no"))
    assert judge(run(PAIR[0], gone, expect=(expect,))).exit_code == 0
    assert judge(run(PAIR[0], gone)).exit_code == 2
    failed = msgspec.structs.replace(gone, status="failed")
    assert judge(run(PAIR[0], failed, expect=(expect,))).exit_code == 2
    other = Cell("vgg", "int8", "onnxruntime")
    fast = record(other, 0.01, 0.01)
    some = judge(run(PAIR[0], gone, fast, expect=(expect,), budgets=(budget(min_speedup=2.0),)))
    assert [(one.cell, one.status) for one in some.verdicts] == [(other.key, "pass")]
    none = judge(run(PAIR[0], gone, expect=(expect,), budgets=(budget(min_speedup=2.0),)))
    assert only(none.verdicts).status == "missing"


def test_whose_record_is_missing_is_told() -> None:
    assert trouble(None, "baseline") == Reason("not_run", "baseline")
    assert trouble(PAIR[0], "baseline") is None


def test_an_expectation_that_did_not_come_true_is_told() -> None:
    expect = Expect(status="unsupported", reason="no such engine", recipe="int8")
    found = judge(run(*PAIR, expect=(expect,)))
    assert found.exit_code == 0
    assert "vgg/int8/openvino/cpu/b1 was expected to be unsupported" in warned(found)[0]
