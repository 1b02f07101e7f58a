"""Two stored runs, and what differs between runs of the same thing: numbers by hand."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from certificates import CERTIFICATE
from hypothesis import given
from hypothesis import strategies as st
from judged_runs import EAGER, INT8, budget, known_noise, only, other_machine, record, run

from perfsuite.domain.record import BetweenRuns, Record, Run
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.judge.comparability import change
from perfsuite.judge.intervals import pooled_deviation, widened
from perfsuite.judge.noise import Noise, allowed_for

SQRT2 = math.sqrt(2.0)


def steady(factor: float, cell: Any = INT8, **fields: Any) -> Record:
    """A cell whose processes do not differ at all."""
    return record(cell, *[0.01 * factor] * 4, **fields)


def certified(made: Run, between: float | None) -> Run:
    known = msgspec.structs.replace(CERTIFICATE, between_runs=between)
    return msgspec.structs.replace(
        made, header=msgspec.structs.replace(made.header, certificate=known)
    )


def test_intervals_that_hold_the_noise() -> None:
    near, sure = allowed_for(Interval(1.1, 1.1, 1.1), Noise("certificate", 0.02))
    assert near.value == sure.value == 1.1
    assert math.log(near.high / 1.1) == pytest.approx(1.96 * SQRT2 * 0.02)
    assert math.log(1.1 / near.low) == pytest.approx(1.96 * SQRT2 * 0.02)
    assert math.log(sure.high / 1.1) == pytest.approx(3.29 * SQRT2 * 0.02)
    exact = allowed_for(Interval(1.1, 1.0, 1.2), Noise("earlier runs", 0.0, 5))
    for one in exact:
        assert msgspec.structs.astuple(one) == pytest.approx((1.1, 1.0, 1.2))


def test_reaches_add_up_like_variances() -> None:
    found = widened(Interval(1.0, math.exp(-0.3), math.exp(0.03)), 0.04)
    assert math.log(found.high) == pytest.approx(0.05)
    assert math.log(found.low) == pytest.approx(-math.hypot(0.3, 0.04))


@given(st.floats(0.01, 100.0), st.floats(0.0, 700.0), st.floats(0.0, 700.0))
def test_whatever_is_allowed_for_an_interval_holds_its_value(
    value: float, reach: float, more: float
) -> None:
    one = Interval(value, value * math.exp(-reach), min(1e300, value * math.exp(reach)))
    found = widened(one, more) if one.low > 0.0 else one
    assert 0.0 <= found.low <= value * (1 + 1e-9) and value * (1 - 1e-9) <= found.high < math.inf


def test_the_deviation_within_groups() -> None:
    assert pooled_deviation([[1.0, 3.0], [10.0, 10.0, 13.0]]) == pytest.approx(
        math.sqrt((2.0 + 6.0) / 3.0)
    )
    assert pooled_deviation([[1.0], []]) == 0.0


# 3.29 * sqrt(2) of 0.02 are 0.0931, 1.96 of them 0.0554; 1.96 * sqrt(2) of 0.01 are 0.0277.
@pytest.mark.parametrize(
    ("factor", "between", "status"),
    [
        (1.0, 0.01, "pass"),  # up to 2.8 %
        (1.0, 0.02, "pass"),  # up to 5.7 %: within twice the floor
        (1.0, 0.03, "inconclusive"),  # up to 8.7 %
        (1.20, 0.02, "regressed"),
        (1.10, 0.02, "regressed"),  # log 0.0953
        (1.09, 0.02, "inconclusive"),  # log 0.0862: beyond 1.96 and not beyond 3.29
        (1.02, 0.01, "pass"),  # -0.8 % to 4.9 %
        (1.05, 0.0, "regressed"),
        (0.8, 0.03, "pass"),
    ],
)
def test_verdicts_of_stored_runs(factor: float, between: float, status: str) -> None:
    now, before = known_noise(run(steady(factor)), between), run(steady(1.0001))
    verdict = only(judge(now, before).verdicts)
    assert verdict.status == status
    assert (verdict.noise, verdict.between, verdict.noise_runs) == ("earlier runs", between, 5)
    assert (verdict.beside, verdict.again) == (False, False)


def test_a_budget_is_broken_only_beyond_the_sure_interval() -> None:
    for limit, status in ((0.0, "inconclusive"), (-0.01, "over_budget"), (0.2, "pass")):
        budgets = (budget(against=None, baseline=True, max_increase=limit),)
        now = known_noise(run(steady(1.09), budgets=budgets), 0.02)  # log 0.0862
        kept = judge(now, run(steady(1.0))).verdicts[0]
        assert (kept.status, kept.noise) == (status, "earlier runs"), limit


def test_where_the_noise_is_known_from() -> None:
    now, before = run(steady(1.1)), run(steady(1.0))
    sources = [
        (known_noise(certified(now, 0.03), 0.02), before, ("earlier runs", 0.02, 5)),
        (certified(now, 0.03), before, ("certificate", 0.03, 0)),
        (certified(now, 0.0), before, ("certificate", 0.0, 0)),
        (certified(now, None), before, ("unknown", 0.0, 0)),
        (now, known_noise(before, 0.02), ("earlier runs", 0.02, 5)),  # the same machine
        (now, certified(before, 0.02), ("certificate", 0.02, 0)),
        (certified(now, 0.03), known_noise(before, 0.02), ("earlier runs", 0.02, 5)),
        (known_noise(now, 0.02, EAGER), before, ("unknown", 0.0, 0)),  # of another cell
    ]
    for one, other, known in sources:
        verdict = only(judge(one, other).verdicts)
        assert (verdict.noise, verdict.between, verdict.noise_runs) == known


def test_of_a_certificate_and_the_spread_of_processes_the_larger_counts() -> None:
    # Deviations sqrt(2) * 0.01 and sqrt(2) * 0.03: together 0.0316.
    now = run(record(INT8, 0.01 * math.exp(0.01), 0.01 * math.exp(-0.01)))
    before = run(record(INT8, 0.01 * math.exp(0.03), 0.01 * math.exp(-0.03)))
    small = change(INT8, certified(now, 0.03), before, "latency_s").noise
    assert small == Noise("unknown", pytest.approx(math.sqrt(0.001)))
    assert change(INT8, certified(now, 0.032), before, "latency_s").noise.deviation == 0.032
    assert change(INT8, known_noise(now, 0.02), before, "latency_s").noise.deviation == 0.02


def test_without_knowledge_it_is_the_spread_of_single_processes() -> None:
    # Deviations sqrt(2) * 0.01 and sqrt(2) * 0.03, with one degree of freedom each.
    now = run(record(INT8, 0.01 * math.exp(0.01), 0.01 * math.exp(-0.01)))
    before = run(record(INT8, 0.01 * math.exp(0.03), 0.01 * math.exp(-0.03)))
    found = change(INT8, now, before, "latency_s")
    assert found.noise.source == "unknown"
    assert found.noise.deviation == pytest.approx(math.sqrt(0.001))


@pytest.mark.parametrize(("metric", "statistic"), [("load_s", "median"), ("latency_s", "p95")])
def test_what_is_known_of_latencies_says_nothing_of_other_values(
    metric: str, statistic: Statistic
) -> None:
    values = {"values": {"load_s": (1.0, 1.1)}}
    now = known_noise(run(steady(1.0, **values)), 0.01)
    before = run(record(INT8, 0.01, 0.011, values={"load_s": (1.0, 1.2)}))
    assert change(INT8, now, before, metric, statistic).noise.source == "unknown"


def test_what_no_process_measures_has_no_noise() -> None:
    now = known_noise(run(steady(1.0, values={"artifact_bytes": (2.0,)})), 0.1)
    before = run(steady(1.0, values={"artifact_bytes": (1.0,)}))
    found = change(INT8, now, before, "artifact_bytes")
    assert (found.ratio, found.noise, found.sure) == (Interval(2.0, 2.0, 2.0), Noise(), None)


def test_by_ratio_the_noise_of_the_yardstick_adds_to_it() -> None:
    now = run(steady(1.0, EAGER), steady(1.2), compare="ratio")
    before = run(steady(1.1, EAGER), steady(1.0), compare="ratio")
    learned = {EAGER.id: BetweenRuns(0.03, 4), INT8.id: BetweenRuns(0.04, 7)}
    header = msgspec.structs.replace(now.header, between_runs=learned)
    found = change(INT8, msgspec.structs.replace(now, header=header), before, "latency_s")
    assert found.noise.source == "earlier runs"
    assert (found.noise.deviation, found.noise.runs) == (pytest.approx(0.05), 4)
    assert found.yardstick == EAGER.key
    half = msgspec.structs.replace(
        now,
        header=msgspec.structs.replace(now.header, between_runs={INT8.id: BetweenRuns(0.04, 7)}),
    )
    assert change(INT8, half, before, "latency_s").noise.source == "unknown"


def test_of_two_machines_each_has_its_own_noise() -> None:
    now = known_noise(run(steady(1.0, EAGER), steady(1.2), compare="ratio"), 0.01)
    before = other_machine(run(steady(1.1, EAGER), steady(1.0)))
    assert change(INT8, now, before, "latency_s").noise.source == "unknown"
    found = change(INT8, now, known_noise(before, 0.07), "latency_s").noise
    # Two cells on each: the mean of 2 * 0.01 ** 2 and 2 * 0.07 ** 2.
    assert found.deviation == pytest.approx(math.sqrt(0.0001 + 0.0049))


def test_without_knowledge_a_ratio_spreads_as_its_pairs_do() -> None:
    moods = (1.0, 1.5)  # of both, in each round
    eager = record(EAGER, *moods)
    now = run(
        eager,
        record(INT8, *(one * math.exp(0.01 * (-1) ** n) for n, one in enumerate(moods))),
        compare="ratio",
    )
    before = run(record(EAGER, 1.0, 1.1), record(INT8, 1.0, 1.1), compare="ratio")
    found = change(INT8, now, before, "latency_s").noise
    assert found.source == "unknown"
    assert found.deviation == pytest.approx(0.01)  # of one degree sqrt(2) * 0.01, of the other 0
