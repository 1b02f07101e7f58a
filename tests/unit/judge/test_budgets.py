"""Budgets held against cells of runs built by hand."""

from __future__ import annotations

import math

import msgspec
import pytest
from judged_runs import (
    EAGER,
    INT8,
    PAIR,
    accuracy,
    budget,
    noisy,
    only,
    other_machine,
    record,
    run,
    scaled,
    warned,
)

from perfsuite.domain.judgement import OfOtherWorkload
from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.report.sentences import caution_sentence, verdict_sentence


@pytest.mark.parametrize(
    ("needs", "status", "code"),
    [(5.0, "pass", 0), (9.99, "inconclusive", 3), (50.0, "over_budget", 1)],
)
def test_min_speedup(needs: float, status: str, code: int) -> None:
    found = judge(run(*PAIR, budgets=(budget(min_speedup=needs),)))
    verdict = only(found.verdicts)
    assert (verdict.status, found.exit_code) == (status, code)
    assert verdict.cell == "vgg/int8/openvino/cpu/b1"
    assert verdict.against == "vgg/fp32/pytorch/cpu/b1"
    assert verdict.limit == needs
    assert verdict.estimate is not None
    assert verdict.estimate.low < verdict.estimate.value < verdict.estimate.high
    assert verdict_sentence(verdict).startswith("9.98x faster than vgg/fp32/pytorch/cpu/b1 (9.")
    assert ("measure more processes" in verdict_sentence(verdict)) == (status == "inconclusive")


OTHER_EAGER = msgspec.structs.replace(EAGER, workload="net")
OTHER_INT8 = msgspec.structs.replace(INT8, workload="net")


def test_each_workload_is_held_against_its_own_reference() -> None:
    """The other net is ten times as fast, and gains nothing from INT8."""
    own = (record(OTHER_EAGER, 0.01, 0.011, 0.0105), record(OTHER_INT8, 0.01, 0.0109, 0.0104))
    limit = budget(cell="*/int8/*", against="fp32/pytorch", min_speedup=5.0)
    found = judge(run(*PAIR, *own, budgets=(limit,)))
    assert [(one.cell, one.against, one.status) for one in found.verdicts] == [
        (INT8.key, EAGER.key, "pass"),
        (OTHER_INT8.key, OTHER_EAGER.key, "over_budget"),
    ]
    assert not [one for one in found.warnings if isinstance(one, OfOtherWorkload)]


def test_one_workload_for_all_is_warned_of() -> None:
    own = (record(OTHER_EAGER, 0.01, 0.011, 0.0105), record(OTHER_INT8, 0.01, 0.0109, 0.0104))
    limit = budget(cell="*/int8/*", against=EAGER.key, min_speedup=5.0)
    found = judge(run(*PAIR, *own, budgets=(limit,)))
    assert [one.status for one in found.verdicts] == ["pass", "pass"]
    (caution,) = (one for one in found.warnings if isinstance(one, OfOtherWorkload))
    assert caution_sentence(caution) == (
        f"budget 'b' holds {OTHER_INT8.key} against {EAGER.key}, of another workload; for the cell "
        f'of the same workload write against = "fp32/pytorch"'
    )
    student = budget(cell=OTHER_INT8.key, against=EAGER.key, min_speedup=5.0)
    found = judge(run(*PAIR, *own, budgets=(student,)))
    assert not [one for one in found.warnings if isinstance(one, OfOtherWorkload)]


def test_a_workload_whose_reference_was_not_run_is_not_judged() -> None:
    limit = budget(cell="*/int8/*", against="fp32/pytorch", min_speedup=5.0)
    found = judge(run(*PAIR, record(OTHER_INT8, 0.01, 0.0109, 0.0104), budgets=(limit,)))
    assert [one.status for one in found.verdicts] == ["pass", "missing"]
    assert verdict_sentence(found.verdicts[1]) == (
        "against = 'fp32/pytorch' must match one cell of the run, not 0"
    )


def test_exact_limit_passes() -> None:
    runs = run(record(EAGER, 0.3, 0.3), record(INT8, 0.1, 0.1), budgets=(budget(min_speedup=3.0),))
    assert judge(runs).exit_code == 0


def test_high_percentile_is_judged_when_asked() -> None:
    slow_tail = dict.fromkeys(range(4), (0.01,) * 90 + (0.2,) * 10)
    runs = run(
        record(EAGER, *[0.1] * 4),
        record(INT8, latencies_s=slow_tail),
        budgets=(budget(min_speedup=5.0), budget(min_speedup=5.0, statistic="p95")),
    )
    median, p95 = judge(runs).verdicts
    assert (median.status, p95.status) == ("pass", "over_budget")
    assert verdict_sentence(p95) == "0.5x the speed of vgg/fp32/pytorch/cpu/b1 by its p95, needs 5x"


def test_absolute_limits_and_counts() -> None:
    values = {"artifact_bytes": (59e6,), "throughput_per_s": (100.0, 101.0, 99.0)}
    runs = run(
        record(INT8, 0.0023, 0.0023, 0.0024, values=values, accuracies=(accuracy(0.93, 0.01),)),
        budgets=(
            budget(against=None, max=0.003),
            budget(against=None, max=0.001),
            budget(against=None, metric="artifact_bytes", max=60e6),
            budget(against=None, metric="throughput_per_s", min=100.0),
            budget(against=None, metric="top1", min=0.9),
        ),
    )
    verdicts = judge(runs).verdicts
    assert [one.status for one in verdicts] == [
        "pass",
        "over_budget",
        "pass",
        "inconclusive",
        "pass",
    ]
    assert verdict_sentence(verdicts[2]) == "artifact_bytes is 59 MB, must be at most 60 MB"
    assert verdict_sentence(verdicts[0]).startswith("latency_s is 2.33 ms (2.")
    assert verdict_sentence(verdicts[0]).endswith("must be at most 3 ms")


def test_max_increase_of_a_size() -> None:
    runs = run(
        record(EAGER, values={"artifact_bytes": (100.0,)}),
        record(INT8, values={"artifact_bytes": (130.0,)}),
        budgets=(budget(metric="artifact_bytes", max_increase=0.2),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == "over_budget"
    assert verdict_sentence(verdict) == (
        "artifact_bytes changes by +30 % against vgg/fp32/pytorch/cpu/b1, may grow by 20 %"
    )


def test_a_zero_reference_is_inconclusive() -> None:
    runs = run(
        record(EAGER, values={"macs": (0.0,)}),
        record(INT8, values={"macs": (1.0,)}),
        budgets=(budget(metric="macs", max_increase=0.2),),
    )
    assert only(judge(runs).verdicts).status == "inconclusive"


def test_unusable_latencies_are_left_out_and_told() -> None:
    runs = run(
        record(EAGER, 0.1, 0.1, math.nan, 0.0),
        record(INT8, 0.01, 0.01, 0.01, 0.01),
        budgets=(budget(min_speedup=5.0),),
    )
    found = judge(runs)
    assert found.exit_code == 0
    assert warned(found) == (
        "vgg/fp32/pytorch/cpu/b1: latencies of round 2, 3 are not all positive numbers and were "
        "left out",
    )


@pytest.mark.parametrize("latencies", [(), (0.01,), (math.nan, math.nan)])
def test_too_few_processes_are_never_green(latencies: tuple[float, ...]) -> None:
    runs = run(PAIR[0], record(INT8, *latencies), budgets=(budget(min_speedup=5.0),))
    found = judge(runs)
    assert only(found.verdicts).status == ("inconclusive" if latencies else "missing")
    assert found.exit_code == 3


def test_rounds_that_never_met_are_inconclusive() -> None:
    later = record(INT8, latencies_s={8: (0.01,), 9: (0.01,)})
    found = judge(run(PAIR[0], later, budgets=(budget(min_speedup=5.0),)))
    assert only(found.verdicts).status == "inconclusive"


def test_simulated_is_never_fast() -> None:
    runs = run(
        PAIR[0],
        record(INT8, 0.01, 0.01, 0.01, 0.01, labels=("simulated",)),
        budgets=(budget(min_speedup=5.0),),
    )
    assert only(judge(runs).verdicts).status == "incomparable"


@pytest.mark.parametrize("against", ["vgg/none/*", "vgg/*"])
def test_against_must_match_one_cell(against: str) -> None:
    verdict = only(judge(run(*PAIR, budgets=(budget(against=against, min_speedup=5.0),))).verdicts)
    assert verdict.status == "missing"
    assert "must match one cell" in verdict_sentence(verdict)


def test_the_reference_is_not_held_against_itself() -> None:
    found = judge(run(*PAIR, budgets=(budget(cell="*", min_speedup=5.0),)))
    assert only(found.verdicts).cell == INT8.key
    assert found.exit_code == 0


def test_a_budget_that_judges_nothing_is_missing() -> None:
    found = judge(run(*PAIR, budgets=(budget(cell="x/*", min_speedup=5.0),)))
    assert only(found.verdicts).status == "missing"
    assert found.exit_code == 3


def test_budgets_against_a_baseline_compare_ratios_too() -> None:
    budgets = (budget(against=None, baseline=True, max_increase=0.1, cell="*"),)
    before = other_machine(noisy(3.0, 1, 0.01, compare="ratio", budgets=budgets))
    same = noisy(1.0, 2, 0.01, compare="ratio", budgets=budgets)
    assert judge(same, before).exit_code == 0
    found = judge(scaled(same, 1.2, INT8), before)
    assert [one.cell for one in found.verdicts if one.status == "over_budget"] == [INT8.key]
    absolute = noisy(1.0, 2, 0.01, budgets=budgets)
    assert {one.status for one in judge(absolute, before).verdicts[:2]} == {"incomparable"}
    assert {one.status for one in judge(absolute).verdicts} == {"missing"}


def test_throughput_is_compared_by_ratio_without_rounds() -> None:
    limit = budget(
        against=None, baseline=True, metric="load_s", max_increase=0.1, cell="vgg/int8/*"
    )

    def loaded(eager: float, int8: float) -> Run:
        return run(
            record(EAGER, values={"load_s": (eager, eager * 1.01, eager)}),
            record(INT8, values={"load_s": (int8, int8 * 1.01, int8)}),
            compare="ratio",
            budgets=(limit,),
        )

    assert judge(loaded(1.0, 2.0), loaded(3.0, 6.0)).exit_code == 0
    assert judge(loaded(1.0, 2.6), loaded(3.0, 6.0)).exit_code == 1
