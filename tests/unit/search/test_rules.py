"""The rules of choosing, by hand."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.optimum import Goal
from perfsuite.domain.recipe import FP32, PassUse
from perfsuite.domain.verdict import Interval
from perfsuite.search import rules
from perfsuite.search.scores import Estimate, Score
from perfsuite.search.ways import Way

GOAL = Goal(speedup=5.0, max_drop_points=1.0, versus="pytorch/fp32", minutes=60.0)
ROUND = (PassUse("int8"),)


def estimate(value: float, error: float) -> Estimate:
    interval = Interval(value, value - 2 * error, value + 2 * error)
    return Estimate(interval, value - error, value + error)


def score(
    name: str,
    speedup: float,
    loss: float | None,
    *,
    size: float = 1.0,
    errors: tuple[float, float] = (0.0, 0.0),
    way: Way | None = None,
) -> Score:
    lost = None if loss is None else estimate(loss, errors[1])
    fast = estimate(speedup, errors[0])
    cell = Cell("net", name, "openvino")
    return Score(cell, FP32, "", way or Way("openvino"), fast, lost, 0.01, size)


def names(scores: list[Score]) -> list[str]:
    return [one.cell.recipe for one in scores]


def test_a_limit_is_kept_with_a_standard_error_to_spare() -> None:
    assert rules.is_fast(score("a", 5.5, 0.0, errors=(0.5, 0.0)), GOAL)
    near = score("b", 5.4, 0.0, errors=(0.5, 0.0))
    assert not rules.is_fast(near, GOAL)
    assert not rules.is_too_slow(near, GOAL)
    assert rules.is_too_slow(score("c", 4.4, 0.0, errors=(0.5, 0.0)), GOAL)
    assert rules.keeps_accuracy(score("d", 9.0, 0.6, errors=(0.0, 0.4)), GOAL)
    unsure = score("e", 9.0, 0.7, errors=(0.0, 0.4))
    assert not rules.keeps_accuracy(unsure, GOAL)
    assert not rules.loses_too_much(unsure, GOAL)
    assert rules.loses_too_much(score("f", 9.0, 1.5, errors=(0.0, 0.4)), GOAL)


def test_the_winner_is_the_fastest_that_keeps_both_limits() -> None:
    scores = [score("slow", 4.0, 0.0), score("one", 6.0, 0.5), score("two", 8.0, 0.9)]
    scores += [score("lossy", 20.0, 1.2), score("unknown", 30.0, None)]
    best = rules.winner(scores, GOAL)
    assert best is not None and best.cell.recipe == "two"
    assert rules.winner(scores[:1], GOAL) is None


def test_a_blind_winner_is_the_first_that_is_fast_enough() -> None:
    scores = [score("slow", 4.0, 0.0), score("one", 6.0, None), score("two", 8.0, None)]
    best = rules.winner(scores, GOAL, blind=True)
    assert best is not None and best.cell.recipe == "one"


def test_the_nearest_keeps_the_accuracy_or_else_loses_least() -> None:
    within, faster = score("within", 3.0, 0.5), score("faster", 9.0, 2.0)
    assert rules.nearest([within, faster, score("slower", 2.0, 0.1)], GOAL) is within
    assert rules.nearest([faster, score("worse", 20.0, 5.0)], GOAL) is faster
    assert rules.nearest([faster, score("worse", 20.0, 5.0)], GOAL, blind=True) is not faster
    assert rules.nearest([], GOAL) is None


def test_the_front_is_what_nothing_beats_in_everything() -> None:
    scores = [
        score("fp32", 3.0, 0.0, size=4.0),
        score("int8", 6.0, 0.2, size=1.0),
        score("beaten", 5.0, 0.3, size=1.0),  # slower and worse than int8
        score("small", 4.0, 0.2, size=0.5),
        score("unknown", 99.0, None),
        score("no faster", 1.02, -0.1, errors=(0.05, 0.0)),
    ]
    assert names(rules.front(scores)) == ["int8", "small", "fp32"]


def test_two_that_are_alike_are_both_on_the_front() -> None:
    assert names(rules.front([score("a", 3.0, 0.0), score("b", 3.0, 0.0)])) == ["a", "b"]


def test_ways_that_are_worth_it() -> None:
    plain = [
        score("a", 2.0, 0.0, way=Way("openvino")),
        score("b", 1.5, 0.0, way=Way("onnxruntime")),
        score("c", 4.0, 0.1, way=Way("openvino", last=ROUND)),
        score("d", 3.9, 0.1, way=Way("onnxruntime", last=ROUND)),
        score("e", 9.0, 5.0, way=Way("other", last=ROUND)),  # loses too much
    ]
    chosen = [(way.runtime, bool(way.last)) for way in rules.worthwhile(plain, GOAL)]
    assert chosen == [("openvino", True), ("onnxruntime", True), ("openvino", False)]
    slow = [score("a", 1.9, 0.0, way=Way("openvino")), *plain[2:]]
    assert all(way.last for way in rules.worthwhile(slow, GOAL))
    assert rules.worthwhile([], GOAL) == []
