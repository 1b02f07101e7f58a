"""How long phases may take, by hand."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import JobKind, Line
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.search.costs import PASS_S, Costs, fitting
from perfsuite.search.plans import Trial, phase_plan
from perfsuite.search.ways import Way

INT8 = Way("openvino", last=(PassUse("int8"),), suffix="int8")
REFERENCE = Cell("net", "fp32", "pytorch")
SUITE = ResolvedSuite("s", {"net": "net"}, ("pytorch", "openvino"), (FP32,), processes=3)
ROUNDED = ResolvedRecipe("int8", INT8.last)


def line(cell: Cell, job: JobKind, seconds: float, number: int | None = None) -> Line:
    return Line(cell.id, cell.key, job, "ok", round=number, duration_s=seconds)


def costs() -> Costs:
    plan = phase_plan(
        SUITE, REFERENCE, [("", FP32, Way("openvino")), ("", ROUNDED, INT8)], evaluate=True
    )
    plain, rounded = (one.cell for one in plan.trials)
    lines = [
        *(line(REFERENCE, "measure", 4.0, number) for number in range(3)),
        line(REFERENCE, "prepare", 6.0),
        line(REFERENCE, "evaluate", 20.0),
        line(plain, "prepare", 8.0),
        *(line(rounded, "measure", 2.0, number) for number in range(3)),
        line(rounded, "prepare", 10.0),
        line(rounded, "evaluate", 5.0),
        line(rounded, "inspect", 1.0),
    ]
    return Costs(plan, REFERENCE, lines)


def trial(row: str, way: Way = INT8) -> Trial:
    return Trial(row, way, Cell("net", row, way.runtime))


def test_a_phase_takes_what_its_ways_took_and_its_passes() -> None:
    found = costs()
    # The reference: 12 + 6; a candidate: 6 + 10 + 1; and its pass.
    assert found.trials_s([trial("prune")], evaluate=False) == 18.0 + 17.0 + PASS_S
    assert found.trials_s([trial("prune")], evaluate=True) == 38.0 + 22.0 + PASS_S
    two = [trial("prune"), trial("prune")]
    assert found.trials_s(two, evaluate=False) == 18.0 + 2 * 17.0 + PASS_S


def test_the_final_run_measures_more_rounds_and_more_samples() -> None:
    # 3 + 7 x 20 + 12 x 8/3, and 5 + 7 x 5 + 1 + 6 x 8/3
    assert costs().final_s([INT8]) == 3.0 + 140.0 + 32.0 + 5.0 + 35.0 + 1.0 + 16.0


def test_as_many_trials_as_there_is_time_for() -> None:
    found, trials = costs(), [trial("a"), trial("b"), trial("c")]
    one_s = found.trials_s(trials[:1], evaluate=False)
    assert fitting(trials, 1e9, found, evaluate=False) == 3
    assert fitting(trials, one_s, found, evaluate=False) == 1
    assert fitting(trials, one_s - 0.1, found, evaluate=False) == 0


def test_the_plan_of_a_phase_has_the_reference_beside_its_cells() -> None:
    asked = [("", FP32, Way("pytorch")), ("", ROUNDED, INT8), ("", FP32, Way("openvino", "bf16"))]
    plan = phase_plan(SUITE, REFERENCE, asked, evaluate=True)
    assert [one.cell.key for one in plan.trials] == [
        "net/int8/openvino/cpu/b1",
        "net/fp32/openvino/cpu/b1/bf16",
    ]
    assert [one.name for one in plan.suite.recipes] == ["fp32", "int8"]
    assert plan.suite.precision == ("fp32", "bf16")
