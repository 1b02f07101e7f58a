"""Why a budget or a comparison cannot be judged, as data: the verdict's status and its reason."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from judged_runs import EAGER, INT8, accuracy, budget, only, record, run

from perfsuite.domain.profile import Breakdown, BreakdownRow
from perfsuite.domain.record import NO_BREAKDOWN, Evidence, EvidenceItem, Failure, Record
from perfsuite.domain.suite import Expect
from perfsuite.domain.verdict import Interval, Reason, Verdict
from perfsuite.judge import judge
from perfsuite.judge.decisions import decide

FAST = record(INT8, 0.01, 0.01, values={"macs": (5.0,)})
SLOW = record(EAGER, 0.1, 0.1, values={"macs": (10.0,)})
GONE = {"status": "failed", "error": Failure("Crash", "signal 11\nthe worker's output")}
STAGED = Breakdown(1.0, 5, (BreakdownRow("body", "stage", 0.5), BreakdownRow("head", "stage", 0.5)))
MUTE = Evidence(
    (
        EvidenceItem("reported", "threads", "intra-op", "2"),
        EvidenceItem("reported", "profile", NO_BREAKDOWN, "no profiler\nof that kind"),
    )
)


def of_budget(before: Record, after: Record, **fields: Any) -> tuple[str, Reason | None]:
    """Return status and reason of a budget on `after`."""
    verdicts = judge(run(before, after, budgets=(budget(**fields),))).verdicts
    verdict = only(tuple(one for one in verdicts if one.budget == "b"))
    assert (verdict.estimate, verdict.check) == (None, next(iter(fields.keys() & LIMITS)))
    return verdict.status, verdict.reason


LIMITS = {
    "min_speedup",
    "max_drop_points",
    "max_increase",
    "max",
    "min",
    "min_realised",
    "max_share",
}


@pytest.mark.parametrize(
    ("before", "after", "fields", "status", "reason"),
    [
        (
            SLOW,
            record(INT8, **GONE),
            {"min_speedup": 2.0},
            "missing",
            Reason("not_ok", names=("failed",), text="Crash: signal 11"),
        ),
        (
            record(EAGER, **GONE),
            FAST,
            {"min_speedup": 2.0},
            "missing",
            Reason("not_ok", EAGER.key, names=("failed",), text="Crash: signal 11"),
        ),
        (
            record(EAGER, 0.1, status="incomplete"),
            FAST,
            {"min_speedup": 2.0},
            "missing",
            Reason("cut_short", EAGER.key),
        ),
        (
            record(EAGER),
            FAST,
            {"min_speedup": 2.0},
            "missing",
            Reason("no_metric", EAGER.key, names=("latency_s",)),
        ),
        (
            SLOW,
            record(INT8, 0.01, 0.01, labels=("simulated",)),
            {"min_speedup": 2.0},
            "incomparable",
            Reason("simulated"),
        ),
        (
            SLOW,
            record(INT8, 0.01),
            {"min_speedup": 2.0},
            "inconclusive",
            Reason("too_few_processes", names=("latency_s",)),
        ),
        (
            SLOW,
            record(INT8, 0.01),
            {"max": 0.1, "against": None},
            "inconclusive",
            Reason("too_few_processes", names=("latency_s",)),
        ),
        (
            record(EAGER, accuracies=(accuracy(0.9),)),
            record(INT8, accuracies=(accuracy(0.9),)),
            {"min_speedup": 2.0, "metric": "top1"},
            "incomparable",
            Reason("an_accuracy", names=("top1",)),
        ),
        (
            SLOW,
            FAST,
            {"max_drop_points": 1.0, "metric": "latency_s"},
            "incomparable",
            Reason("not_an_accuracy", names=("latency_s",)),
        ),
        (
            record(EAGER, accuracies=(accuracy(math.nan),)),
            record(INT8, accuracies=(accuracy(0.9),)),
            {"max_drop_points": 1.0, "metric": "top1"},
            "inconclusive",
            Reason("not_a_number", names=("top1",)),
        ),
        (
            record(EAGER, accuracies=(accuracy(0.9, digest="e"),)),
            record(INT8, accuracies=(accuracy(0.9),)),
            {"max_drop_points": 1.0, "metric": "top1"},
            "incomparable",
            Reason(
                "other_samples",
                text="accuracies with another test samples (digest): e and d; "
                "evaluate both on the same samples",
            ),
        ),
        (
            record(EAGER, 0.1, 0.1),
            FAST,
            {"min_realised": 0.5},
            "missing",
            Reason("no_metric", EAGER.key, names=("macs",)),
        ),
        (
            SLOW,
            record(INT8, 0.01, 0.01),
            {"min_realised": 0.5},
            "missing",
            Reason("no_metric", names=("macs",)),
        ),
        (
            SLOW,
            record(INT8, 0.01, 0.01, values={"macs": (10.0,)}),
            {"min_realised": 0.5},
            "incomparable",
            Reason("no_fewer_macs", EAGER.key),
        ),
        (
            SLOW,
            record(INT8, 0.01, breakdown=STAGED),
            {"max_share": 0.5, "metric": "stage_s", "stage": "tail", "against": None},
            "missing",
            Reason("no_stage", names=("tail", "body", "head")),
        ),
        (
            SLOW,
            record(INT8, 0.01, evidence=MUTE),
            {"max_share": 0.5, "metric": "stage_s", "stage": "tail", "against": None},
            "missing",
            Reason("no_breakdown", text="no profiler"),
        ),
        (
            SLOW,
            record(INT8, 0.01),
            {"max_share": 0.5, "metric": "stage_s", "stage": "tail", "against": None},
            "missing",
            Reason("no_breakdown"),
        ),
        (
            SLOW,
            FAST,
            {"max_increase": 0.5, "metric": "latency_s", "against": None},
            "missing",
            Reason("no_reference"),
        ),
    ],
)
def test_a_budget_that_cannot_be_judged(
    before: Record, after: Record, fields: dict[str, Any], status: str, reason: Reason
) -> None:
    assert of_budget(before, after, **fields) == (status, reason)


def test_of_a_pair_of_accuracies_either_may_be_missing() -> None:
    has, has_not = ({"accuracies": (accuracy(0.9),)}, {"values": {"top1": (0.9,)}})
    limit = {"max_drop_points": 1.0, "metric": "top1"}
    for one, other in ((has, has_not), (has_not, has)):
        found = of_budget(record(EAGER, **one), record(INT8, **other), **limit)
        assert found == ("incomparable", Reason("not_an_accuracy", names=("top1",)))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cell": "x/*"}, Reason("no_cell", text="x/*")),
        ({"against": "x/*"}, Reason("not_one_reference", text="x/*")),
        ({"against": "*"}, Reason("not_one_reference", names=(EAGER.key, INT8.key), text="*")),
        ({"against": None, "baseline": True}, Reason("no_baseline")),
    ],
)
def test_a_budget_that_names_what_is_not_there(fields: dict[str, Any], reason: Reason) -> None:
    held = budget(**({"min_speedup": 2.0} | fields))
    verdict = only(judge(run(SLOW, FAST, budgets=(held,))).verdicts)
    assert verdict == Verdict("missing", "b", held.cell, "latency_s", "min_speedup", reason=reason)


def test_a_reference_that_was_not_run() -> None:
    found = judge(run(FAST, cells=(EAGER, INT8), budgets=(budget(min_speedup=2.0),)))
    said = [(one.status, one.reason) for one in found.verdicts]
    assert said == [("missing", Reason("not_run")), ("missing", Reason("not_run", EAGER.key))]


def test_of_a_baseline_too_it_is_said_what_it_lacks() -> None:
    held = budget(against=None, baseline=True, min_speedup=1.0, cell=INT8.key)
    before = run(record(INT8, **GONE))
    (verdict,) = (one for one in judge(run(FAST, budgets=(held,)), before).verdicts)
    assert (verdict.against, verdict.status) == ("baseline", "missing")
    assert verdict.reason == Reason(
        "not_ok", "baseline", names=("failed",), text="Crash: signal 11"
    )
    staged = budget(
        against=EAGER.key, max_increase=0.1, metric="stage_s", stage="tail", cell=INT8.key
    )
    tail = {0: {"tail": 1.0}, 1: {"tail": 1.0}}
    pair = (record(EAGER, breakdown=STAGED), record(INT8, stages_s=tail, breakdown=STAGED))
    (verdict,) = judge(run(*pair, budgets=(staged,))).verdicts
    assert verdict.reason == Reason("no_stage", EAGER.key, names=("tail", "body", "head"))


def test_a_speed_up_over_the_baseline_by_any_statistic() -> None:
    tail = dict.fromkeys((0, 1), (0.1,) * 90 + (0.4,) * 10)
    now = record(INT8, latencies_s=dict.fromkeys((0, 1), (0.1001,) * 100))
    limits = (
        budget(against=None, baseline=True, min_speedup=3.9, statistic="p95", cell=INT8.key),
        budget(against=None, baseline=True, min_speedup=0.9, cell=INT8.key),
        budget(against=None, max=0.2, statistic="p95", cell=INT8.key),
    )
    verdicts = judge(run(now, budgets=limits), run(record(INT8, latencies_s=tail))).verdicts
    values = [one.estimate.value for one in verdicts[:3] if one.estimate is not None]
    assert values == pytest.approx([4.0, 1.0, 0.1], rel=0.01)
    before = judge(run(record(INT8, latencies_s=tail), budgets=limits[2:])).verdicts
    assert before[0].estimate is not None and before[0].estimate.value == pytest.approx(0.4)
    assert (before[0].against, before[0].unit, before[0].uncounted) == ("", "s", ())
    none = judge(run(record(INT8), budgets=limits[2:])).verdicts[0]
    assert (none.uncounted, none.estimate) == ((), None)


def test_an_accuracy_has_no_unit() -> None:
    held = budget(metric="top1", against=None, min=0.5, cell=INT8.key)
    (verdict,) = judge(run(record(INT8, accuracies=(accuracy(0.9),)), budgets=(held,))).verdicts
    assert (verdict.status, verdict.unit) == ("pass", "")


def test_a_budget_of_cells_that_were_expected_not_to_run() -> None:
    expect = Expect(status="unsupported", reason="no engine", recipe="int8")
    gone = record(INT8, status="unsupported")
    (verdict,) = judge(
        run(SLOW, gone, expect=(expect,), budgets=(budget(min_speedup=1.0),))
    ).verdicts
    assert (verdict.status, verdict.reason) == ("missing", Reason("none_to_run"))


@pytest.mark.parametrize(
    ("interval", "limit", "status"),
    [
        ((0.0, 0.0, 1e-9), 0.0, "pass"),  # a thousand-millionth is rounding
        ((0.0, 0.0, 2e-9), 0.0, "inconclusive"),
        ((1.0, 1e-9, 1.0), 0.0, "inconclusive"),
        ((1.0, 2e-9, 1.0), 0.0, "over_budget"),
        ((1e6, 1e6, 1e6 + 5e-4), 1e6, "pass"),  # of a large limit
        ((1e6, 1e6, 1e6 + 5e-3), 1e6, "inconclusive"),
        ((0.5, 0.5, 0.5 + 1.5e-9), 0.5, "inconclusive"),  # of a small one no less
        ((-1e6, -1e6, -1e6 + 5e-4), -1e6, "pass"),
    ],
)
def test_rounding_breaks_no_budget(
    interval: tuple[float, float, float], limit: float, status: str
) -> None:
    assert decide(Interval(*interval), limit, at_least=False) == status
    value, low, high = (-one for one in interval)
    assert decide(Interval(value, high, low), -limit, at_least=True) == status


def test_all_that_a_verdict_says() -> None:
    held = budget(min_speedup=5.0, statistic="p95")
    verdict = only(judge(run(SLOW, FAST, budgets=(held,))).verdicts)
    assert verdict.estimate is not None
    assert msgspec.structs.astuple(verdict.estimate) == pytest.approx((10.0, 10.0, 10.0))
    rest = msgspec.structs.replace(verdict, estimate=None)
    assert rest == Verdict(
        "pass",
        "b",
        INT8.key,
        "latency_s",
        "min_speedup",
        against=EAGER.key,
        limit=5.0,
        unit="s",
        statistic="p95",
    )
