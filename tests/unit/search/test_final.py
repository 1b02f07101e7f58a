"""What the final run is made of."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.optimum import Goal
from perfsuite.domain.recipe import FP32
from perfsuite.search import final
from perfsuite.search.scores import Score
from perfsuite.search.ways import Way

GOAL = Goal(speedup=5.0, max_drop_points=1.0, versus="pytorch/fp32", minutes=10.0)
BEST, SLOW, QUICK = (Score(Cell("net", n, n), FP32, "", Way(n)) for n in ("best", "slow", "quick"))
SECONDS = {"best": 100.0, "slow": 400.0, "quick": 50.0}


def final_s(ways: Iterable[Way]) -> float:
    return sum(SECONDS[way.runtime] for way in ways)


@pytest.mark.parametrize(
    ("spent_s", "chosen"),
    [(0.0, [BEST, SLOW, QUICK]), (300.0, [BEST, QUICK]), (460.0, [BEST]), (3600.0, [BEST])],
)
def test_the_best_and_as_much_of_the_front_as_there_is_time_for(
    spent_s: float, chosen: list[Score]
) -> None:
    search: Any = SimpleNamespace(
        goal=GOAL, spent_s=spent_s, costs=SimpleNamespace(final_s=final_s)
    )
    assert final._in_time(search, BEST, [SLOW, BEST, QUICK]) == chosen


def test_both_limits_are_budgets_on_the_best_alone() -> None:
    reference = Cell("net", "fp32", "pytorch")
    fast, accurate = final._budgets(GOAL, BEST.cell, reference, "top1")
    assert (fast.cell, fast.against, fast.min_speedup) == (BEST.cell.key, reference.key, 5.0)
    assert (accurate.cell, accurate.metric, accurate.max_drop_points) == (
        BEST.cell.key,
        "top1",
        1.0,
    )
    assert final._budgets(GOAL, BEST.cell, reference, "") == (fast,)
