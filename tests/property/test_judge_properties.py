"""What holds of judging whatever was measured."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.judgement import NotFaster
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import Accuracy, Header, Record, Run
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.judge import gain, judge
from perfsuite.report.sentences import verdict_sentence

CELLS = (
    Cell("net", "fp32", "pytorch"),
    Cell("net", "fp32", "fake"),
    Cell("net", "int8", "fake"),
)
BUDGETS = (
    Budget("fast", "latency_s", cell="net/int8/*", against="net/fp32/pytorch/*", min_speedup=2.0),
    Budget("exact", "top1", cell="net/int8/*", against="net/fp32/pytorch/*", max_drop_points=1.0),
    Budget("kept", "latency_s", baseline=True, max_increase=0.1),
)
ENVIRONMENT = Environment(MustMatch("A", 6, 1, 1, (), {}, 2, None), {}, {})

seconds = st.floats(1e-5, 10.0)
processes = st.lists(st.lists(seconds, min_size=1, max_size=4), min_size=0, max_size=5)
STATUSES = st.sampled_from(["ok", "ok", "ok", "failed", "unsupported", "incomplete"])


@st.composite
def records(draw: st.DrawFn, cell: Cell) -> Record:
    rounds = draw(st.sampled_from([0, 0, 3]))
    value = draw(st.floats(0.5, 1.0))
    replicates = tuple(value + draw(st.floats(-0.01, 0.01)) for _ in range(5))
    return Record(
        cell=cell,
        status=draw(STATUSES),
        latencies_s={rounds + n: tuple(one) for n, one in enumerate(draw(processes))},
        values={},
        accuracies=tuple(
            Accuracy(metric, value, 500, "d", replicates)
            for metric in draw(st.sampled_from([(), ("top1",), ("top1", "top5")]))
        ),
        evidence=None,
        labels=(),
        error=None,
        artifact=draw(st.sampled_from(["", "key"])),
    )


@st.composite
def runs(draw: st.DrawFn, compare: Any = "absolute", cells: tuple[Cell, ...] = CELLS) -> Run:
    suite = ResolvedSuite(
        "s",
        {"net": "net"},
        ("pytorch", "fake"),
        (FP32, ResolvedRecipe("int8")),
        budgets=BUDGETS,
        compare=draw(st.sampled_from(["absolute", "ratio"])) if compare is None else compare,
    )
    header = Header(1, "0", "", suite, cells, ENVIRONMENT)
    return Run(header, {cell.id: draw(records(cell)) for cell in cells})


def scaled(run: Run, factor: float) -> Run:
    def times(record: Record) -> Record:
        latencies = {n: tuple(one * factor for one in s) for n, s in record.latencies_s.items()}
        return msgspec.structs.replace(record, latencies_s=latencies)

    records = {key: times(record) for key, record in run.records.items()}
    return msgspec.structs.replace(run, records=records)


@given(runs(compare=None))
@settings(max_examples=60, deadline=None)
def test_a_run_has_never_regressed_against_itself(run: Run) -> None:
    verdicts = judge(run, run).verdicts
    assert "regressed" not in {one.status for one in verdicts}
    of_regression = {one.status for one in verdicts if one.budget == "regression"}
    assert of_regression <= {"pass"}


@given(runs(compare=None), runs(compare=None), st.sampled_from([2.0, 0.125, 1e3, 1e-3]))
@settings(max_examples=60, deadline=None)
def test_the_unit_of_time_changes_no_verdict(run: Run, baseline: Run, factor: float) -> None:
    one = judge(run, baseline)
    other = judge(scaled(run, factor), scaled(baseline, factor))
    assert [v.status for v in one.verdicts] == [v.status for v in other.verdicts]
    assert one.exit_code == other.exit_code


@given(runs(compare=None), runs(compare=None), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_what_was_found_changes_nothing(run: Run, baseline: Run, random: Any) -> None:
    def shuffled(mapping: dict[Any, Any]) -> dict[Any, Any]:
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    def mixed(one: Run) -> Run:
        records = {
            key: msgspec.structs.replace(record, latencies_s=shuffled(record.latencies_s))
            for key, record in shuffled(one.records).items()
        }
        return msgspec.structs.replace(one, records=records)

    assert judge(mixed(run), mixed(baseline)) == judge(run, baseline)


@given(runs(compare=None), runs(compare=None))
@settings(max_examples=60, deadline=None)
def test_the_exit_code_follows_from_the_verdicts(run: Run, baseline: Run) -> None:
    found = judge(run, baseline)
    statuses = {one.status for one in found.verdicts}
    if "unsupported" in {record.status for record in run.records.values()}:
        assert found.exit_code == 2  # nothing of these runs was expected to be
    elif statuses & {"regressed", "over_budget"}:
        assert found.exit_code == 1
    else:
        assert found.exit_code == (0 if statuses == {"pass"} else 3)
    assert all(verdict_sentence(one) for one in found.verdicts)
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


@given(runs(), st.sampled_from([2.0, 0.125, 1e3, 1e-3]))
@settings(max_examples=60, deadline=None)
def test_what_is_not_proven_faster_is_warned_of(run: Run, factor: float) -> None:
    for cell in CELLS:
        found, other = gain(run, cell), gain(scaled(run, factor), cell)
        assert (found is None) == (other is None)
        if found is None or other is None:
            continue
        assert found.pace == other.pace
        doubted = found.pace in ("slower", "not proven faster")
        told = [
            one
            for one in judge(run).warnings
            if isinstance(one, NotFaster) and one.cell == cell.key
        ]
        assert len(told) == doubted
        assert (found.cause is not None) <= doubted


@given(runs(cells=CELLS[1:]), st.floats(1.001, 100.0))
@settings(max_examples=40, deadline=None)
def test_slower_never_turns_a_regression_green(run: Run, factor: float) -> None:
    slower, slowest = judge(scaled(run, factor), run), judge(scaled(run, factor * 2.0), run)
    before = {one.cell for one in slower.verdicts if one.status == "regressed"}
    after = {one.cell for one in slowest.verdicts if one.status == "regressed"}
    assert before <= after
