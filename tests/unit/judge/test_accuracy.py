"""What is judged of accuracies: points lost against another cell, and since a baseline."""

from __future__ import annotations

import pytest
from judged_runs import EAGER, INT8, accuracy, budget, only, record, run

from perfsuite.judge import judge


@pytest.mark.parametrize(
    ("loses", "spread", "status"),
    [(0.0025, 0.004, "pass"), (0.008, 0.004, "inconclusive"), (0.02, 0.004, "over_budget")],
)
def test_max_drop_points(loses: float, spread: float, status: str) -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93 - loses, spread)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == status
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(loses * 100)
    assert verdict.words.startswith(f"loses {loses * 100:g} points of top1 (")
    assert "may lose 1" in verdict.words


def test_a_gain_is_told_as_one() -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.935, 0.002)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    assert only(judge(runs).verdicts).words == (
        "gains 0.5 points of top1 (a loss of -0.69 to -0.31) against vgg/fp32/pytorch/cpu/b1, "
        "may lose 1"
    )


def test_other_samples_are_incomparable() -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93, digest="e")),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    found = judge(runs)
    assert only(found.verdicts).status == "incomparable"
    assert found.exit_code == 3


def test_accuracy_lost_since_the_baseline() -> None:
    before = run(record(INT8, accuracy=accuracy(0.93)))
    for value, spread, status in [
        (0.92, 0.002, "regressed"),
        (0.928, 0.006, "inconclusive"),
        (0.9293, 0.0, "pass"),
        (0.94, 0.001, "pass"),
    ]:
        after = run(record(INT8, accuracy=accuracy(value, spread)))
        assert only(judge(after, before).verdicts).status == status
    other = run(record(INT8, accuracy=accuracy(0.93, digest="e")))
    assert only(judge(other, before).verdicts).status == "incomparable"
    none = run(record(INT8))
    assert only(judge(none, before).verdicts).words == "has no top1, which the baseline has"


def test_the_same_artifact_has_lost_nothing() -> None:
    budgets = (budget(against=None, baseline=True, metric="top1", max_drop_points=0.01),)
    with_key = run(record(INT8, accuracy=accuracy(0.93), artifact="k"), budgets=budgets)
    assert judge(with_key, with_key).exit_code == 0
    without = run(record(INT8, accuracy=accuracy(0.93)), budgets=budgets)
    assert judge(without, without).exit_code == 3


def test_an_accuracy_that_is_the_same_passes_a_third_of_a_point() -> None:
    itself = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93)),
        budgets=(budget(metric="top1", max_drop_points=0.3),),
    )
    assert judge(itself).exit_code == 0
