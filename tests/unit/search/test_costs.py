"""How long phases may take, by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import SCHEMA, Header, JobKind, Line
from perfsuite.domain.suite import Evaluate, ResolvedSuite
from perfsuite.search.candidates import ROWS, recipe
from perfsuite.search.costs import BUILD_S, EVALUATE_S, JUDGED, PASS_S, Costs, fitting
from perfsuite.search.plans import Trial, phase_plan
from perfsuite.search.ways import Way, without_loss

INT8 = Way("openvino", last=(PassUse("int8"),), suffix="int8")
REFERENCE = Cell("net", "fp32", "pytorch")
SUITE = ResolvedSuite(
    "s",
    {"net": "net"},
    ("pytorch", "openvino"),
    (FP32,),
    processes=3,
    evaluate=Evaluate(split="validation"),
)
ROUNDED = ResolvedRecipe("int8", INT8.last)
MACHINE = Environment(MustMatch("p", 1, 1, 1, (), {}, 2, None), {}, {})
ROW = {row.name: row for row in ROWS}


def line(
    cell: Cell, job: JobKind, seconds: float, number: int | None = None, **more: float
) -> Line:
    return Line(cell.id, cell.key, job, "ok", round=number, duration_s=seconds, **more)  # type: ignore[arg-type]


def header(*recipes: ResolvedRecipe, split: str = "validation") -> Header:
    """Return that of a phase with these recipes in INT8 on OpenVINO."""
    cells = [replace(REFERENCE, recipe=one.name, runtime="openvino") for one in recipes]
    suite = replace(SUITE, recipes=(FP32, *recipes), evaluate=Evaluate(split=split))  # type: ignore[arg-type]
    return Header(SCHEMA, "", "", suite, (REFERENCE, *cells), MACHINE)


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
    found = Costs(REFERENCE, 3, ROWS)
    found.learn(Header(SCHEMA, "", "", plan.suite, (REFERENCE, plain, rounded), MACHINE), lines)
    return found


def trial(row: str, way: Way = INT8) -> Trial:
    return Trial(row, way, Cell("net", row, way.runtime))


def made(
    row: str, *, prepared_s: float, fitted_s: float, **more: bool
) -> tuple[Header, list[Line]]:
    """Return the journal of a phase in which a row was prepared, in INT8 on OpenVINO."""
    asked = recipe(ROW[row], INT8, "openvino")
    told = header(asked)
    return told, [line(told.cells[1], "prepare", prepared_s, made_s=fitted_s, **more)]


def test_a_phase_takes_what_its_ways_took_and_its_passes() -> None:
    found = costs()
    # The reference: 12 + 6; a candidate: 6 + 10 + 1; and its pass.
    assert found.trials_s([trial("prune-50")], evaluate=False) == 18.0 + 17.0 + PASS_S
    assert found.trials_s([trial("prune-50")], evaluate=True) == 38.0 + 22.0 + PASS_S
    two = [trial("prune-50"), trial("prune-50")]
    assert found.trials_s(two, evaluate=False) == 18.0 + 2 * 17.0 + PASS_S


def test_a_pass_takes_what_the_longest_of_its_kind_took_here() -> None:
    found, plain_s = costs(), 18.0 + 17.0
    found.learn(*made("fitted-75", prepared_s=215.0, fitted_s=205.0))
    found.learn(*made("prune-50", prepared_s=0.3, fitted_s=130.0, cached=True))
    for row in ("prune-25", "prune-50", "fitted-75"):
        assert found.trials_s([trial(row)], evaluate=False) == plain_s + 205.0
    assert found.trials_s([trial("lowrank")], evaluate=False) == plain_s + PASS_S
    assert found.trials_s([trial("prune-50")], evaluate=False, fitted=["prune-50"]) == plain_s
    both = [trial("prune-25"), trial("lowrank")]
    assert found.trials_s(both, evaluate=False) == plain_s + 17.0 + 205.0 + PASS_S


def test_rows_that_hear_no_clock_and_those_in_the_cache_have_no_pass_to_wait_for() -> None:
    for row in ("distill-vgg-narrow", "trained-25", ""):
        assert costs().trials_s([trial(row)], evaluate=False) == 18.0 + 17.0


def test_a_training_tells_nothing_of_a_pass() -> None:
    found, asked = costs(), recipe(ROW["prune-50"], INT8, "openvino", {"epochs": 30})
    told = header(asked)
    found.learn(told, [line(told.cells[1], "prepare", 4000.0, made_s=3990.0)])
    assert found.trials_s([trial("prune-50")], evaluate=False) == 18.0 + 17.0 + PASS_S


def test_how_long_it_took_to_find_something_in_the_cache_says_nothing() -> None:
    told = header(ROUNDED)
    found = Costs(REFERENCE, 3, ROWS)
    found.learn(
        told,
        [
            line(told.cells[1], "prepare", 0.1, cached=True),
            line(told.cells[1], "evaluate", 0.03, cached=True),
        ],
    )
    assert found.trials_s([trial("")], evaluate=True) == 2 * (BUILD_S + EVALUATE_S)
    found.learn(told, [line(told.cells[1], "evaluate", 0.03, made_s=7.0, cached=True)])
    assert found.trials_s([trial("")], evaluate=True) == 2 * BUILD_S + 7.0 + EVALUATE_S


def test_what_failed_or_was_cut_off_tells_nothing_nor_does_the_final_run() -> None:
    found, told = costs(), header(ROUNDED)
    before_s = found.trials_s([trial("")], evaluate=True)
    found.learn(told, [replace(line(told.cells[1], "prepare", 99.0), status="failed")])
    found.learn(header(ROUNDED, split="test"), [line(told.cells[1], "evaluate", 66.0)])
    assert found.trials_s([trial("")], evaluate=True) == before_s


def test_int8_that_finds_its_layers_answers_many_times() -> None:
    found, auto = costs(), without_loss(INT8, 1.0)
    assert found.trials_s([trial("", auto)], evaluate=True) == 38.0 + 22.0 + JUDGED * 5.0
    asked = recipe(None, auto)
    told = header(asked)
    found.learn(told, [line(told.cells[1], "prepare", 300.0)])  # which is no build as others are
    assert found.trials_s([trial("")], evaluate=True) == 38.0 + 22.0


def test_the_final_run_measures_more_rounds_and_more_samples() -> None:
    # 3 + 7 x 20 + 12 x 8/3, and 5 + 7 x 5 + 1 + 6 x 8/3
    assert costs().final_s([INT8]) == 3.0 + 140.0 + 32.0 + 5.0 + 35.0 + 1.0 + 16.0


def test_trials_that_fit_into_the_time_the_first_ones_first() -> None:
    found = costs()
    trials = (trial("lowrank"), trial("prune-50"), trial(""))
    one_s = found.trials_s(trials[:1], evaluate=False)
    assert fitting(trials, 1e9, found, evaluate=False) == trials
    assert fitting(trials, one_s, found, evaluate=False) == trials[:1]
    assert fitting(trials, one_s - 0.1, found, evaluate=False) == trials[2:]
    assert fitting(trials, one_s + 17.0, found, evaluate=False) == (trials[0], trials[2])
    assert fitting(trials, 1.0, found, evaluate=False) == ()


@pytest.mark.parametrize("row", ["prune-50", "lowrank"])
def test_what_is_known_of_an_engine_serves_for_its_other_ways(row: str) -> None:
    found = costs()
    bf16 = found.trials_s([trial(row, Way("openvino", "bf16"))], evaluate=False)
    assert bf16 == 18.0 + (6.0 + 12.0) + PASS_S  # of another precision, all is the reference's


def test_the_plan_of_a_phase_has_the_reference_beside_its_cells() -> None:
    asked = [("", FP32, Way("pytorch")), ("", ROUNDED, INT8), ("", FP32, Way("openvino", "bf16"))]
    plan = phase_plan(SUITE, REFERENCE, asked, evaluate=True)
    assert [one.cell.key for one in plan.trials] == [
        "net/int8/openvino/cpu/b1",
        "net/fp32/openvino/cpu/b1/bf16",
    ]
    assert [one.name for one in plan.suite.recipes] == ["fp32", "int8"]
    assert plan.suite.precision == ("fp32", "bf16")
