"""What a person should know beside the verdicts, as data and in its order."""

from __future__ import annotations

import math

import msgspec
import pytest
from judged_runs import (
    EAGER,
    INT8,
    MACHINE,
    measured_again,
    measured_beside,
    noisy,
    other_machine,
    record,
    run,
)

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import MustMatch
from perfsuite.domain.judgement import (
    DividedBy,
    ExpectationUnmet,
    InParts,
    Labelled,
    LatenciesLeftOut,
    NotBeside,
    NotFaster,
    NotInBaseline,
    NotTogether,
    OfOtherRun,
    Quick,
    TimeWasUp,
    TooManyThreads,
    VersionChange,
    VersionsDiffer,
)
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import (
    FROZEN,
    IN_FLOAT,
    MAY_OVERFLOW,
    MEASURED_ALONE,
    NOT_TOGETHER,
    Failure,
    Part,
    Run,
    Slices,
)
from perfsuite.domain.suite import Expect
from perfsuite.judge import judge
from perfsuite.judge.cautions import _cores, cautions, cautions_beside
from perfsuite.report.sentences import caution_sentence


def quick(given: Run) -> Run:
    return msgspec.structs.replace(
        given, header=msgspec.structs.replace(given.header, quick=True), warnings=("torn",)
    )


def test_each_place_where_a_trace_has_frozen_something_is_told_with_its_cells() -> None:
    one, other = f"{FROZEN}net.py:7 (a branch)", f"{FROZEN}net.py:9 (a value)"
    cells = [Cell("vgg", recipe, "openvino") for recipe in ("fp32", "int8", "prune")]
    labels = [("a", one), (one,), (other,)]
    made = run(
        *(record(cell, 0.1, 0.1, labels=said) for cell, said in zip(cells, labels, strict=True))
    )
    assert [found for found in cautions(made) if isinstance(found, Labelled)] == [
        Labelled(one, (cells[0].key, cells[1].key)),
        Labelled(other, (cells[2].key,)),
    ]


def test_sums_that_may_overflow_are_told_of_engines_that_add_them() -> None:
    cells = [Cell("vgg", "fp32", engine) for engine in ("onnxruntime", "openvino")]
    labels = [(MAY_OVERFLOW,), (MAY_OVERFLOW, IN_FLOAT)]
    made = run(
        *(record(cell, 0.1, 0.1, labels=said) for cell, said in zip(cells, labels, strict=True))
    )
    found = [one for one in cautions(made) if isinstance(one, Labelled)]
    assert found == [Labelled(IN_FLOAT, (cells[1].key,)), Labelled(MAY_OVERFLOW, (cells[0].key,))]
    assert "has no VNNI, adds products of bytes in 16 bits" in caution_sentence(found[1])


def test_all_cautions_of_one_run_in_their_order() -> None:
    parent = Cell("vgg", "fp32", "openvino", threads=3)
    variant = Cell("vgg", "int8", "openvino", threads=3)
    expect = Expect(status="unsupported", reason="no engine", recipe="int8", runtime="openvino")
    other = Expect(status="unsupported", reason="not this one", runtime="none")
    made = run(
        record(parent, 0.1, 0.1),
        record(variant, 0.2, 0.2, math.nan, 0.0, labels=("a", NOT_TOGETHER)),
        cells=(parent, variant, Cell("vgg", "fp32", "gone")),
        expect=(other, expect),
    )
    *first, slower = cautions(quick(made))
    assert first == [
        "torn",
        Quick(),
        TooManyThreads(3, 2),
        LatenciesLeftOut(variant.key, (2, 3)),
        NotTogether((variant.key,)),
        ExpectationUnmet(variant.key, "unsupported", "no engine"),
    ]
    assert isinstance(slower, NotFaster)
    assert (slower.cell, slower.parent, slower.pace) == (variant.key, parent.key, "slower")
    assert cautions(run()) == []


def test_who_took_turns_with_whom_where_memory_was_short() -> None:
    def sliced(*names: str) -> dict[int, Slices]:
        return {number: Slices(name, (3,)) for number, name in enumerate(names)}

    others = [Cell("vgg", name, "openvino") for name in ("a", "b", "c")]
    further = {0: (Part((1.0,), Slices("us.1", (1,))),)}
    made = run(
        record(EAGER, 0.1, 0.1, slices=sliced("us", "us"), parts=further),
        record(others[0], 0.1, 0.1, slices=sliced("us", "us")),
        record(others[1], 0.1, 0.1, slices=sliced("us.1", "us")),
        record(others[2], 0.1, 0.1, labels=(MEASURED_ALONE,)),
        record(INT8, 0.1, 0.1, slices=sliced("them")),
    )
    keys = [cell.key for cell in others]
    # In the second round all fitted.
    parts = ((EAGER.key, keys[0], keys[1]), (EAGER.key, keys[1]))
    (found,) = (one for one in cautions(made) if isinstance(one, InParts))
    assert found == InParts(parts, (keys[2],))
    assert caution_sentence(found) == (
        "not all that is compared fits into memory together: measured in 2 parts "
        f"({EAGER.key}, {keys[0]}, {keys[1]}; {EAGER.key}, {keys[1]}): "
        f"{keys[2]} measured alone, so that disturbances are in its ratios"
    )
    together = run(record(EAGER, 0.1, slices=sliced("us")), record(INT8, 0.1, slices=sliced("us")))
    assert not any(isinstance(one, InParts) for one in cautions(together))


def test_an_expectation_that_came_true_is_no_caution() -> None:
    expect = Expect(status="unsupported", reason="no engine", recipe="int8")
    gone = record(INT8, status="unsupported")
    assert cautions(run(record(EAGER, 0.1, 0.1), gone, expect=(expect,))) == []
    # Nor is one about a cell without a record.
    assert cautions(run(record(EAGER, 0.1, 0.1), cells=(EAGER, INT8), expect=(expect,))) == []


def test_all_cautions_beside_a_baseline_in_their_order() -> None:
    before = quick(other_machine(noisy(3.0, 1, 0.0, compare="ratio")))
    upgraded = msgspec.structs.replace(MACHINE, subject={"torch": "2.16", "onnx": "1"})
    now = noisy(1.0, 2, 0.0, compare="ratio", environment=upgraded)
    new = Cell("vgg", "new", "pytorch")
    records = {**now.records, new.id: record(new, 0.1, 0.1)}
    header = msgspec.structs.replace(now.header, cells=(*now.header.cells, new))
    now = msgspec.structs.replace(now, records=records, header=header)
    assert cautions_beside(now, before) == [
        OfOtherRun("baseline", "torn"),
        OfOtherRun("baseline", Quick()),
        VersionsDiffer((VersionChange("onnx", None, "1"), VersionChange("torch", "2.15", "2.16"))),
        NotInBaseline(new.key),
        DividedBy(EAGER.key),
    ]
    absolute = noisy(1.0, 2, 0.0)
    assert cautions_beside(absolute, absolute) == []


def test_what_was_not_measured_beside_its_baseline_is_told_by_reason() -> None:
    other = Cell("vgg", "fp32", "openvino")
    cells = (EAGER, other, INT8)
    now = run(*(record(cell, 0.1, 0.1) for cell in cells))
    gone = Failure("Unavailable", "gone")
    beside = {
        cell.id: msgspec.structs.replace(record(cell), status="unavailable", error=gone)
        for cell in cells[:2]
    }
    beside[INT8.id] = record(INT8, 0.1, 0.1)
    found = cautions_beside(msgspec.structs.replace(now, beside=beside), now)
    assert found == [NotBeside((EAGER.key, other.key), "gone")]
    assert caution_sentence(found[0]) == (
        f"{EAGER.key}, {other.key}: compared with stored times: gone"
    )


def limited(given: Run, minutes: float, measured_s: float, rounds: int = 2) -> Run:
    suite = msgspec.structs.replace(
        given.header.suite, processes=rounds + 1, looks=Looks(rounds, rounds + 1), minutes=minutes
    )
    header = msgspec.structs.replace(given.header, suite=suite)
    return msgspec.structs.replace(given, header=header, measured_s=measured_s)


def test_that_the_time_was_up_is_told_where_verdicts_are_open() -> None:
    # Of the variant it is open whether it is faster.
    parent = Cell("vgg", "fp32", "openvino")
    spread = run(record(parent, 1.0, 1.0), record(INT8, 0.5, 2.0))
    assert TimeWasUp(2.0, 1) in cautions(limited(spread, 2.0, 120.0))
    assert not any(isinstance(one, TimeWasUp) for one in cautions(limited(spread, 2.0, 119.9)))
    decided = run(record(parent, 1.0, 1.0), record(INT8, 0.1, 0.1))
    assert cautions(limited(decided, 2.0, 500.0)) == []
    # Of what is measured beside its baseline, it is open whether it changed.
    beside = measured_beside(run(record(EAGER, 0.5, 2.0)), record(EAGER, 1.0, 1.0))
    before = run(record(EAGER, 1.0, 1.0))
    assert TimeWasUp(2.0, 1) in cautions(limited(beside, 2.0, 120.0), before)
    assert TimeWasUp(2.0, 1) in judge(limited(beside, 2.0, 120.0), before).warnings
    assert cautions(limited(beside, 2.0, 120.0)) == []
    # The second measurement of what looked worse may have ended early, too.
    slower = measured_beside(run(record(EAGER, 1.3, 1.3001)), record(EAGER, 1.0, 1.0))
    first = limited(slower, 2.0, 60.0)
    assert cautions(first, before) == []
    twice = measured_again(first, record(EAGER, 0.5, 2.0), beside=(record(EAGER, 1.0, 1.0),))
    assert twice.again is not None
    for spent_s, told in ((119.9, []), (120.0, [TimeWasUp(2.0, 1)])):
        again = msgspec.structs.replace(twice.again, measured_s=spent_s)
        assert cautions(msgspec.structs.replace(twice, again=again), before) == told
    # After as many rounds as there may be, more time would not have helped.
    most = run(record(parent, *[1.0] * 3), record(INT8, 0.5, 2.0, 1.0))
    assert not any(isinstance(one, TimeWasUp) for one in cautions(limited(most, 2.0, 120.0)))


@pytest.mark.parametrize(
    ("quota", "cores"), [(None, 4), (8.0, 4), (4.0, 4), (3.5, 4), (3.0, 3), (0.2, 1), (0.0, 1)]
)
def test_cores_that_may_be_used(quota: float | None, cores: int) -> None:
    assert _cores(MustMatch("A", 6, 85, 7, (), {}, 4, quota)) == cores
