"""Open questions among decided ones, forecasts at their borders, and looks of two runs."""

from __future__ import annotations

import math

import msgspec
import pytest
from judged_runs import EAGER, INT8, accuracy, budget, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import Record
from perfsuite.judge import intervals, metrics
from perfsuite.judge.open_questions import NEVER_SLOWER, OpenQuestion, open_questions
from perfsuite.judge.sequential import look_confidence, rounds_needed

LOOKS = Looks()
OFFSETS = (0.01, -0.01, 0.01, -0.01)  # four log ratios reach 0.0540 to each side


def timed(cell: Cell, seconds: float, *offsets: float, **fields: object) -> Record:
    return record(cell, *(seconds * math.exp(one) for one in offsets), **fields)


def test_what_is_decided_hides_nothing_behind_it() -> None:
    eager = record(EAGER, *[0.1] * 4, accuracies=(accuracy(0.9),))
    fast = timed(INT8, 0.02, *OFFSETS, accuracies=(accuracy(0.9, 0.05),))
    budgets = (
        budget(name="holds", min_speedup=2.0),
        budget(name="of answers", metric="top1", max_drop_points=1.0),
        budget(name="open", min_speedup=5.0),
    )
    found = open_questions(run(eager, fast, looks=LOOKS, budgets=budgets))
    assert [one.about for one in found] == ["open"]


def test_a_cell_whose_pace_is_known_hides_no_other() -> None:
    parents = [Cell("vgg", "fp32", name) for name in ("one", "two", "three")]
    variants = [msgspec.structs.replace(one, recipe="int8") for one in parents]
    records = [record(one, *[0.1] * 4) for one in parents]
    records += [
        timed(one, at, *OFFSETS) for one, at in zip(variants, (0.05, 0.1, 0.1), strict=True)
    ]
    records[4] = msgspec.structs.replace(records[4], labels=("simulated",))
    found = open_questions(run(*records, looks=LOOKS))
    assert [one.cell for one in found] == [variants[2].key]


def test_what_no_round_of_the_plan_decides_has_no_forecast() -> None:
    parent = Cell("vgg", "fp32", "openvino")
    wide = timed(INT8, 0.099, 1.0, -1.0, 1.0, -1.0)
    found = open_questions(run(record(parent, *[0.1] * 4), wide, looks=LOOKS))
    assert found == [OpenQuestion(INT8.key, NEVER_SLOWER, None)]


def test_times_below_a_second_are_forecast_by_their_logarithms() -> None:
    # 6 rounds reach 0.02690 of the logarithm, 7 farther in: on a linear scale 6 would do.
    limit = 0.02 * math.exp(-0.02685)
    held = budget(max=limit, against=None)
    (found,) = open_questions(run(timed(INT8, 0.02, *OFFSETS), looks=LOOKS, budgets=(held,)))
    assert found.rounds == 7


def test_an_increase_may_be_open_around_nothing() -> None:
    """A share below 0 has no logarithm."""
    held = budget(max_increase=0.002)
    pair = (record(EAGER, *[0.1] * 4), timed(INT8, 0.1, *OFFSETS))
    found = open_questions(run(*pair, looks=LOOKS, budgets=(held,)))
    assert "b" in [one.about for one in found]


def test_a_share_that_ends_at_nothing_is_forecast_by_the_side_of_its_limit() -> None:
    shares = (0.1, 0.3, 0.1, 0.3)
    stages = {n: {"rpn": one, "rest": 1.0 - one} for n, one in enumerate(shares)}
    one = record(INT8, *[0.1] * 4, stages_s=stages)
    for limit in (0.1, 0.35):
        held = budget(metric="stage_s", stage="rpn", max_share=limit, against=None)
        made = run(one, looks=LOOKS, budgets=(held,))
        around = metrics.level(made.records[INT8.id], "stage_share/rpn")
        assert around is not None and around.low == 0.0
        reach = around.value - around.low if limit < around.value else around.high - around.value
        (found,) = open_questions(made)
        assert found.rounds == rounds_needed(reach, 4, abs(around.value - limit), LOOKS)


# -- the look of which run ------------------------------------------------------------------------


def test_a_ratio_of_ratios_has_the_higher_confidence_of_both_looks() -> None:
    def pair(looks: Looks | None, *offsets: float) -> tuple[Record, Record]:
        made = run(record(EAGER, *[0.1] * 12), timed(INT8, 0.02, *offsets), looks=looks)
        return made.records[INT8.id], made.records[EAGER.id]

    few, many = (0.01, -0.01, 0.02, 0.0), (0.01, -0.01, 0.02, 0.0, 0.01, -0.02, 0.0, 0.03)
    for now, before, rounds in (
        (pair(LOOKS, *few), pair(None, *many), 4),
        (pair(None, *many), pair(LOOKS, *few), 4),
        (pair(LOOKS, *many), pair(None, *few), 8),
        (pair(LOOKS, *few), pair(LOOKS, *many), 4),
    ):
        confidence = look_confidence(LOOKS, rounds)
        logs = [metrics.log_ratios(one, yardstick) for one, yardstick in (now, before)]
        expected = intervals.independent_interval(logs[:1], logs[1:], confidence)
        assert metrics.ratio_of_ratios(now, before, "latency_s", "median") == expected


def test_a_round_that_cannot_be_used_is_not_looked_at() -> None:
    fast = timed(INT8, 0.02, *OFFSETS, 0.0)
    fast = msgspec.structs.replace(fast, latencies_s={**fast.latencies_s, 4: (math.nan,)})
    made = run(record(EAGER, *[0.1] * 5), fast, looks=LOOKS)
    one, other = made.records[INT8.id], made.records[EAGER.id]
    logs = metrics.log_ratios(one, other)
    assert len(logs) == 4
    expected = intervals.mean_interval(logs, look_confidence(LOOKS, 4))
    assert metrics.ratio(one, other, "latency_s", "median") == expected
    assert expected is not None
    assert look_confidence(LOOKS, 4) != pytest.approx(look_confidence(LOOKS, 5), abs=1e-5)
