"""The sketch of a search: what stands where."""

from __future__ import annotations

from judged_runs import MACHINE

from perfsuite.domain.cell import Cell
from perfsuite.domain.optimum import Candidate, Goal, Optimum
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.report.tables.cell_rows import CellRow
from perfsuite.report.tables.sketch import HEIGHT, WIDTH, sketch, sketch_of


def candidate(name: str, speedup: float, loss: float, *, front: bool = False) -> Candidate:
    fast, lost = (Interval(one, one, one) for one in (speedup, loss))
    recipe = ResolvedRecipe(name)
    return Candidate(recipe, "met", name, speedup=fast, loss_points=lost, front=front)


def optimum(*candidates: Candidate) -> Optimum:
    goal = Goal(speedup=10.0, max_drop_points=1.0, versus="pytorch/fp32", minutes=60.0)
    return Optimum(
        1, "0", "", "net", goal, MACHINE.must_match, "ref", "top1", 0, candidates, best="best"
    )


def test_speeds_are_to_the_right_and_losses_upwards() -> None:
    slow = candidate("slow", 1.0, 0.0, front=True)
    best = candidate("best", 100.0, 0.0, front=True)
    lossy = candidate("lossy", 10.0, 50.0)
    lines = sketch(optimum(slow, best, lossy))
    assert len(lines) == HEIGHT + 1
    rows = [line[7:].ljust(WIDTH) for line in lines]
    middle = rows[1].index("|")
    assert abs(middle - (WIDTH - 1) / 2) <= 0.5  # 10x lies halfway from 1x to 100x
    assert rows[0][middle] == "o"  # far above the limit: in the highest line
    assert rows[HEIGHT - 1].startswith("+") and rows[HEIGHT - 1].endswith("*")
    limit = next(number for number, line in enumerate(lines) if line.startswith("     1 "))
    assert set(rows[limit]) == {"-", "|"}
    assert lines[-1].split() == ["points", "1x", "100x"]


def test_what_stands_in_one_place_shows_the_best() -> None:
    best, other = candidate("best", 10.0, 0.0), candidate("other", 10.0, 0.0, front=True)
    text = "\n".join(sketch(optimum(best, other, candidate("third", 1.0, 0.0))))
    assert text.count("*") == 1
    assert "+" not in text


def test_two_candidates_are_no_sketch() -> None:
    assert sketch(optimum(candidate("best", 2.0, 0.0), candidate("b", 3.0, 0.0))) == []


def test_cells_of_a_run_stand_by_their_speed_and_loss_with_the_limits_of_budgets() -> None:
    def row(recipe: str, speedup: float, loss: float) -> CellRow:
        cell = Cell("net", recipe, "fake")
        around, lost = Interval(speedup, speedup, speedup), Interval(loss, loss, loss)
        return CellRow(cell, cell.key, "ok", speedup=around, loss_points=lost)

    group = [row("int8", 4.0, 0.5), row("half", 2.0, 0.5), row("low", 1.0, 0.0)]
    limit = Verdict("pass", "fast", group[0].key, "latency_s", "min_speedup", limit=2.0)
    drawn = sketch_of(group, [limit])
    assert drawn[0].count("+") == 1 and drawn[0].endswith("+")
    assert drawn[0].index("o") == 7 + 30  # in the middle, where the limit stands, too
    assert drawn[-3].strip() == "+" + " " * 29 + "|"
    assert drawn[-1].strip() == "+ Pareto front: int8/fake/cpu/b1, low/fake/cpu/b1"
    assert sketch_of(group[:2], []) == []
