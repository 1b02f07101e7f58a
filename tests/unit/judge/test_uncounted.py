"""MACs that are only a part, because operators have no formula, prove nothing about the whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from judged_runs import only, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Record
from perfsuite.domain.suite import Budget
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import gain, judge
from perfsuite.report.sentences import verdict_sentence

WHOLE, HALF = Cell("vgg", "fp32", "openvino"), Cell("vgg", "half", "openvino")


def counted(cell: Cell, latency_s: float, macs: float, **uncounted: int) -> Record:
    found = record(cell, *[latency_s] * 3, values={"macs": (macs,)})
    return msgspec.structs.replace(found, uncounted=uncounted)


def held(*records: Record, metric: str = "macs", **limit: Any) -> Verdict:
    budget = Budget("b", metric, cell=records[-1].cell.key, **limit)
    return only(judge(run(*records, budgets=(budget,))).verdicts)


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        (
            {"max": 3e9},
            "inconclusive",
            "macs is at least 2 G, must be at most 3 G: cannot tell, there is no formula for "
            "3 GridSample, 1 STFT",
        ),
        ({"max": 1e9}, "over_budget", "macs is at least 2 G, must be at most 1 G"),
        ({"min": 1e9}, "pass", "macs is at least 2 G, must be at least 1 G"),
        (
            {"min": 3e9},
            "inconclusive",
            "macs is at least 2 G, must be at least 3 G: cannot tell, there is no formula for "
            "3 GridSample, 1 STFT",
        ),
    ],
)
def test_absolute_limits(limit: dict[str, float], status: str, words: str) -> None:
    verdict = held(counted(HALF, 0.1, 2e9, STFT=1, GridSample=3), **limit)
    assert (verdict.status, verdict_sentence(verdict)) == (status, words)
    assert verdict.estimate is not None
    assert verdict.estimate.high == 2e9  # what was counted, and no infinity, is stored


@pytest.mark.parametrize("partial", ["the reference", "itself"])
@pytest.mark.parametrize(
    "limit",
    [
        {"min_speedup": 1.5},
        {"max_increase": 0.1},
        {"metric": "latency_s", "min_realised": 0.5},
    ],
)
def test_ratios_of_a_part_are_incomparable(partial: str, limit: dict[str, Any]) -> None:
    missing = {"STFT": 1}
    before = counted(WHOLE, 0.2, 2e9, **(missing if partial == "the reference" else {}))
    after = counted(HALF, 0.1, 1e9, **({} if partial == "the reference" else missing))
    verdict = held(before, after, against=WHOLE.key, **limit)
    assert verdict.status == "incomparable"
    whose = f"{WHOLE.key} " if partial == "the reference" else ""
    assert verdict_sentence(verdict) == (
        f"{whose}has MACs that nobody counted: there is no formula for 1 STFT"
    )


def test_other_metrics_do_not_mind() -> None:
    before, after = counted(WHOLE, 0.2, 2e9, STFT=1), counted(HALF, 0.1, 1e9, STFT=1)
    verdict = held(before, after, metric="latency_s", against=WHOLE.key, min_speedup=1.9)
    assert verdict.status == "pass"


@pytest.mark.parametrize(("first", "second"), [({"STFT": 1}, {}), ({}, {"STFT": 1})])
def test_theory_is_unknown_where_either_side_is_a_part(
    first: dict[str, int], second: dict[str, int]
) -> None:
    found = run(counted(WHOLE, 0.2, 2e9, **first), counted(HALF, 0.1, 1e9, **second))
    one = gain(found, HALF)
    assert one is not None
    assert (one.macs_ratio, one.realised, one.uncounted) == (None, None, ("1 STFT",))
    assert one.speedup is not None
    whole = gain(run(counted(WHOLE, 0.2, 2e9), counted(HALF, 0.1, 1e9)), HALF)
    assert whole is not None
    assert (whole.macs_ratio, whole.uncounted) == (2.0, ())
