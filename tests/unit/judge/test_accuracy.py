"""What is judged of accuracies: points lost against another cell, and since a baseline."""

from __future__ import annotations

import pytest
from judged_runs import EAGER, INT8, accuracy, budget, only, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import OfOtherRun, OnValidation
from perfsuite.domain.record import Record
from perfsuite.judge import compare, judge
from perfsuite.report.sentences import verdict_sentence


@pytest.mark.parametrize(
    ("loses", "spread", "status"),
    [(0.0025, 0.004, "pass"), (0.008, 0.004, "inconclusive"), (0.02, 0.004, "over_budget")],
)
def test_max_drop_points(loses: float, spread: float, status: str) -> None:
    runs = run(
        record(EAGER, accuracies=(accuracy(0.93),)),
        record(INT8, accuracies=(accuracy(0.93 - loses, spread),)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == status
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(loses * 100)
    assert verdict_sentence(verdict).startswith(f"loses {loses * 100:g} points of top1 (")
    assert "may lose 1" in verdict_sentence(verdict)


def test_a_gain_is_told_as_one() -> None:
    runs = run(
        record(EAGER, accuracies=(accuracy(0.93),)),
        record(INT8, accuracies=(accuracy(0.935, 0.002),)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    assert verdict_sentence(only(judge(runs).verdicts)) == (
        "gains 0.5 points of top1 (a loss of -0.69 to -0.31) against vgg/fp32/pytorch/cpu/b1, "
        "may lose 1"
    )


def test_other_samples_are_incomparable() -> None:
    runs = run(
        record(EAGER, accuracies=(accuracy(0.93),)),
        record(INT8, accuracies=(accuracy(0.93, digest="e"),)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    found = judge(runs)
    assert only(found.verdicts).status == "incomparable"
    assert found.exit_code == 3


def test_validation_and_test_samples_are_never_compared() -> None:
    """Also where the digests are the same: then one was answered in place of the other."""
    tested, validated = accuracy(0.93), accuracy(0.93, split="validation")
    words = 'other samples: test and validation; answer the same with both: evaluate = { split = "'
    runs = run(
        record(EAGER, accuracies=(tested,)),
        record(INT8, accuracies=(validated,)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == "incomparable"
    assert words in verdict_sentence(verdict)
    before, now = (run(record(INT8, accuracies=(one,))) for one in (tested, validated))
    verdict = only(judge(now, before).verdicts)
    assert verdict.status == "incomparable"
    assert words in verdict_sentence(verdict)
    (change,) = compare(before, now).changes
    assert change.loss_points is None
    assert [words in one.text for one in change.reasons] == [True]


def test_validation_rows_are_paired_as_test_rows_are() -> None:
    runs = run(
        record(EAGER, accuracies=(accuracy(0.93, split="validation"),)),
        record(INT8, accuracies=(accuracy(0.93 - 0.0025, 0.004, split="validation"),)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    found = judge(runs)
    assert only(found.verdicts).status == "pass"
    assert found.warnings == (OnValidation(),)
    assert OfOtherRun("baseline", OnValidation()) in judge(runs, runs).warnings


def test_accuracy_lost_since_the_baseline() -> None:
    before = run(record(INT8, accuracies=(accuracy(0.93),)))
    for value, spread, status in [
        (0.92, 0.002, "regressed"),
        (0.928, 0.006, "inconclusive"),
        (0.9293, 0.0, "pass"),
        (0.94, 0.001, "pass"),
    ]:
        after = run(record(INT8, accuracies=(accuracy(value, spread),)))
        assert only(judge(after, before).verdicts).status == status
    other = run(record(INT8, accuracies=(accuracy(0.93, digest="e"),)))
    assert only(judge(other, before).verdicts).status == "incomparable"
    none = run(record(INT8))
    assert (
        verdict_sentence(only(judge(none, before).verdicts))
        == "has no top1, which the baseline has"
    )


def test_the_same_artifact_has_lost_nothing() -> None:
    budgets = (budget(against=None, baseline=True, metric="top1", max_drop_points=0.01),)
    with_key = run(record(INT8, accuracies=(accuracy(0.93),), artifact="k"), budgets=budgets)
    assert judge(with_key, with_key).exit_code == 0
    without = run(record(INT8, accuracies=(accuracy(0.93),)), budgets=budgets)
    assert judge(without, without).exit_code == 3


def test_an_accuracy_that_is_the_same_passes_a_third_of_a_point() -> None:
    itself = run(
        record(EAGER, accuracies=(accuracy(0.93),)),
        record(INT8, accuracies=(accuracy(0.93),)),
        budgets=(budget(metric="top1", max_drop_points=0.3),),
    )
    assert judge(itself).exit_code == 0


# -- several metrics of the same answers ---------------------------------------------------------


def both(cell: Cell, top1: float, top5: float) -> Record:
    return record(cell, accuracies=(accuracy(top1), accuracy(top5, metric="top5")))


def test_a_budget_names_any_of_the_metrics() -> None:
    runs = run(
        both(EAGER, 0.93, 0.99),
        both(INT8, 0.93, 0.97),
        budgets=(
            budget(name="one", metric="top1", max_drop_points=1.0),
            budget(name="five", metric="top5", max_drop_points=1.0),
            budget(name="least", metric="top5", against=None, min=0.96),
            budget(name="none", metric="top3", max_drop_points=1.0),
        ),
    )
    found = judge(runs)
    assert [one.status for one in found.verdicts] == ["pass", "over_budget", "pass", "missing"]
    assert verdict_sentence(found.verdicts[1]).startswith("loses 2 points of top5 (")
    assert verdict_sentence(found.verdicts[3]) == "has no top3"


def test_each_metric_may_regress() -> None:
    before, after = run(both(INT8, 0.93, 0.99)), run(both(INT8, 0.93, 0.97))
    found = judge(after, before)
    assert [(one.metric, one.status) for one in found.verdicts] == [
        ("top1", "pass"),
        ("top5", "regressed"),
    ]
    one = run(record(INT8, accuracies=(accuracy(0.93),)))
    assert [verdict_sentence(one) for one in judge(one, before).verdicts][1] == (
        "has no top5, which the baseline has"
    )
    assert len(judge(before, one).verdicts) == 1  # of what the baseline has not, nothing is said


def test_a_comparison_tells_the_losses_by_all_metrics() -> None:
    (found,) = compare(run(both(INT8, 0.93, 0.99)), run(both(INT8, 0.92, 0.97))).changes
    assert found.loss_points is not None
    assert found.loss_points.value == pytest.approx(1.0)
    assert list(found.other_losses) == ["top5"]
    assert found.other_losses["top5"].value == pytest.approx(2.0)
    others = (accuracy(0.92, digest="e"), accuracy(0.97, digest="e", metric="top5"))
    (strange,) = compare(run(both(INT8, 0.93, 0.99)), run(record(INT8, accuracies=others))).changes
    assert (strange.loss_points, strange.other_losses) == (None, {})
    assert len(strange.reasons) == 1  # the same reason for both


# -- no width without a spread -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fields", "limit", "status"),
    [
        # All of 300 right: as many as 3 / 300 of all may still be wrong.
        (1.0, {"min": 0.989}, 0.989, "pass"),
        (1.0, {"min": 0.995}, 0.995, "inconclusive"),
        (0.0, {"max": 0.011}, 0.011, "pass"),
        (0.0, {"max": 0.005}, 0.005, "inconclusive"),
    ],
)
def test_an_absolute_accuracy_without_errors_is_no_certainty(
    value: float, fields: dict[str, float], limit: float, status: str
) -> None:
    runs = run(
        record(INT8, accuracies=(accuracy(value, samples=300),)),
        budgets=(budget(metric="top1", against=None, **fields),),
    )
    verdict = only(judge(runs).verdicts)
    assert (verdict.status, verdict.limit) == (status, limit)
    assert verdict.estimate is not None
    assert verdict.estimate.low == pytest.approx(value - 0.01)
    assert verdict.estimate.high == pytest.approx(value + 0.01)
