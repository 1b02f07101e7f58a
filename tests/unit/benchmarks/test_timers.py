"""Timers placed by hand: exclusive times by a fake clock, and what is made of them."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.stage_timers import REST, Round, Timers, lines, placed, ratios, table, told, usual
from perfsuite.domain.model import Stage
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow


class Clock:
    """Stands still but for `pass_s`."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


def test_while_an_inner_stage_runs_the_outer_ones_stand_still() -> None:
    clock = Clock()
    timers = Timers(clock)
    head = timers.around("head", lambda: clock.pass_s(4))
    again = timers.around("proposals", lambda: clock.pass_s(8))

    def propose() -> None:
        clock.pass_s(1)
        head()
        clock.pass_s(2)
        again()  # a stage inside of itself
        head()

    proposals = timers.around("proposals", propose)

    def call(before_s: float) -> None:
        clock.pass_s(before_s)
        proposals()
        clock.pass_s(32)

    # Binary digits: no two sums are alike.
    expected = {REST: 48.0, "proposals": 11.0, "head": 8.0}
    assert timers.call(call, 16) == expected
    clock.pass_s(1000)  # between calls nothing runs
    assert timers.call(call, 16) == expected, "a call begins from nothing"


def test_what_raises_is_timed_until_then_and_ends() -> None:
    clock = Clock()
    timers = Timers(clock)

    def fail() -> None:
        clock.pass_s(1)
        raise RuntimeError("boom")

    def call() -> None:
        with pytest.raises(RuntimeError, match="boom"):
            timers.around("a", fail)()
        clock.pass_s(2)

    assert timers.call(call) == {"a": 1.0, REST: 2.0}


def test_timers_sit_on_modules_and_methods_and_leave_nothing_behind() -> None:
    from torch import nn

    clock = Clock()

    class Head(nn.Module):
        def forward(self, seconds: float) -> float:
            clock.pass_s(seconds)
            return 2 * seconds

    class Rpn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Head()

        def forward(self, seconds: float) -> float:
            clock.pass_s(8)
            return self.choose(found=self.head(seconds))

        def choose(self, found: float) -> float:
            clock.pass_s(16)
            return found

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rpn = Rpn()

        def forward(self, seconds: float) -> float:
            clock.pass_s(32)
            return self.stacked(self.rpn(seconds))

        def stacked(self, found: float) -> float:
            clock.pass_s(64)
            return found + 1

    net = Net()
    net.rpn.head.forward = net.rpn.head.forward  # type: ignore[method-assign]  # an instance's own
    before = {path: dict(vars(part)) for path, part in net.named_modules()}
    stages = (Stage("rpn", ("rpn",)), Stage("head", ("rpn.head",)))
    stages += (Stage("choice", ("rpn.choose", "stacked")),)
    timers = Timers(clock)
    answers: list[Any] = []
    with placed(timers, net, stages):
        found = timers.call(lambda: answers.append(net(4.0)))
    assert answers == [9.0]
    assert found == {REST: 32.0, "rpn": 8.0, "head": 4.0, "choice": 80.0}
    assert all(vars(part) == before[path] for path, part in net.named_modules())


def test_means_are_over_the_calls_of_usual_length() -> None:
    # The quartiles of 1, 5, 6, 7, 90 are 5 and 7.
    calls = [{"a": 1.0}, {"a": 2.0, REST: 3.0}, {"a": 6.0}, {"a": 4.0, REST: 3.0}, {"a": 90.0}]
    assert usual(calls) == {"a": 4.0, REST: 2.0}


def test_what_is_in_no_stage_is_outside_of_them() -> None:
    rows = (
        BreakdownRow("a", "stage", 10.0),
        BreakdownRow("b", "stage", 8.0),
        BreakdownRow(OVERHEAD, "rest", 31.0),
        BreakdownRow(UNATTRIBUTED, "rest", 1.0),
    )
    stages = [Stage(name, (name,)) for name in "ab"]
    assert told(Breakdown(50.0, 1, rows), stages) == {"a": 10.0, "b": 8.0, REST: 32.0}


def test_a_stage_is_off_by_the_median_ratio_of_rounds_unless_it_is_small() -> None:
    stages = [Stage(name, (name,)) for name in "abcd"]
    timers = {"a": 50.0, "b": 20.0, "c": 1.0, REST: 29.0}
    rounds = [
        Round(timers, {"a": 54.0, "b": 17.0, "c": 1.9, "d": 5.0, REST: 22.1}),
        Round(timers, {"a": 45.5, "b": 18.0, "c": 1.9, "d": 5.0, REST: 29.6}),
        Round(timers, {"a": 90.0, "b": 17.6, "c": 1.9, "d": 5.0, REST: 22.1}),
    ]
    found = lines(rounds, stages)
    assert [line.name for line in found] == ["a", "b", "c", "d", REST, "whole call"]
    # 54 of 50; 17.6 of 20; below 2 % on both sides; a stage that the timers never saw.
    assert [line.agrees for line in found] == [True, False, None, False, None, None]
    assert found[-1].timers_s == [100.0] * 3
    text = table(found)
    assert "| a | 50000 (50000 to 50000) | 54000 (45500 to 90000) |" in text
    assert "| 1.08 (0.91 to 1.8) |" in text
    assert "| 0.88 (0.85 to 0.9) | **no** |" in text
    assert "More than 10 % off: b, d." in text
    assert {row.count("|") for row in text.splitlines()[:8]} == {6}
    assert "No stage is more than 10 % off." in table(found[:1])


def test_no_ratio_without_a_time() -> None:
    assert ratios([1.0, 2.0], [2.0, 4.0]) == [0.5, 0.5]
    assert ratios([1.0, 2.0], [2.0, 0.0]) == []
