"""A metric that the table has not, as a stored run defines it: judged like those of the table."""

from __future__ import annotations

from typing import Any

import pytest
from judged_runs import EAGER, INT8, budget, only, other_machine, record, run

from perfsuite.domain.metrics import Metric
from perfsuite.domain.record import Record, Run
from perfsuite.judge import judge
from perfsuite.report.sentences import verdict_sentence

ENERGY = Metric("energy_j", "J", "energy", floor=0.05)
LIFE = Metric("battery_h", "h", better="higher", floor=0.05)
SWITCHES = Metric("switches", "1", summary="mean", machine_bound=False)


def drawn(*joules: float, name: str = "energy_j", **fields: Any) -> Record:
    return record(INT8, 0.01, 0.01, 0.01, values={name: joules}, **fields)


def energetic(*joules: float, **suite: Any) -> Run:
    eager = record(EAGER, 0.1, 0.1, 0.1, values={"energy_j": (0.4, 0.4, 0.4)})
    return run(eager, drawn(*joules), metrics=(ENERGY,), **suite)


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        ({"max": 0.11, "against": None}, "pass", "energy_j is 100 mJ, must be at most 110 mJ"),
        (
            {"max": 0.09, "against": None},
            "over_budget",
            "energy_j is 100 mJ, must be at most 90 mJ",
        ),
        ({"min_speedup": 3.9}, "pass", "4x less energy_j than vgg/fp32/pytorch/cpu/b1, needs 3.9x"),
        (
            {"max_increase": 0.0},
            "pass",
            "energy_j changes by -75 % against vgg/fp32/pytorch/cpu/b1, may grow by 0 %",
        ),
    ],
)
def test_budgets(limits: dict[str, Any], status: str, words: str) -> None:
    held = budget(metric="energy_j", **limits)
    verdict = only(judge(energetic(0.1, 0.1, 0.1, budgets=(held,))).verdicts)
    assert (verdict.status, verdict_sentence(verdict)) == (status, words)


def test_too_few_samples_ask_for_processes_and_not_for_test_samples() -> None:
    held = budget(metric="energy_j", max=0.1, against=None)
    verdict = only(judge(energetic(0.08, 0.1, 0.12, budgets=(held,))).verdicts)
    assert verdict.status == "inconclusive"
    assert verdict_sentence(verdict).endswith("measure more processes")


def test_more_than_its_floor_is_a_regression() -> None:
    before, after = energetic(0.1, 0.1, 0.1), energetic(0.12, 0.12, 0.12)
    found = judge(after, before)
    assert found.exit_code == 1
    worse = only(tuple(one for one in found.verdicts if one.status != "pass"))
    assert (worse.cell, worse.metric, worse.status) == (INT8.key, "energy_j", "regressed")
    sentence = verdict_sentence(worse)
    assert sentence.startswith("20 % more energy_j than in the baseline; stored runs")
    assert judge(before, after).exit_code == 0


def test_less_of_what_is_better_higher_is_a_regression() -> None:
    before, after = (
        run(drawn(*hours, name="battery_h"), metrics=(LIFE,))
        for hours in ((10.0, 10.0), (8.0, 8.0))
    )
    worse = only(tuple(one for one in judge(after, before).verdicts if one.status != "pass"))
    assert (worse.metric, worse.status) == ("battery_h", "regressed")
    sentence = verdict_sentence(worse)
    assert sentence.startswith("20 % less battery_h than in the baseline; stored runs")
    assert judge(before, after).exit_code == 0


def test_the_baseline_defines_what_is_gone() -> None:
    before = energetic(0.1, 0.1, 0.1)
    after = run(*(record(cell, 0.1, 0.1, 0.1) for cell in (EAGER, INT8)))
    lost = [one for one in judge(after, before).verdicts if one.status == "missing"]
    assert [verdict_sentence(one) for one in lost] == [
        "has no energy_j, which the baseline has"
    ] * 2


def test_without_a_floor_only_a_budget_judges() -> None:
    one, other = (
        run(drawn(*counts, name="switches"), metrics=(SWITCHES,))
        for counts in ((1.0, 1.0), (9.0, 9.0))
    )
    assert {verdict.metric for verdict in judge(other, one).verdicts} == {"latency_s"}


def test_what_is_machine_bound_is_incomparable_elsewhere() -> None:
    before, after = energetic(0.1, 0.1, 0.1), other_machine(energetic(0.1, 0.1, 0.1))
    status = {one.metric: one.status for one in judge(after, before).verdicts}
    assert status == {"latency_s": "incomparable", "energy_j": "incomparable"}


def test_a_mean_may_be_zero() -> None:
    held = budget(metric="switches", max=3.0, against=None)
    found = run(drawn(0.0, 0.0, 3.0, name="switches"), metrics=(SWITCHES,), budgets=(held,))
    verdict = only(judge(found).verdicts)
    # Their mean is 1, s = sqrt(3); t(0.975, 2) = 4.303: 4.303 * sqrt(3) / sqrt(3) = 4.303.
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(1.0)
    assert verdict.estimate.high == pytest.approx(5.303, abs=0.001)
    assert verdict.status == "inconclusive"


def test_what_is_zero_has_not_changed_or_says_that_there_is_no_ratio() -> None:
    floored = Metric("switches", "1", summary="mean", floor=0.05)
    kept = budget(name="kept", metric="switches", against=None, baseline=True, max_increase=0.1)

    def switched(*counts: float) -> Run:
        return run(record(INT8, each={"switches": counts}), metrics=(floored,), budgets=(kept,))

    none = judge(switched(0.0, 0.0, 0.0), switched(0.0, 0.0)).verdicts
    assert [one.status for one in none] == ["pass", "pass"]
    some = judge(switched(0.0, 2.0, 0.0), switched(1.0, 1.0)).verdicts
    assert [one.status for one in some] == ["incomparable", "incomparable"]
    assert {verdict_sentence(one) for one in some} == {
        "switches is 0 in some processes, of which there is no ratio: limit it with max"
    }
