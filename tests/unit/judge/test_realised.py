"""What a compressed variant came from, what it gained, and why not: on runs built by hand."""

from __future__ import annotations

from typing import Any

import judged_runs
import msgspec
import pytest
from judged_runs import record, warned

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import MacsNotFewer, ProcessesDiffer
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Accuracy, Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import gain, judge
from perfsuite.judge.realised import realised

HALF, LOW = PassUse("prune", {"ratio": 0.5}), PassUse("lowrank")
RECIPES = (
    FP32,
    ResolvedRecipe("half", (HALF,)),
    ResolvedRecipe("half-low", (HALF, LOW)),
    ResolvedRecipe("int8", (PassUse("int8"),)),
)


def cell(recipe: str, **fields: Any) -> Cell:
    return Cell("vgg", recipe, "openvino", **fields)


def run(*records: Record) -> Run:
    return judged_runs.run(*records, recipes=RECIPES)


def counted(macs: float, parameters: float = 0.0) -> dict[str, tuple[float, ...]]:
    return {"macs": (macs,), "parameters": (parameters,)} if parameters else {"macs": (macs,)}


def call(*rows: BreakdownRow, overhead_s: float = 0.0, **fields: Any) -> Breakdown:
    rest = (BreakdownRow(OVERHEAD, "rest", overhead_s), BreakdownRow(UNATTRIBUTED, "rest", 0.0))
    total_s = sum(row.time_s for row in rows) + overhead_s
    return Breakdown(total_s, 8, (*rows, *rest), **fields)


def stage(name: str, time_s: float, macs: int | None, *children: BreakdownRow) -> BreakdownRow:
    return BreakdownRow(name, "stage", time_s, macs, children=children)


# The gain ----------------------------------------------------------------------------------------


def test_theory_beside_clock() -> None:
    def answers(value: float, *offsets: float) -> Accuracy:
        return Accuracy("top1", value, 10_000, "d", tuple(value + one for one in offsets))

    runs = run(
        record(
            cell("fp32"),
            *(0.004, 0.004, 0.004),
            values=counted(400.0, 90.0),
            accuracies=(answers(0.93, 0.0, 0.0, 0.0),),
        ),
        record(
            cell("half"),
            *(0.0025, 0.0025, 0.0025),
            values=counted(200.0, 30.0),
            accuracies=(answers(0.926, -0.001, 0.0, 0.001),),
        ),
    )
    found = gain(runs, cell("half"))
    assert found is not None
    assert (found.parent, found.recipe) == ("vgg/fp32/openvino/cpu/b1", "fp32")
    assert (found.macs_ratio, found.parameters_ratio) == (2.0, 3.0)
    assert found.speedup is not None
    assert found.speedup.value == pytest.approx(1.6)
    assert found.realised is not None
    assert found.realised.value == pytest.approx(0.8)  # 1.6 of 2
    assert found.loss_points is not None
    assert found.loss_points.value == pytest.approx(0.4)
    assert (found.pace, found.cause) == ("faster", None)


def test_the_interval_of_what_is_realised_is_that_of_the_clock() -> None:
    found = realised(Interval(1.6, 1.5, 1.8), 2.0)
    assert found == Interval(0.8, 0.75, 0.9)


@pytest.mark.parametrize("macs_ratio", [None, 1.0, 0.9])
def test_nothing_is_realised_where_nothing_was_promised(macs_ratio: float | None) -> None:
    assert realised(Interval(1.6, 1.5, 1.8), macs_ratio) is None


def test_a_run_without_counts_or_with_one_process_is_still_told() -> None:
    older = gain(run(record(cell("fp32"), 0.2, 0.2), record(cell("int8"), 0.1, 0.1)), cell("int8"))
    assert older is not None
    assert (older.macs_ratio, older.parameters_ratio, older.realised) == (None, None, None)
    assert older.pace == "faster"
    single = gain(run(record(cell("fp32"), 0.2), record(cell("int8"), 0.3)), cell("int8"))
    assert single is not None
    assert (single.speedup, single.pace, single.cause) == (None, None, None)


# Never slower ------------------------------------------------------------------------------------


def told(before: Record, after: Record) -> str:
    """Return the one warning about `after`, without the names."""
    (warning,) = warned(judge(run(before, after)))
    return warning.removeprefix(f"{after.cell.key} is ").replace(before.cell.key, "P")


def test_a_proven_gain_is_no_warning() -> None:
    assert warned(judge(run(record(cell("fp32"), 0.2, 0.2), record(cell("half"), 0.1, 0.1)))) == ()


def test_slower_is_said_to_be_slower() -> None:
    before, after = record(cell("fp32"), 0.10, 0.10), record(cell("half"), 0.125, 0.125)
    assert told(before, after) == "slower than P: 0.8x"


def test_against_the_parent_and_not_against_fp32() -> None:
    runs = run(
        record(cell("fp32"), 0.4, 0.4),
        record(cell("half"), 0.1, 0.1),
        record(cell("half-low"), 0.2, 0.2),
    )
    (warning,) = warned(judge(runs))
    assert warning == ("vgg/half-low/openvino/cpu/b1 is slower than vgg/half/openvino/cpu/b1: 0.5x")


@pytest.mark.parametrize(
    ("macs", "words"),
    [
        (100.0, ": its MACs have not changed"),
        (98.0, ": its MACs have hardly changed: -2 %"),
        (125.0, ": it has 1.25x the MACs"),
        (50.0, ""),
    ],
)
def test_macs_that_hardly_change_are_a_cause(macs: float, words: str) -> None:
    before = record(cell("fp32"), 0.1, 0.1, values=counted(100.0, 40.0))
    after = record(cell("half"), 0.1, 0.1, values=counted(macs, 20.0))
    assert told(before, after) == f"not proven faster than P: 1x{words}"


def test_int8_changes_no_counts_and_is_not_blamed_for_it() -> None:
    before = record(cell("fp32"), 0.1, 0.1, values=counted(100.0, 40.0))
    after = record(cell("int8"), 0.1, 0.1, values=counted(100.0, 40.0))
    assert told(before, after) == "not proven faster than P: 1x"


def test_processes_that_differ_are_a_cause() -> None:
    before = record(cell("fp32"), 0.1, 0.1, 0.1, values=counted(100.0))
    after = record(cell("half"), 0.05, 0.1, 0.125, values=counted(50.0))
    words = told(before, after)
    assert words == (
        "not proven faster than P: its processes differ so much that there is no figure: "
        "its 3 processes range from 0.8x to 2x: measure more of them"
    )


def test_what_is_simulated_is_not_expected_to_be_fast() -> None:
    before = record(cell("fp32"), 0.1, 0.1)
    after = record(cell("half"), 0.2, 0.2, labels=("simulated",))
    assert told(before, after).endswith(
        ": it is only simulated: its time is not that of real kernels"
    )


def slow(before: Breakdown, after: Breakdown, macs: float = 50.0) -> str:
    """Return the cause of a variant that takes as long as its parent, of 100 MACs."""
    one = record(cell("fp32"), 0.1, 0.1, values=counted(100.0, 40.0), breakdown=before)
    parameters = 40.0 if macs == 100.0 else 20.0
    values = counted(macs, parameters)
    other = record(cell("half"), 0.1, 0.1, values=values, breakdown=after)
    return told(one, other).removeprefix("not proven faster than P: 1x").removeprefix(": ")


def test_the_module_whose_kernels_gain_nothing_is_named() -> None:
    def net(macs: int, slow_s: float, fast_s: float) -> Breakdown:
        modules = (
            BreakdownRow(
                "body.a",
                "module",
                slow_s,
                macs,
                children=(BreakdownRow("a/Conv", "operator", slow_s, macs),),
            ),
            BreakdownRow(
                "body.b",
                "module",
                fast_s,
                macs,
                children=(BreakdownRow("b/Conv", "operator", fast_s, macs),),
            ),
        )
        return call(stage("body", slow_s + fast_s, 2 * macs, *modules), stage("head", 1e-4, 0))

    assert slow(net(50, 40e-4, 20e-4), net(25, 39e-4, 10e-4)) == (
        "body.a takes 3.9 ms of a profiled call, 4 ms before, with 1/2 of the MACs"
    )


def test_the_stage_is_named_where_no_module_has_the_larger_part() -> None:
    def net(*times_s: float, macs: int) -> Breakdown:
        modules = (BreakdownRow(f"body.{n}", "module", one, macs) for n, one in enumerate(times_s))
        return call(stage("body", sum(times_s), macs * len(times_s), *modules))

    assert slow(net(*[1e-3] * 4, macs=50), net(*[1e-3] * 4, macs=25)) == (
        "body takes 4 ms of a profiled call, 4 ms before, with 1/2 of the MACs"
    )


def test_overhead_that_grew_is_named_without_what_profiling_cost() -> None:
    before = call(stage("body", 0.8e-3, 100), overhead_s=0.2e-3, untraced_s=1.0e-3)
    # 1.2 ms profiled, 1.0 ms not: 0.2 ms of the 0.8 are the profiler's
    after = call(stage("body", 0.4e-3, 50), overhead_s=0.8e-3, untraced_s=1.0e-3)
    assert slow(before, after) == ("engine overhead takes 600 µs of a profiled call, 200 µs before")
    cost_alone = call(stage("body", 0.4e-3, 50), overhead_s=0.6e-3, untraced_s=0.6e-3)
    assert slow(before, cost_alone) == ""


def test_new_work_outside_of_the_stages_is_named() -> None:
    before = call(stage("body", 1e-3, 100))
    after = call(stage("body", 0.5e-3, 50), stage("Transpose", 0.4e-3, 0))
    assert slow(before, after) == "Transpose takes 400 µs of a profiled call, nothing before"


def test_rows_behind_an_operator_or_a_new_one_are_compared_too() -> None:
    """Operators have other names each time, and a row that is new may take no time."""
    flat = BreakdownRow("Transpose_1", "operator", 0.1e-3, 0)
    before = call(flat, stage("body", 1e-3, 100))
    new = stage("cast", 0.0, 0)
    after = call(msgspec.structs.replace(flat, name="Transpose_2"), new, stage("body", 2e-3, 50))
    assert (
        slow(before, after)
        == "body takes 2 ms of a profiled call, 1 ms before, with 1/2 of the MACs"
    )


def test_of_macs_that_only_one_side_knows_nothing_is_promised() -> None:
    for old, new in ((None, 50), (100, None), (0, 50), (100, 0)):
        before, after = call(stage("body", 1e-3, old)), call(stage("body", 1.5e-3, new))
        assert slow(before, after).startswith("body takes 1.5 ms of a profiled call, 1 ms before")
        assert "MACs" not in slow(before, after)


def test_just_what_is_measurable_is_still_noise() -> None:
    one, other = stage("body", 64.0, 100), stage("head", 36.0, 0)
    before = call(one, other)
    for more, named in ((3.0, False), (4.0, True)):
        after = call(msgspec.structs.replace(one, time_s=64.0 + more), other)
        assert slow(before, after).startswith("body takes") == named


def test_overhead_is_idle_only_as_the_rest() -> None:
    """A stage that somebody called so is a stage."""
    named = stage(OVERHEAD, 0.6, None)
    before, after = call(named, stage("body", 0.4, 100)), call(named, stage("body", 0.39, 50))
    assert "without MACs" not in slow(before, after)
    empty = Breakdown(0.0, 8, ())
    assert slow(empty, empty) == ""


def test_int8_kernels_that_became_slower_are_named() -> None:
    before = call(stage("body", 1e-3, 90), stage("head", 0.2e-3, 10))
    after = call(stage("body", 0.6e-3, 90), stage("head", 0.6e-3, 10))
    assert slow(before, after, macs=100.0) == "head takes 600 µs of a profiled call, 200 µs before"


def test_a_call_that_has_few_macs_to_lose_is_told() -> None:
    conv, add = (
        BreakdownRow("c/Conv", "operator", 0.3e-3, 100),
        BreakdownRow("c/Add", "operator", 0.5e-3, 0),
    )
    before = call(stage("body", 0.8e-3, 100, conv, add), overhead_s=0.2e-3)
    conv = BreakdownRow("c/Conv", "operator", 0.25e-3, 50)
    after = call(stage("body", 0.75e-3, 50, conv, add), overhead_s=0.2e-3)
    assert slow(before, after) == (
        "73.7 % of its call are engine overhead and operators without MACs (70 % before), which "
        "fewer MACs do not shorten"
    )


def test_what_no_row_shows_has_no_cause() -> None:
    before, after = call(stage("body", 1e-3, 100)), call(stage("body", 0.5e-3, 50))
    assert slow(before, after) == ""
    uncounted = call(stage("body", 1e-3, None))
    assert slow(uncounted, uncounted) == ""


def test_a_cell_without_a_record_has_no_gain_and_a_faster_one_no_cause() -> None:
    before = record(cell("fp32"), 0.2, 0.2)
    missing = judged_runs.run(before, cells=(cell("fp32"), cell("half")), recipes=RECIPES)
    assert gain(missing, cell("half")) is None
    simulated = record(cell("half"), 0.1, 0.1, labels=("simulated",))
    found = gain(run(before, simulated), cell("half"))
    assert found is not None
    assert (found.pace, found.cause) == ("faster", None)


def test_a_gain_can_be_stored_and_read() -> None:
    runs = run(record(cell("fp32"), 0.2, 0.2), record(cell("half"), 0.1, 0.1))
    found = gain(runs, cell("half"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_a_cause_is_a_kind_and_numbers() -> None:
    before = record(cell("fp32"), 0.1, 0.1, 0.1, values=counted(100.0, 40.0))
    more = record(cell("half"), 0.1, 0.1, 0.1, values=counted(125.0, 20.0))
    apart = record(cell("half"), 0.05, 0.1, 0.125, values=counted(50.0, 20.0))
    for after, cause in ((more, MacsNotFewer(0.8)), (apart, ProcessesDiffer(3, 0.8, 2.0))):
        found = gain(run(before, after), cell("half"))
        assert found is not None
        assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
        assert type(found.cause) is type(cause)
        assert msgspec.structs.astuple(found.cause) == pytest.approx(msgspec.structs.astuple(cause))
