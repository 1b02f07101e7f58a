"""Folding lines into records."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import Metric
from perfsuite.domain.profile import Breakdown, BreakdownRow, Roofline
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import (
    Accuracy,
    Evidence,
    EvidenceItem,
    Failure,
    Header,
    JobKind,
    LayerWidth,
    Line,
    Measurement,
    Part,
    Record,
    Slices,
    Status,
)
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import SchemaError
from perfsuite.judge import metrics
from perfsuite.store.journal import Journal
from perfsuite.store.runs import fold, load_run, measured_s

CELL = Cell("net", "fp32", "fake")
OTHER = Cell("net", "int8", "fake")
HEADER = Header(
    schema=1,
    perfsuite="0.1.0",
    created_at="",
    suite=ResolvedSuite("toy", {"net": "net"}, ("fake",), (ResolvedRecipe("fp32"),), processes=2),
    cells=(OTHER, CELL),
    environment=Environment(MustMatch("cpu", 6, 85, 7, (), {}, 2, None), {}, {}),
)
ACCURACY = Accuracy("top1", 0.5, 4, "d", (0.25, 0.75))
EVIDENCE = Evidence((EvidenceItem("observed", "library", "fake", "1"),), {"conv": 2})


def made(job: JobKind, status: Status = "ok", **more: object) -> Line:
    return Line(CELL.id, CELL.key, job, status, **more)  # type: ignore[arg-type]


def measured(round_: int, *samples: float, status: Status = "ok", **more: object) -> Line:
    found = (
        Measurement("latency_s", "s", samples),
        Measurement("load_s", "s", (float(round_),)),
    )
    return made("measure", status, round=round_, measurements=found, **more)


PREPARE = made("prepare", artifact="abc", measurements=(Measurement("macs", "", (7.0,)),))
INSPECT = made(
    "inspect",
    evidence=EVIDENCE,
    labels=("b", "a"),
    measurements=(Measurement("latency_s", "s", (9.0,), stage="body"),),
)
WHOLE = [PREPARE, measured(0, 1.0, 2.0), measured(1, 3.0, labels=("b", "unsteady")), INSPECT]


def record(*lines: Line) -> Record:
    return fold(HEADER, lines).records[CELL.id]


def test_a_whole_cell() -> None:
    found = record(*WHOLE, made("evaluate", accuracies=(ACCURACY,)))
    assert found == Record(
        cell=CELL,
        status="ok",
        latencies_s={0: (1.0, 2.0), 1: (3.0,)},
        values={"macs": (7.0,), "load_s": (0.0, 1.0), "latency_s/body": (9.0,)},
        by_round={"load_s": {0: 0.0, 1: 1.0}},
        accuracies=(ACCURACY,),
        evidence=EVIDENCE,
        labels=("a", "b", "unsteady"),
        error=None,
        artifact="abc",
    )


def test_a_process_is_one_value_however_many_calls_it_timed() -> None:
    def timed(repeats: int) -> Record:
        samples = ((1.0, 5.0, 2.0) * repeats, (4.0, 3.0, 8.0) * repeats)
        lines = [
            made("measure", round=n, measurements=(Measurement("device_latency_s", "s", one),))
            for n, one in enumerate(samples)
        ]
        return record(*lines)

    once, often = timed(1), timed(30)
    assert once.values == often.values == {"device_latency_s": (2.0, 4.0)}
    assert once.by_round == often.by_round == {"device_latency_s": {0: 2.0, 1: 4.0}}
    narrow = metrics.level(often, "device_latency_s")
    assert narrow is not None and narrow == metrics.level(once, "device_latency_s")
    assert narrow.high > 10.0  # of two processes nearly nothing is known


def test_what_only_some_lines_have() -> None:
    inspected = msgspec.structs.replace(
        INSPECT,
        breakdown=Breakdown(2.0, 5, (BreakdownRow("body", "stage", 2.0),)),
        roofline=Roofline(1e9, 1e8, 2, "fp32"),
        measurements=(
            Measurement("stage_s", "s", (0.5, 9.0), stage="body"),
            Measurement("stage_s", "s", (), stage="head"),
            Measurement("stage_s", "s", (1.5,)),
        ),
    )
    joule = Metric("energy_j", "J", better="lower", summary="mean")
    header = msgspec.structs.replace(HEADER, metrics=(joule,))
    widths = (LayerWidth("conv", 8, 4),)
    card = DeviceIdentity("cuda", "a card")
    prepared = msgspec.structs.replace(
        PREPARE, widths=widths, device=card, uncounted={"GridSample": 3}
    )
    found = fold(header, [inspected, prepared]).records[CELL.id]
    assert found.status == "incomplete"
    assert (found.breakdown, found.roofline) == (inspected.breakdown, inspected.roofline)
    assert found.stages_s == {0: {"body": 0.5}}  # one value a row and process, the first
    assert found.values["stage_s"] == (1.5,)  # of no row
    assert (found.widths, found.metrics) == (widths, (joule,))
    assert (found.device, found.uncounted) == (card, {"GridSample": 3})
    without = record(made("inspect", uncounted={"GridSample": 3}))
    assert (without.device, without.uncounted) == (None, {})
    assert (without.artifact, without.widths, without.accuracies) == ("", (), ())
    assert (without.breakdown, without.roofline, without.evidence) == (None, None, None)
    assert record(made("evaluate")).accuracies == ()


def test_slices_are_those_of_each_round() -> None:
    timed = [
        made(
            "measure",
            round=number,
            together=f"round {number}",
            measurements=(Measurement("latency_s", "s", (1.0, 2.0, 3.0), slices=(2, 1)),),
        )
        for number in (0, 1)
    ]
    header = msgspec.structs.replace(
        HEADER, suite=msgspec.structs.replace(HEADER.suite, processes=3)
    )
    found = fold(header, [*timed, measured(2, 1.0)]).records[CELL.id]
    assert found.slices == {n: Slices(f"round {n}", (2, 1)) for n in (0, 1)}
    assert set(found.latencies_s) == {0, 1, 2}
    assert found.parts == {}


def test_further_processes_of_a_round_are_kept_beside_the_first() -> None:
    def timed(number: int, part: int, latency_s: float, **fields: object) -> Line:
        return made(
            "measure",
            round=number,
            part=part,
            together=f"us.{part}",
            measurements=(
                Measurement("latency_s", "s", (latency_s,), slices=(1,)),
                Measurement("load_s", "s", (9.0 + part,)),
            ),
            **fields,
        )

    lines = [timed(0, 2, 4.0), timed(0, 1, 3.0), timed(0, 0, 2.0), timed(1, 0, 5.0)]
    found = fold(HEADER, [*lines, timed(0, 1, 3.5)]).records[CELL.id]
    assert found.latencies_s == {0: (2.0,), 1: (5.0,)}
    assert found.slices == {n: Slices("us.0", (1,)) for n in (0, 1)}
    assert found.parts == {
        0: (Part((3.5,), Slices("us.1", (1,))), Part((4.0,), Slices("us.2", (1,))))
    }
    assert found.values["load_s"] == (9.0, 9.0)
    # They are no rounds of their own, and what went wrong in one went wrong with the cell.
    others = [made("prepare"), made("inspect")]
    assert fold(HEADER, [*others, *lines[:3]]).records[CELL.id].status == "incomplete"
    assert fold(HEADER, [*others, *lines]).records[CELL.id].status == "ok"
    crashed = timed(1, 1, 1.0, status="failed", error=Failure("Crash", "gone"))
    wrong = fold(HEADER, [*others, *lines, crashed]).records[CELL.id]
    assert (wrong.status, sorted(wrong.parts)) == ("failed", [0])


def test_a_cell_that_is_inspected_in_rounds_needs_each() -> None:
    rounds = [made("inspect", round=number, evidence=EVIDENCE) for number in (0, 1)]
    assert record(*WHOLE[:3], *rounds).status == "ok"
    assert record(*WHOLE[:3], rounds[0]).status == "incomplete"


def test_a_journal_that_knew_one_metric_a_task_still_tells_its_accuracy() -> None:
    text = (
        f'{{"cell":"{CELL.id}","key":"net/fp32/fake/cpu/b1","job":"evaluate","status":"ok",'
        '"accuracy":{"metric":"top1","value":0.5,"samples":4,"digest":"d",'
        '"replicates":[0.25,0.75]}}'
    )
    found = record(*WHOLE, msgspec.json.decode(text, type=Line))
    assert found.accuracies == (ACCURACY,)
    assert found.accuracy == ACCURACY


def test_the_first_accuracy_is_the_main_one_and_each_is_found_by_its_metric() -> None:
    top5 = Accuracy("top5", 0.75, 4, "d", (0.5, 1.0))
    found = record(*WHOLE, made("evaluate", accuracies=(ACCURACY, top5)))
    assert found.accuracy == found.accuracy_by("top1") == ACCURACY
    assert found.accuracy_by("top5") == top5
    assert found.accuracy_by("map50") is None


def test_records_stand_in_the_headers_order_and_cells_without_lines_are_incomplete() -> None:
    run = fold(HEADER, WHOLE, ["torn"])
    assert list(run.records) == [OTHER.id, CELL.id]
    assert run.records[OTHER.id].status == "incomplete"
    assert run.records[CELL.id].status == "ok"
    assert run.warnings == ("torn",)


def test_a_missing_evaluate_line_alone_is_no_fault() -> None:
    assert record(*WHOLE).status == "ok"
    assert record(*WHOLE).accuracy is None


@pytest.mark.parametrize("left_out", range(4))
def test_any_other_missing_job_makes_it_incomplete(left_out: int) -> None:
    assert record(*WHOLE[:left_out], *WHOLE[left_out + 1 :]).status == "incomplete"


def test_a_later_line_replaces_an_earlier_one() -> None:
    crash = made("measure", "failed", round=0, error=Failure("Killed", "signal 9"))
    assert record(crash, *WHOLE).status == "ok"
    again = record(*WHOLE, measured(1, 5.0))
    assert again.latencies_s == {0: (1.0, 2.0), 1: (5.0,)}
    assert again.values["load_s"] == (0.0, 1.0)
    assert record(*WHOLE, crash).status == "failed"


def test_rounds_are_told_in_order_whatever_the_order_of_the_lines() -> None:
    found = record(*reversed(WHOLE))
    assert found == record(*WHOLE)
    assert list(found.latencies_s) == [0, 1]


@pytest.mark.parametrize("status", ["failed", "unsupported", "unavailable"])
def test_what_preparing_said_decides(status: Status) -> None:
    why = Failure("Unsupported", "Q/DQ")
    later = made("measure", "failed", round=0, error=Failure("X", "y"))
    found = record(later, made("prepare", status, error=why))
    assert (found.status, found.error) == (status, why)


def test_a_failure_comes_before_other_faults() -> None:
    why = Failure("Hang", "600 s")
    found = record(
        PREPARE, made("evaluate", "unsupported"), made("measure", "failed", round=1, error=why)
    )
    assert (found.status, found.error) == ("failed", why)
    assert record(*WHOLE, made("evaluate", "unavailable")).status == "unavailable"
    # Evaluate lines stand behind measure lines; a failure among them comes first all the same.
    missing = made("measure", "unavailable", round=0)
    assert record(missing, made("evaluate", "failed", error=why)).error == why


def test_what_a_failed_job_measured_does_not_count() -> None:
    assert record(*WHOLE[:2], measured(1, 8.0, status="failed")).latencies_s == {0: (1.0, 2.0)}


def test_lines_of_unknown_cells_are_skipped_with_a_warning() -> None:
    strange = Line("0000", "gone/fp32", "prepare", "ok")
    run = fold(HEADER, [strange, *WHOLE, strange], ["torn"])
    assert run.warnings == ("torn", "gone/fp32: not a cell of this run; its lines were skipped")
    assert run.header == HEADER
    assert run.records == fold(HEADER, WHOLE).records


def test_a_measure_line_needs_its_round() -> None:
    with pytest.raises(SchemaError) as caught:
        record(made("measure"))
    assert str(caught.value) == f"a measure line of {CELL.key} has no round"


def test_a_stored_run_is_loaded(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        for one in WHOLE:
            journal.append(one)
    assert load_run(tmp_path) == fold(HEADER, WHOLE)
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(b'{"cell"')
    torn = f"{tmp_path / 'run.jsonl'}: line {2 + len(WHOLE)}, the last, is torn and was skipped"
    assert load_run(tmp_path) == fold(HEADER, WHOLE, [torn])


def test_with_looks_a_cell_is_whole_from_the_first_look_on() -> None:
    looks = Looks(2, 9)
    suite = msgspec.structs.replace(HEADER.suite, processes=9, looks=looks)
    header = msgspec.structs.replace(HEADER, suite=suite)
    lines = [PREPARE, INSPECT, measured(0, 1.0)]
    assert fold(header, lines).records[CELL.id].status == "incomplete"
    for number in (1, 2):
        lines.append(measured(number, 1.0))
        found = fold(header, lines).records[CELL.id]
        assert (found.status, found.looks) == ("ok", looks)
    in_rounds = [msgspec.structs.replace(INSPECT, round=number) for number in (0, 1)]
    one = [PREPARE, in_rounds[0], *lines[2:]]
    assert fold(header, one).records[CELL.id].status == "incomplete"
    assert fold(header, [*one, in_rounds[1]]).records[CELL.id].status == "ok"


def test_a_header_keeps_its_plan_and_one_of_before_has_none() -> None:
    suite = msgspec.structs.replace(HEADER.suite, looks=Looks(4, 12))
    header = msgspec.structs.replace(HEADER, suite=suite)
    encoded = msgspec.json.encode(header)
    assert msgspec.json.decode(encoded, type=Header) == header
    old = encoded.replace(b',"looks":{"first":4,"most":12}', b"")
    assert old != encoded
    assert msgspec.json.decode(old, type=Header).suite.looks is None


def test_what_is_measured_of_the_baseline_is_folded_beside() -> None:
    beside = [
        made("prepare", baseline=True, artifact="old"),
        measured(0, 5.0, baseline=True, together="t"),
        measured(1, 6.0, baseline=True, together="t"),
    ]
    run = fold(HEADER, [*WHOLE, *beside])

    assert run.records[CELL.id] == record(*WHOLE)
    assert set(run.beside) == {CELL.id}
    found = run.beside[CELL.id]
    assert (found.status, found.artifact) == ("ok", "old")
    assert found.latencies_s == {0: (5.0,), 1: (6.0,)}


def test_a_baseline_without_its_artifact_says_why() -> None:
    gone = made("prepare", "unavailable", baseline=True, error=Failure("Unavailable", "gone"))
    found = fold(HEADER, [*WHOLE, gone]).beside[CELL.id]

    assert (found.status, found.error) == ("unavailable", Failure("Unavailable", "gone"))
    assert record(*WHOLE, gone).status == "ok"


def test_rounds_beyond_the_plan_are_a_second_measurement_of_their_cells_alone() -> None:
    later = [measured(2, 7.0), measured(2, 8.0, baseline=True), measured(3, 9.0)]
    run = fold(HEADER, [*WHOLE, *later])

    assert run.records[CELL.id].latencies_s == {0: (1.0, 2.0), 1: (3.0,)}
    assert run.beside[CELL.id].latencies_s == {}
    assert run.again is not None
    assert run.again.header.cells == (CELL,)
    assert run.again.records[CELL.id].latencies_s == {2: (7.0,), 3: (9.0,)}
    assert run.again.records[CELL.id].status == "ok"
    assert run.again.beside[CELL.id].latencies_s == {2: (8.0,)}
    assert fold(HEADER, WHOLE).again is None


def test_what_crashes_in_the_second_measurement_has_crashed() -> None:
    crash = measured(2, 7.0, status="failed", error=Failure("Crash", "died"))
    run = fold(HEADER, [*WHOLE, crash])

    assert run.records[CELL.id].status == "failed"
    assert run.records[CELL.id].latencies_s == {0: (1.0, 2.0), 1: (3.0,)}


def test_what_crashes_beside_belongs_to_its_own_measurement() -> None:
    died = Failure("Crash", "died")
    beside = [measured(0, 5.0, baseline=True), measured(1, 6.0, baseline=True)]
    crash = measured(2, 7.0, status="failed", error=died, baseline=True)
    run = fold(HEADER, [*WHOLE, *beside, measured(2, 8.0), crash])

    assert run.beside[CELL.id].status == "ok"
    assert run.beside[CELL.id].latencies_s == {0: (5.0,), 1: (6.0,)}
    assert run.again is not None
    assert (run.again.beside[CELL.id].status, run.again.beside[CELL.id].error) == ("failed", died)


def test_the_seconds_of_a_run_are_those_of_its_rounds() -> None:
    lines = [
        made("prepare", duration_s=100.0),
        made("inspect", duration_s=50.0),
        made("inspect", round=1, duration_s=4.0),
        measured(0, 0.1, duration_s=2.0),
        measured(1, 0.1, status="failed", duration_s=3.0),
        measured(2, 0.1, duration_s=8.0),  # measured again, after the two rounds of the suite
    ]
    assert fold(HEADER, lines).measured_s == 9.0
    assert measured_s(lines, 1) == 2.0
    assert measured_s(lines, 3) == 17.0
    assert measured_s([], 3) == 0.0
