"""Budgets on what a variant realises of the speed-up that its MACs promise."""

from __future__ import annotations

from typing import Any

import pytest
from judged_runs import record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Record
from perfsuite.domain.suite import Budget
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.judge import judge
from perfsuite.report.sentences import verdict_sentence

WHOLE, HALF = Cell("vgg", "fp32", "openvino"), Cell("vgg", "half", "openvino")


def counted(macs: float) -> dict[str, tuple[float, ...]]:
    return {"macs": (macs,)}


def held(limit: float, before: Record, *after: Record, **fields: Any) -> Verdict:
    budget = Budget(
        "b",
        "latency_s",
        cell="vgg/half/*",
        against="vgg/fp32/*",
        **({"min_realised": limit} | fields),
    )
    (verdict,) = judge(run(before, *after, budgets=(budget,))).verdicts
    return verdict


@pytest.mark.parametrize(
    ("limit", "status"), [(0.8, "pass"), (0.9, "inconclusive"), (0.95, "over_budget")]
)
def test_min_realised_is_judged_by_the_bad_end(limit: float, status: str) -> None:
    before = record(WHOLE, 0.180, 0.180, 0.180, 0.180, values=counted(200.0))
    after = record(HALF, 0.100, 0.101, 0.099, 0.100, values=counted(100.0))
    verdict = held(limit, before, after)
    assert verdict.status == status
    assert verdict.limit == limit
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(0.9, abs=1e-3)
    assert verdict.estimate.low < 0.9 < verdict.estimate.high
    assert verdict_sentence(verdict).startswith(
        "realises 0.9 of the speed-up that its MACs promise over vgg/fp32/openvino/cpu/b1 (0.88"
    )
    assert f"needs {limit:g}" in verdict_sentence(verdict)


def test_min_realised_on_its_limit_passes() -> None:
    before = record(WHOLE, 0.16, 0.16, values=counted(200.0))
    after = record(HALF, 0.10, 0.10, values=counted(100.0))
    assert held(0.8, before, after).status == "pass"


def test_min_realised_is_not_met_by_doing_nothing() -> None:
    before = record(WHOLE, 0.16, 0.16, values=counted(200.0))
    after = record(HALF, 0.10, 0.10, values=counted(200.0))
    verdict = held(0.8, before, after)
    assert verdict.status == "incomparable"
    assert verdict_sentence(verdict).startswith("has no fewer MACs than vgg/fp32/openvino/cpu/b1")


def test_min_realised_needs_macs_of_both() -> None:
    before = record(WHOLE, 0.16, 0.16)
    after = record(HALF, 0.10, 0.10, values=counted(200.0))
    verdict = held(0.8, before, after)
    assert (verdict.status, verdict_sentence(verdict)) == (
        "missing",
        "vgg/fp32/openvino/cpu/b1 has no macs",
    )


def test_min_realised_of_the_slow_tail() -> None:
    tail = dict.fromkeys(range(4), (0.10,) * 90 + (0.16,) * 10)
    before = record(WHOLE, *[0.16] * 4, values=counted(200.0))
    after = record(HALF, latencies_s=tail, values=counted(100.0))
    assert held(0.8, before, after).status == "pass"
    verdict = held(0.8, before, after, statistic="p95")
    assert (verdict.status, verdict.estimate) == ("over_budget", Interval(0.5, 0.5, 0.5))
    assert "by its p95" in verdict_sentence(verdict)
