"""Changes that were measured beside the baseline's own artifacts: numbers by hand."""

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
    measured_beside,
    only,
    other_machine,
    record,
    run,
)

from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import Metric
from perfsuite.domain.record import Record, Run, Slices
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.judge.comparability import change
from perfsuite.judge.intervals import mean_interval
from perfsuite.judge.open_questions import OpenQuestion, open_questions
from perfsuite.judge.regression import regression_verdicts

MOODS = (1.0, 1.8, 0.7, 1.3)  # of the machine in each round, which both sides share
OFFSETS = (0.01, -0.01, 0.01, -0.01)


def moody(factor: float, *offsets: float, **fields: Any) -> Record:
    offsets = offsets or (0.0,) * 4
    times = (0.01 * factor * mood * math.exp(one) for mood, one in zip(MOODS, offsets, strict=True))
    return record(INT8, *times, artifact="new", **fields)


def before(**fields: Any) -> Record:
    return msgspec.structs.replace(moody(1.0, **fields), artifact="old")


STORED = run(msgspec.structs.replace(record(INT8, 0.02, 0.03), artifact="old"))


def beside(now: Record, other: Record | None = None, **suite: Any) -> Run:
    return measured_beside(run(now, **suite), other or before())


def test_the_pair_of_a_change_is_the_round_in_which_both_were_measured() -> None:
    now = beside(moody(1.05, *OFFSETS))
    found = change(INT8, now, STORED, "latency_s")
    assert found.ratio is not None
    by_hand = mean_interval([math.log(1.05) + one for one in OFFSETS])
    assert msgspec.structs.astuple(found.ratio) == pytest.approx(msgspec.structs.astuple(by_hand))
    assert (found.beside, found.reason, found.sure, found.noise.source) == (True, None, None, "")
    verdict = only(judge(now, STORED).verdicts)
    assert (verdict.status, verdict.beside, verdict.noise) == ("regressed", True, "")
    assert verdict.between is None and verdict.against == "baseline"


def test_and_in_it_the_slice() -> None:
    slices = {number: Slices("turns", (1, 1, 1)) for number in range(2)}
    ours = {0: (1.0, 2.0, 9.0), 1: (2.0, 1.0, 9.0)}
    theirs = {0: (1.0, 2.0, 1.0), 1: (1.0, 1.0, 9.0)}  # medians of ratios: 1 and 1
    new = record(INT8, latencies_s=ours, slices=slices, artifact="new")
    old = record(INT8, latencies_s=theirs, slices=slices, artifact="old")
    assert change(INT8, beside(new, old), STORED, "latency_s").ratio == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("factor", "offset", "status"),
    [
        (1.0, 0.01, "pass"),  # four reach 0.01 * sqrt(4/3) * 3.182 / 2 = 0.0184 to each side
        (1.0, 0.03, "pass"),  # 0.0551: within twice the floor
        (1.0, 0.04, "inconclusive"),  # 0.0735
        (1.01, 0.01, "pass"),  # -0.8 % to 2.9 %
        (1.02, 0.01, "regressed"),  # 0.1 % to 3.9 %: surely slower, maybe by the floor
        (1.05, 0.01, "regressed"),
        (0.9, 0.01, "pass"),
    ],
)
def test_verdicts_beside(factor: float, offset: float, status: str) -> None:
    now = moody(factor, offset, -offset, offset, -offset)
    assert only(judge(beside(now), STORED).verdicts).status == status


def test_neither_another_machine_nor_a_yardstick_matters_beside() -> None:
    for compare in ("absolute", "ratio"):
        now = beside(moody(1.05, *OFFSETS), compare=compare)
        verdict = only(judge(now, other_machine(STORED)).verdicts)
        assert (verdict.status, verdict.yardstick, verdict.beside) == ("regressed", "", True)


def test_without_the_baselines_own_artifact_stored_runs_are_compared() -> None:
    slow = moody(1.05, *OFFSETS)
    unlike = (
        before(status="unavailable"),
        msgspec.structs.replace(before(), artifact="another"),
        before(latencies_s={}),
        before(latencies_s={0: (0.01,)}),  # one pair has no interval
    )
    for other in unlike:
        found = change(INT8, beside(slow, other), STORED, "latency_s")
        assert (found.beside, found.noise.source) == (False, "unknown")
        assert found.tried_beside == (other.artifact == "old"), "in this very baseline"
    assert not change(INT8, run(slow), STORED, "latency_s").tried_beside
    verdict = only(judge(beside(slow, before(status="unavailable")), STORED).verdicts)
    assert verdict.tried_beside
    (gone,) = judge(beside(slow), other_machine(run(record(INT8, 1.0, 1.0)))).verdicts
    assert (gone.status, gone.beside) == ("incomparable", False)


def test_a_run_against_itself_has_not_changed_whatever_it_was_measured_beside() -> None:
    itself = beside(msgspec.structs.replace(moody(1.05, *OFFSETS), artifact="old"))
    verdict = only(judge(itself, itself).verdicts)
    assert (verdict.status, verdict.estimate, verdict.beside) == ("pass", Interval(0, 0, 0), False)


def test_what_each_process_has_once_is_paired_by_round() -> None:
    logs = [0.05 + one for one in OFFSETS]
    loads = tuple(mood * math.exp(one) for mood, one in zip(MOODS, logs, strict=True))
    now = beside(moody(1.0, each={"load_s": loads}), before(each={"load_s": MOODS}))
    found = change(INT8, now, run(before(values={"load_s": (9.0, 9.0)})), "load_s")
    assert found.beside and found.ratio is not None
    assert found.ratio.value == pytest.approx(math.exp(0.05))
    assert found.ratio.high == pytest.approx(math.exp(0.05 + 3.1824 * 0.011547 / 2), rel=1e-5)
    # A round without it leaves the pairs of the others.
    there = {number: loads[number] for number in (1, 2, 3)}
    short = moody(1.0, values={"load_s": loads[1:]}, by_round={"load_s": there})
    lacking = beside(short, before(each={"load_s": MOODS}))
    three = change(INT8, lacking, run(before(values={"load_s": (9.0, 9.0)})), "load_s").ratio
    by_hand = mean_interval(logs[1:])
    assert three is not None and by_hand is not None
    assert msgspec.structs.astuple(three) == pytest.approx(msgspec.structs.astuple(by_hand))


def test_what_no_round_measures_is_that_of_the_stored_baseline() -> None:
    sized = {"values": {"artifact_bytes": (20.0,)}, "accuracies": (accuracy(0.90),)}
    now = beside(moody(1.0, *OFFSETS, **sized))
    stored = run(before(values={"artifact_bytes": (10.0,)}, accuracies=(accuracy(0.93),)))
    assert change(INT8, now, stored, "artifact_bytes").ratio == Interval(2.0, 2.0, 2.0)
    time, lost = judge(now, stored).verdicts
    assert (time.status, time.beside) == ("pass", True)
    assert (lost.metric, lost.status, lost.beside) == ("top1", "regressed", False)


def test_of_what_is_better_if_higher_less_is_worse() -> None:
    energy = Metric("per_joule", "1/J", better="higher", floor=0.03)
    less = {"per_joule": tuple(0.9 * mood for mood in MOODS)}
    now = beside(moody(1.0, each=less), before(each={"per_joule": MOODS}), metrics=(energy,))
    now = measured_beside(
        now, msgspec.structs.replace(before(each={"per_joule": MOODS}), metrics=(energy,))
    )
    stored = run(before(values={"per_joule": (1.0, 1.1)}), metrics=(energy,))
    found = {one.metric: one for one in regression_verdicts(now, stored)}
    assert (found["per_joule"].status, found["per_joule"].beside) == ("regressed", True)


@pytest.mark.parametrize(
    ("limit", "status"), [(0.07, "pass"), (0.05, "inconclusive"), (0.03, "over_budget")]
)
def test_a_budget_against_the_baseline_is_measured_beside_it(limit: float, status: str) -> None:
    budgets = (budget(name="kept", against=None, baseline=True, max_increase=limit),)
    now = beside(moody(1.05, *OFFSETS), budgets=budgets)  # 3.1 % to 7.0 %
    kept = judge(now, other_machine(STORED)).verdicts[0]
    assert (kept.status, kept.beside, kept.against) == (status, True, "baseline")
    faster = (budget(name="kept", against=None, baseline=True, min_speedup=1 / (1 + limit)),)
    assert judge(beside(moody(1.05, *OFFSETS), budgets=faster), STORED).verdicts[0].status == status


# -- what is open ---------------------------------------------------------------------------------

LOOKS = Looks()


def looked(factor: float, offset: float = 0.01, **suite: Any) -> Run:
    made = beside(moody(factor, offset, -offset, offset, -offset), looks=LOOKS, **suite)
    other = msgspec.structs.replace(before(), looks=LOOKS)
    return measured_beside(made, other)


def test_a_change_is_open_until_it_holds_nothing_or_not_the_floor() -> None:
    # Four reach 0.054 to each side at the first look: 9.356 * 0.01 / sqrt(3).
    (question,) = open_questions(looked(1.0), STORED)
    assert (question.cell, question.about) == (INT8.key, "regression of latency_s")
    # 0.0115 deviate; until log(1.03) = 0.0296 they must reach: five 0.0370, six 0.0269.
    assert question.rounds == 6
    assert open_questions(looked(1.06), STORED) == []
    assert open_questions(looked(0.97), STORED) == []
    assert len(open_questions(looked(1.05), STORED)) == 1
    # Within twice the floor it would be green at the end, but it is measured on.
    assert only(judge(looked(1.0), STORED).verdicts).status == "pass"


def test_a_forecast_of_a_change_is_the_sooner_of_the_two_ends() -> None:
    # 0.02 is log(1.0202): to 0 it is 0.02, to the floor 0.0096.
    (question,) = open_questions(looked(math.exp(0.02)), STORED)
    assert question == OpenQuestion(INT8.key, "regression of latency_s", 8)
    (never,) = open_questions(looked(1.015, 0.2), STORED)
    assert never.rounds is None


def test_rounds_do_not_tell_accuracies() -> None:
    answered = {"accuracies": (accuracy(0.9, 0.05),)}
    now = measured_beside(
        run(moody(1.2, *OFFSETS, **answered), looks=LOOKS),
        msgspec.structs.replace(before(), looks=LOOKS),
    )
    stored = run(before(accuracies=(accuracy(0.93),)))
    assert [one.status for one in judge(now, stored).verdicts] == ["regressed", "inconclusive"]
    assert open_questions(now, stored) == []


def test_stored_comparisons_are_not_waited_for() -> None:
    budgets = (budget(name="kept", against=None, baseline=True, max_increase=0.05),)
    alone = msgspec.structs.replace(looked(1.05, budgets=budgets), beside={})
    assert judge(alone, STORED).exit_code == 3
    assert open_questions(alone, STORED) == []
    assert open_questions(looked(1.05, budgets=budgets)) == []  # without a baseline
    about = [one.about for one in open_questions(looked(1.05, budgets=budgets), STORED)]
    assert about == ["kept", "regression of latency_s"]


def test_a_fixed_number_of_rounds_leaves_nothing_open() -> None:
    assert open_questions(beside(moody(1.0, *OFFSETS)), STORED) == []


def test_an_eager_cell_may_be_measured_alone_among_those_beside() -> None:
    both = run(moody(1.0), record(EAGER, 0.1, 0.1, 0.1, 0.1), looks=LOOKS)
    stored = run(*STORED.records.values(), record(EAGER, 0.1, 0.2))
    assert [one.cell for one in open_questions(measured_beside(both, before()), stored)] == []
