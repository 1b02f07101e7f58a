"""A red verdict on a change is measured a second time: what is then believed, and what is asked."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from judged_runs import (
    EAGER,
    INT8,
    accuracy,
    budget,
    known_noise,
    measured_again,
    measured_beside,
    only,
    other_machine,
    record,
    run,
)

from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import Record, Run
from perfsuite.judge import judge
from perfsuite.judge.open_questions import open_questions
from perfsuite.judge.second_measurement import red_cells

OLD = record(INT8, 0.01, 0.01, 0.01, 0.01, artifact="old")
STORED = run(OLD)


def timed(factor: float, offset: float = 0.01, **fields: Any) -> Record:
    """Four rounds: 1.8 % to each side, of an offset of 0.01."""
    times = (0.01 * factor * math.exp(sign * offset) for sign in (1, -1, 1, -1))
    return record(INT8, *times, **({"artifact": "new"} | fields))


def beside(factor: float, offset: float = 0.01, *others: Record, **suite: Any) -> Run:
    return measured_beside(run(timed(factor, offset), *others, **suite), OLD)


@pytest.mark.parametrize(
    ("second", "offset", "status"),
    [
        (1.08, 0.01, "regressed"),
        (1.0, 0.01, "pass"),
        (1.0, 0.05, "inconclusive"),  # 9 % to each side
    ],
)
def test_of_a_red_change_the_second_measurement_alone_is_believed(
    second: float, offset: float, status: str
) -> None:
    made = measured_again(beside(1.06), timed(second, offset), beside=(OLD,))
    verdict = only(judge(made, STORED).verdicts)
    assert (verdict.status, verdict.again, verdict.beside) == (status, True, True)
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(second - 1.0)


def test_what_was_not_red_is_not_asked_again() -> None:
    made = measured_again(beside(1.0), timed(1.2), beside=(OLD,))
    verdict = only(judge(made, STORED).verdicts)
    assert (verdict.status, verdict.again) == ("pass", False)


def test_a_red_verdict_stands_where_its_second_measurement_is_missing() -> None:
    cut_short = msgspec.structs.replace(timed(1.0), status="incomplete")
    lacking = (
        beside(1.06),
        measured_again(beside(1.06), cut_short, beside=(OLD,)),
        measured_again(beside(1.06), timed(1.0)),  # its baseline's process failed
        measured_again(beside(1.06), timed(1.0, latencies_s={}), beside=(OLD,)),
        measured_again(beside(1.06), record(EAGER, 0.1, 0.1)),  # of another cell
    )
    for made in lacking:
        verdict = only(judge(made, STORED).verdicts)
        assert (verdict.status, verdict.again, verdict.beside) == ("regressed", False, True)


def test_a_budget_against_the_baseline_too() -> None:
    budgets = (budget(name="kept", against=None, baseline=True, max_increase=0.02),)
    for second, status in ((1.06, "over_budget"), (1.0, "pass")):
        made = measured_again(beside(1.06, budgets=budgets), timed(second), beside=(OLD,))
        kept = judge(made, STORED).verdicts[0]
        assert (kept.budget, kept.status, kept.again) == ("kept", status, True)


def test_between_stored_runs_the_second_rounds_are_held_against_the_same_baseline() -> None:
    made = measured_again(run(timed(1.2)), timed(1.0, 0.002))
    verdict = only(judge(made, STORED).verdicts)
    assert (verdict.status, verdict.again, verdict.beside) == ("pass", True, False)
    assert verdict.noise == "unknown"


def test_by_ratio_the_yardstick_must_have_been_measured_again() -> None:
    eager = record(EAGER, *[0.1] * 4, artifact="e")
    stored = other_machine(run(eager, OLD))
    first = run(eager, timed(1.2), compare="ratio")
    alone = measured_again(first, timed(1.0))  # which would be its own yardstick
    assert [one.again for one in judge(alone, stored).verdicts] == [False, False]
    assert red_cells(alone, stored) == [EAGER, INT8]
    slower = msgspec.structs.replace(eager, latencies_s=dict.fromkeys(range(4), (0.2,) * 3))
    both = measured_again(first, slower, timed(2.0, 0.002))
    (_, verdict) = judge(both, stored).verdicts
    assert (verdict.status, verdict.again, verdict.yardstick) == ("pass", True, EAGER.key)


def test_which_cells_are_measured_again() -> None:
    eager = record(EAGER, *[0.1] * 4)
    stored = run(eager, OLD)
    assert red_cells(beside(1.06), STORED) == [INT8]
    assert red_cells(beside(1.06, 0.01, eager), stored) == [INT8]
    assert red_cells(beside(1.0, 0.01, eager), stored) == []
    assert red_cells(run(timed(1.2), eager), stored) == [INT8]  # stored runs
    assert red_cells(run(timed(1.2)), other_machine(STORED)) == []  # incomparable
    # It is the same when some of it has been measured.
    made = measured_again(beside(1.06), timed(1.0), beside=(OLD,))
    assert red_cells(made, STORED) == [INT8]


def test_no_rounds_make_an_accuracy_or_a_size_another_one() -> None:
    budgets = (
        budget(
            name="small", metric="artifact_bytes", against=None, baseline=True, max_increase=0.0
        ),
    )
    values = {"values": {"artifact_bytes": (2.0,)}, "accuracies": (accuracy(0.5),)}
    before = {"values": {"artifact_bytes": (1.0,)}, "accuracies": (accuracy(0.9),)}
    made = run(timed(1.0, **values), budgets=budgets)
    stored = run(timed(1.0, **before))
    assert judge(made, stored).exit_code == 1
    assert red_cells(made, stored) == []
    # Nor is it said of them that they were measured again, where the latency was.
    twice = measured_again(run(timed(1.2, **values), budgets=budgets), timed(1.0, 0.002, **values))
    told = {one.metric: (one.status, one.again) for one in judge(twice, stored).verdicts}
    assert told == {
        "artifact_bytes": ("over_budget", False),
        "latency_s": ("pass", True),
        "top1": ("regressed", False),
    }


def test_budgets_within_the_run_are_not_measured_again() -> None:
    budgets = (budget(max=0.001, against=None),)
    made = beside(1.0, budgets=budgets)
    assert judge(made, STORED).exit_code == 1
    assert red_cells(made, STORED) == []


# -- what is open in the second measurement -------------------------------------------------------


def test_of_the_second_measurement_only_changes_are_asked() -> None:
    budgets = (
        budget(name="fast", cell="vgg/int8/*", max=0.01, against=None),
        budget(name="kept", against=None, baseline=True, max_increase=0.06),
    )
    parent = record(Cell("vgg", "fp32", "openvino"), *[0.01] * 4)
    first = run(parent, timed(1.0), looks=Looks(), processes=24, budgets=budgets)
    first = measured_beside(first, msgspec.structs.replace(OLD, looks=Looks()))
    asked = [one.about for one in open_questions(first, STORED)]
    assert asked == ["fast", "never slower", "regression of latency_s"]
    made = measured_again(first, parent, timed(1.05), beside=(OLD,))
    assert made.again is not None
    asked = [one.about for one in open_questions(made.again, STORED)]
    assert asked == ["kept", "regression of latency_s"]
    # What is asked of the first measurement does not change by the second.
    assert open_questions(made, STORED) == open_questions(first, STORED)
    decided = measured_again(first, parent, timed(1.2), beside=(OLD,))
    assert decided.again is not None
    assert open_questions(decided.again, STORED) == []


@pytest.mark.parametrize(
    ("factor", "between", "open_"),
    [
        (1.15, 0.02, True),  # log 0.1398, beyond 3.29 * sqrt(2) * 0.02 = 0.0931
        (1.15, 0.04, False),  # within the noise, of which rounds show nothing
        (1.5, 0.02, False),  # red
        (1.0, 0.02, False),
    ],
)
def test_of_stored_runs_a_second_measurement_goes_on_if_rounds_can_tell(
    factor: float, between: float, open_: bool
) -> None:
    # Welch of four and four processes, which deviate by 0.04 and 0: far more than the noise.
    first = known_noise(run(timed(1.5), looks=Looks(), processes=24), between)
    made = measured_again(first, timed(factor, 0.04))
    assert made.again is not None
    about = [one.about for one in open_questions(made.again, STORED)]
    assert about == ["regression of latency_s"] * open_
    once = known_noise(run(timed(factor, 0.04), looks=Looks(), processes=24), between)
    assert open_questions(once, STORED) == []  # of the first measurement it is not asked
