"""The answer of a run, in words."""

from __future__ import annotations

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.report.sentences.answer import best_sentence, budget_sentence, headline
from perfsuite.report.tables.best import Best
from perfsuite.report.tables.cell_rows import CellRow

CELL = Cell("net", "int8", "openvino")


def verdicts(*statuses: VerdictStatus) -> tuple[Verdict, ...]:
    return tuple(Verdict(one, "fast", CELL.key, "latency_s", "min_speedup") for one in statuses)


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ((), "Nothing was judged: there are no budgets, and there is no baseline."),
        (("pass",), "The one limit holds."),
        (("over_budget",), "The one limit does not hold."),
        (("failed",), "net/int8/openvino/cpu/b1 failed."),
        (("inconclusive",), "Whether the one limit holds cannot be told."),
        (("pass", "pass"), "Everything holds: all 2 verdicts pass."),
        (("pass", "over_budget"), "1 of 2 verdicts does not hold."),
        (("pass", "inconclusive", "missing"), "2 of 3 verdicts cannot be told."),
        (
            ("failed", "regressed", "incomparable", "pass"),
            "2 of 4 verdicts do not hold, and 1 cannot be told.",
        ),
    ],
)
def test_headline(statuses: tuple[VerdictStatus, ...], words: str) -> None:
    assert headline(Judgement(verdicts(*statuses), 0)) == words


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (("pass",), "holds"),
        (("over_budget",), "over budget"),
        (("pass", "pass", "pass"), "holds in all 3 cells"),
        (("pass", "over_budget", "pass"), "of 3 cells: 1 over budget, 2 hold"),
    ],
)
def test_a_limit_is_summed_up(statuses: tuple[VerdictStatus, ...], words: str) -> None:
    assert budget_sentence(verdicts(*statuses)) == words


def row(speedup: Interval, lost: Interval | None = None) -> CellRow:
    return CellRow(
        CELL,
        CELL.key,
        "ok",
        speedup=speedup,
        reference="net/fp32/pytorch/cpu/b1",
        loss_points=lost,
        accuracy_metric="top1",
    )


FAST = Interval(23.0, 22.0, 24.0)


def test_the_best_variant_is_told_with_what_it_gains_and_loses() -> None:
    found = best_sentence(Best("net", row(FAST, Interval(0.4, 0.2, 0.6)), None, 1))
    assert found == (
        "int8/openvino/cpu/b1 is 23x faster than fp32/pytorch/cpu/b1 (22x to 24x), "
        "0.4 points of top1 lost (0.2 to 0.6)."
    )


def test_a_gain_is_told_as_one() -> None:
    found = best_sentence(Best("net", row(FAST, Interval(-0.4, -0.6, 0.1)), None, 1))
    assert "0.4 points of top1 gained (a loss of -0.6 to 0.1)" in found


def test_without_accuracy_it_says_so() -> None:
    assert best_sentence(Best("net", row(FAST), None, 1)).endswith("its accuracy was not compared.")


def test_what_does_not_hold_is_told_with_the_nearest() -> None:
    broken, slow = row(FAST), row(Interval(1.0, 0.9, 1.1))
    assert best_sentence(Best("net", None, broken, 1)).startswith("No variant holds its limits; ")
    assert best_sentence(Best("net", None, slow, 1)).startswith("No variant is proven faster ")
    assert best_sentence(Best("net", None, None, 0)) == (
        "There is no variant that was measured and compared."
    )


def test_noise_is_told_as_such_and_never_as_a_figure() -> None:
    wide, open_ = row(Interval(15.0, 2.0, 120.0)), row(Interval(15.0, 0.5, 120.0))
    assert best_sentence(Best("net", wide, None, 1)) == (
        "int8/openvino/cpu/b1 is faster than fp32/pytorch/cpu/b1, by how much is noise, "
        "its accuracy was not compared."
    )
    assert best_sentence(Best("net", None, open_, 1)) == (
        "No variant is proven faster than its reference: what was measured is noise."
    )
