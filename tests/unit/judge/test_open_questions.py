"""What is open after a look, and the intervals of runs that are looked at: numbers by hand."""

from __future__ import annotations

import math

import msgspec
import pytest
from judged_runs import EAGER, INT8, accuracy, budget, known_noise, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import Record, Run
from perfsuite.judge import compare, gain, judge, metrics
from perfsuite.judge.intervals import mean_interval
from perfsuite.judge.open_questions import NEVER_SLOWER, OpenQuestion, open_questions
from perfsuite.judge.regression import regression_verdicts
from perfsuite.judge.sequential import critical_value, look_confidence

LOOKS = Looks()
# Log ratios that deviate by 0.01 * sqrt(4 / 3): four reach 9.356 * 0.01 / sqrt(3) to each side.
OFFSETS = (0.01, -0.01, 0.01, -0.01)
REACH = 0.0540


def pair(speedup: float, *offsets: float, **fields: object) -> tuple[Record, Record]:
    fast = (0.1 / speedup * math.exp(one) for one in offsets)
    return record(EAGER, *[0.1] * len(offsets)), record(INT8, *fast, **fields)


def looked(*records: Record, looks: Looks | None = LOOKS, **suite: object) -> Run:
    return run(*records, looks=looks, **suite)


@pytest.mark.parametrize(
    ("limit", "open_"),
    [
        (5.0 * math.exp(-REACH - 0.001), False),  # holds
        (5.0 * math.exp(-REACH + 0.001), True),
        (5.0, True),
        (5.0 * math.exp(REACH - 0.001), True),
        (5.0 * math.exp(REACH + 0.001), False),  # is broken
    ],
)
def test_a_budget_is_open_while_its_limit_is_in_the_interval(limit: float, open_: bool) -> None:
    found = open_questions(
        looked(*pair(5.0, *OFFSETS), budgets=(budget(min_speedup=limit),)),
    )
    assert [(one.cell, one.about) for one in found] == [(INT8.key, "b")] * open_


def test_a_forecast_by_hand() -> None:
    # The deviation is 0.01155; 0.0270 away is where 5 rounds reach 0.0370, and 6 reach 0.0269.
    limit = 5.0 * math.exp(-0.0270)
    (question,) = open_questions(looked(*pair(5.0, *OFFSETS), budgets=(budget(min_speedup=limit),)))
    assert question == OpenQuestion(INT8.key, "b", 6)
    (never,) = open_questions(looked(*pair(5.0, *OFFSETS), budgets=(budget(min_speedup=5.0),)))
    assert never.rounds is None


def test_an_increase_and_a_level_are_forecast_too() -> None:
    budgets = (
        budget(name="more", max_increase=0.0, against=EAGER.key),
        budget(name="level", max=0.1 * math.exp(0.03), against=None),
    )
    found = open_questions(looked(*pair(1.0, *OFFSETS), budgets=budgets))
    assert [(one.about, one.rounds is None) for one in found][:2] == [
        ("more", True),
        ("level", False),
    ]


def test_what_rounds_do_not_decide_is_not_open() -> None:
    answers = {"accuracies": (accuracy(0.9, spread=0.05),)}
    eager = msgspec.structs.replace(pair(5.0, *OFFSETS)[0], accuracies=(accuracy(0.9),))
    fast = pair(5.0, *OFFSETS, **answers)[1]
    close = budget(metric="top1", max_drop_points=1.0)
    baseline = budget(name="before", against=None, baseline=True, max_increase=0.0)
    counted = budget(name="macs", metric="macs", against=None, max=10.0)
    fast = msgspec.structs.replace(fast, values={"macs": (9.0,)}, uncounted={"GridSample": 1})
    found = looked(eager, fast, budgets=(close, baseline, counted))
    statuses = [one.status for one in judge(found).verdicts]
    assert statuses == ["inconclusive", "missing", "inconclusive"]
    assert open_questions(found) == []


def test_what_failed_or_cannot_be_used_is_not_open() -> None:
    eager, fast = pair(5.0, *OFFSETS)
    budgets = (budget(min_speedup=5.0),)
    failed = msgspec.structs.replace(fast, status="failed")
    assert open_questions(looked(eager, failed, budgets=budgets)) == []
    nan = msgspec.structs.replace(fast, latencies_s=dict.fromkeys(range(4), (math.nan,)))
    assert open_questions(looked(eager, nan, budgets=budgets)) == []


def test_memory_is_open_like_times() -> None:
    eager, fast = (
        msgspec.structs.replace(one, values={"run_peak_bytes": (9e6, 11e6, 9e6, 11e6)})
        for one in pair(5.0, *OFFSETS)
    )
    budgets = (budget(metric="run_peak_bytes", against=None, max=1e7),)
    assert [one.about for one in open_questions(looked(eager, fast, budgets=budgets))] == ["b"]


@pytest.mark.parametrize(
    ("speedup", "rounds"),
    [
        (math.exp(REACH + 0.001), ()),  # faster
        (math.exp(0.0275), (6,)),  # soon faster: 0.0275 is what 6 rounds reach
        (math.exp(0.0025), (6,)),  # soon not by 3 %: log(1.03) = 0.0296
        (math.exp(0.0296 - REACH - 0.001), ()),  # surely not by 3 %
        (0.5, ()),
    ],
)
def test_whether_a_cell_is_faster_than_its_parent_is_waited_for(
    speedup: float, rounds: tuple[int, ...]
) -> None:
    parent = Cell("vgg", "fp32", "openvino")
    fast = (0.1 / speedup * math.exp(one) for one in OFFSETS)
    records = (record(parent, *[0.1] * 4), record(INT8, *fast))
    found = open_questions(looked(*records))
    assert [(one.cell, one.about, one.rounds) for one in found] == [
        (INT8.key, NEVER_SLOWER, one) for one in rounds
    ]
    simulated = msgspec.structs.replace(records[1], labels=("simulated",))
    assert open_questions(looked(records[0], simulated)) == []


def test_a_fixed_number_leaves_nothing_open() -> None:
    budgets = (budget(min_speedup=5.0),)
    assert open_questions(looked(*pair(5.0, *OFFSETS), looks=None, budgets=budgets)) == []


def test_intervals_are_those_of_the_look() -> None:
    found = looked(*pair(5.0, *OFFSETS), budgets=(budget(min_speedup=5.0),))
    fixed = looked(*pair(5.0, *OFFSETS), looks=None, budgets=(budget(min_speedup=5.0),))
    (wide,), (narrow,) = judge(found).verdicts, judge(fixed).verdicts
    assert wide.estimate is not None
    assert narrow.estimate is not None
    assert math.log(wide.estimate.high / 5.0) == pytest.approx(REACH, abs=1e-4)
    # 3.182 * 0.01 / sqrt(3): t of 3 degrees of freedom.
    assert math.log(narrow.estimate.high / 5.0) == pytest.approx(0.01837, abs=1e-4)
    level = metrics.level(found.records[INT8.id], "latency_s")
    assert level is not None
    assert math.log(level.high / 0.02) == pytest.approx(REACH, abs=1e-4)


def test_every_kind_of_interval_over_rounds_widens() -> None:
    def widths(looks: Looks | None) -> list[float]:
        stages = {n: {"rpn": 0.2 + one, "rest": 0.8} for n, one in enumerate(OFFSETS)}
        values = {"load_s": (1.0, 1.1, 1.0, 1.1), "energy_j": (0.0, 1.0, 0.0, 1.0)}
        energy = metrics.Metric("energy_j", "J", summary="mean")
        eager, fast = pair(5.0, *OFFSETS, stages_s=stages, values=values)
        eager = msgspec.structs.replace(eager, values=values)
        one = looked(eager, fast, looks=looks, metrics=(energy,), compare="absolute")
        other = looked(eager, fast, looks=None, compare="ratio")
        mine, parent = one.records[INT8.id], one.records[EAGER.id]
        slower = msgspec.structs.replace(
            mine, latencies_s={n: (0.021 + n / 1e3,) for n in range(4)}
        )
        found = [
            metrics.level(mine, "stage_share/rpn"),
            metrics.level(mine, "stage_s/rpn"),
            metrics.level(mine, "load_s"),
            metrics.level(mine, "energy_j"),
            metrics.ratio(mine, parent, "load_s", "median"),
            metrics.ratio_between_runs(other.records[INT8.id], slower, "latency_s", "median"),
            metrics.ratio_of_ratios((mine, parent), (slower, parent), "latency_s", "median"),
            metrics.ratio_of_ratios((mine, parent), (slower, parent), "load_s", "median"),
        ]
        assert all(found)
        return [one.high - one.low for one in found if one]

    assert all(
        wide > 1.5 * narrow for wide, narrow in zip(widths(LOOKS), widths(None), strict=True)
    )


def test_a_gain_and_what_it_realises_are_those_of_the_look() -> None:
    parent = Cell("vgg", "fp32", "openvino")
    records = (
        record(parent, *[0.1] * 4, values={"macs": (2.0,), "parameters": (2.0,)}),
        record(
            INT8,
            *(0.05 * math.exp(one) for one in OFFSETS),
            values={"macs": (1.0,), "parameters": (1.0,)},
        ),
    )
    found = gain(looked(*records), INT8)
    assert found is not None and found.realised is not None
    assert math.log(found.realised.high) == pytest.approx(REACH, abs=1e-4)


def test_more_values_than_rounds_do_not_make_a_later_look() -> None:
    """A meter may give several samples a process."""
    eager, fast = pair(5.0, *OFFSETS)
    values = {"load_s": tuple(1.0 + n % 3 for n in range(100))}
    fast = looked(eager, msgspec.structs.replace(fast, values=values)).records[INT8.id]
    logs = sorted(math.log(one) for one in values["load_s"])
    assert metrics.level(fast, "load_s") == mean_interval(logs, look_confidence(LOOKS, 4))


def test_more_rounds_than_the_plan_are_judged_as_its_last() -> None:
    """A journal that was put together by hand must not end in a crash."""
    eager, fast = pair(5.0, *(0.01 * (-1) ** n for n in range(8)))
    short = looked(eager, fast, looks=Looks(4, 6), budgets=(budget(min_speedup=5.0),))
    logs = metrics.log_ratios(short.records[INT8.id], short.records[EAGER.id])
    found = metrics.ratio(short.records[INT8.id], short.records[EAGER.id], "latency_s", "median")
    assert found == mean_interval(logs, look_confidence(Looks(4, 6), 6))
    assert len(open_questions(short)) == 1


def test_a_regression_has_the_interval_of_the_look() -> None:
    """The rule stays the same: beyond the floor, and none excluded. Here runs differ by nothing."""
    before = looked(*pair(5.0, *OFFSETS), looks=None)
    for looks, status in ((None, "regressed"), (LOOKS, "inconclusive")):
        now = known_noise(looked(*pair(5.0 / 1.04, *OFFSETS), looks=looks), 0.0)
        # 4 % slower; Welch of two times 0.01155: 2.447 standard errors of 0.00816 are 0.0200, the
        # first look's confidence makes 4.98 of it, 0.0407.
        found = {one.cell: one for one in regression_verdicts(now, before)}
        assert found[INT8.key].status == status
        ratio = next(one for one in compare(before, now).changes if one.cell == INT8).latency_ratio
        assert ratio is not None
        reach = math.log(ratio.high / ratio.value)
        assert reach == pytest.approx(0.0200 if looks is None else 0.0407, abs=5e-4)


def test_first_critical_value_is_what_these_numbers_rest_on() -> None:
    assert critical_value(LOOKS, 4) * 0.01 / math.sqrt(3.0) == pytest.approx(REACH, abs=5e-5)


@pytest.mark.parametrize(
    ("within", "open_"), [(None, False), (math.expm1(REACH) + 0.001, False), (0.05, True)]
)
def test_a_speedup_may_have_to_be_known_well(within: float | None, open_: bool) -> None:
    found = open_questions(looked(*pair(5.0, *OFFSETS), speedups_within=within))
    # 5 rounds reach 0.0370, less than log(1.05).
    wide = [OpenQuestion(INT8.key, "speed-up within 5 %", 5)]
    assert found == wide * open_
