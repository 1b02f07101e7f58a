"""Runs judged against a baseline: what became slower, and what cannot be compared."""

from __future__ import annotations

import msgspec
import pytest
from judged_runs import (
    EAGER,
    INT8,
    PAIR,
    budget,
    known_noise,
    noisy,
    only,
    other_machine,
    record,
    run,
    scaled,
    warned,
)

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.judge.decisions import loss_verdict
from perfsuite.report.sentences import verdict_sentence
from perfsuite.report.tables.cell_rows import summary


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03, 0.5])
def test_a_run_against_itself_passes(noise: float) -> None:
    budgets = (budget(against=None, baseline=True, max_increase=0.05, cell="*"),)
    itself = noisy(1.0, 0, noise, budgets=budgets)
    found = judge(itself, itself)
    assert found.exit_code == 0
    assert len(found.verdicts) == 6


def test_one_process_against_itself_passes_and_against_another_cannot_be_judged() -> None:
    itself = run(record(INT8, 0.01))
    assert judge(itself, itself).exit_code == 0
    assert judge(itself, run(record(INT8, 0.0101))).exit_code == 3


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_slower_is_found_and_named(noise: float, seed: int) -> None:
    before, after = noisy(1.0, seed, noise), noisy(1.2, seed + 100, noise)
    for slower in (after, scaled(before, 1.2)):
        found = judge(known_noise(slower, noise), before)
        assert found.exit_code == 1
        named = {one.cell for one in found.verdicts if one.status == "regressed"}
        assert named == {EAGER.key, INT8.key}
    assert judge(before, after).exit_code == 0


def test_words_of_a_regression() -> None:
    before = run(record(INT8, 0.01, 0.01))
    verdict = only(judge(scaled(before, 1.2), before).verdicts)
    assert verdict_sentence(verdict) == (
        "20 % slower than in the baseline; stored runs, noise between runs not known"
    )
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(0.2)
    assert (verdict.budget, verdict.limit) == ("regression", 0.03)


def test_a_sure_but_small_change_passes() -> None:
    before = run(record(INT8, 0.01, 0.01))
    assert judge(scaled(before, 1.02), before).exit_code == 0


def test_a_large_but_unsure_change_is_inconclusive() -> None:
    before = run(record(INT8, 0.010, 0.010))
    after = run(record(INT8, 0.010, 0.014))
    verdict = only(judge(after, before).verdicts)
    assert verdict.status == "inconclusive"
    assert verdict_sentence(verdict).endswith(
        "not known: too close to tell, measure it beside the baseline (run --baseline)"
    )


def test_another_machine_is_incomparable_and_the_fields_are_named() -> None:
    itself = noisy(1.0, 0, 0.01)
    found = judge(itself, other_machine(itself))
    assert found.exit_code == 3
    latency = found.verdicts[0]
    assert latency.status == "incomparable"
    assert "processor ('A' here, 'B' in the baseline)" in verdict_sentence(latency)
    assert "caches bytes (of L2)" in verdict_sentence(latency)
    assert "flags (only one has avx512f)" in verdict_sentence(latency)
    assert "usable cores (2 here, 64 in the baseline)" in verdict_sentence(latency)
    assert found.verdicts[1].metric == "top1"
    assert found.verdicts[1].status == "pass"


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_ratios_are_judged_across_machines(noise: float) -> None:
    before = other_machine(noisy(3.0, 1, noise, compare="ratio"))
    same = noisy(1.0, 2, noise, compare="ratio")
    assert judge(same, before).exit_code == 0
    assert warned(judge(same, before)) == (
        'compare = "ratio" divides by vgg/fp32/pytorch/cpu/b1: what slows that cell, or all alike, '
        "is not seen",
    )
    slower = scaled(same, 1.2, INT8)
    found = judge(slower, before)
    assert found.exit_code == 1
    named = [one for one in found.verdicts if one.status == "regressed"]
    assert only(tuple(named)).cell == INT8.key
    assert "relative to vgg/fp32/pytorch/cpu/b1" in verdict_sentence(named[0])
    yardstick = found.verdicts[0]
    assert verdict_sentence(yardstick).startswith("is the yardstick")


def test_cells_that_are_gone_or_new() -> None:
    both = run(*PAIR)
    found = judge(run(PAIR[0], recipes=(FP32,)), both)
    assert [(one.cell, one.status) for one in found.verdicts] == [
        (EAGER.key, "pass"),
        (INT8.key, "missing"),
    ]
    assert found.exit_code == 3
    newer = judge(both, run(PAIR[0]))
    assert newer.exit_code == 0
    assert warned(newer) == (
        "vgg/int8/openvino/cpu/b1 has no ok record in the baseline: its changes are not judged",
    )


def ended(status: str, *cells: Cell) -> Run:
    """Return the run of both cells, of which some ended in another way."""
    both = run(*PAIR)
    changed = {
        cell.id: msgspec.structs.replace(both.records[cell.id], status=status)  # type: ignore[arg-type]
        for cell in cells
    }
    return msgspec.structs.replace(both, records={**both.records, **changed})


def test_a_baseline_that_was_cut_short_lets_nothing_pass_unseen() -> None:
    """What it had not measured might have become worse: that is not green."""
    found = judge(run(*PAIR), ended("incomplete", INT8))
    assert [(one.cell, one.status) for one in found.verdicts] == [
        (EAGER.key, "pass"),
        (INT8.key, "missing"),
    ]
    assert found.exit_code == 3 and not warned(found)
    assert verdict_sentence(found.verdicts[1]) == (
        "the baseline was cut short before this was measured: finish that with --resume"
    )
    # Also where that run has ended before anything was measured, and where both were cut short.
    assert judge(run(*PAIR), ended("incomplete", EAGER, INT8)).exit_code == 3
    both = judge(ended("incomplete", INT8), ended("incomplete", INT8))
    assert [(one.check, one.cell, one.status) for one in both.verdicts] == [
        ("status", INT8.key, "missing"),
        ("regression", EAGER.key, "pass"),
    ]


def test_what_had_failed_in_the_baseline_is_told_and_does_not_fail() -> None:
    found = judge(run(*PAIR), ended("failed", EAGER, INT8))
    assert found.exit_code == 0 and not found.verdicts
    assert warned(found) == tuple(
        f"{cell.key} has no ok record in the baseline: its changes are not judged"
        for cell in (EAGER, INT8)
    )
    assert summary(found) == (
        "nothing to judge: no budgets, nothing of these cells in the baseline; exit code 0"
    )


def test_another_number_of_threads_is_named() -> None:
    there = msgspec.structs.replace(INT8, threads=2)
    kept = budget(name="kept", against=None, baseline=True, max_increase=0.05)
    now = run(record(msgspec.structs.replace(INT8, threads=4), 0.01, 0.01), budgets=(kept,))
    found = judge(now, run(record(there, 0.01, 0.01))).verdicts
    assert [(one.budget, one.cell, one.status) for one in found] == [
        ("kept", INT8.key, "missing"),
        ("regression", INT8.key, "missing"),
    ]
    assert {verdict_sentence(one) for one in found} == {
        "runs with 4 threads here, and with 2 in the baseline: set `threads` in the suite, so that "
        "it is the same cell on any machine"
    }


def test_cells_that_were_not_chosen_are_told_and_not_missed() -> None:
    """The suite of the run has them: they were left out by --only."""
    found = judge(run(PAIR[0]), run(*PAIR))
    assert [(one.cell, one.status) for one in found.verdicts] == [(EAGER.key, "pass")]
    assert found.exit_code == 0
    assert warned(found) == (f"not judged, because --only left them out: {INT8.key}",)


@pytest.mark.parametrize(
    ("value", "low", "status"),
    [
        (0.03, 0.02, "pass"),
        (0.03 + 1e-9, 0.02, "pass"),  # rounding
        (0.03 + 3e-9, 0.02, "regressed"),
        (0.04, 1e-9, "inconclusive"),  # rounding
        (0.04, 3e-9, "regressed"),
        (0.04, -0.01, "inconclusive"),
    ],
)
def test_the_borders_of_a_loss(value: float, low: float, status: str) -> None:
    assert loss_verdict(Interval(value, low, 1.0), 0.03) == status
