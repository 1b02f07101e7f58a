"""What becomes of INT8 on other processors, from records made by hand."""

from __future__ import annotations

import msgspec
import pytest
from across_runs import NATIVE, PORTABLE, SAMPLES, accuracy, answered, run, timed

from perfsuite.domain.across import NotTried
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Failure, Line, Run
from perfsuite.judge import judge
from perfsuite.judge.across import NO_EFFECT, elsewhere, loses_elsewhere, portable_costs
from perfsuite.judge.findings import found_in

THERE, PORTABLE_THERE = (
    msgspec.structs.replace(cell, switch="onednn-avx2") for cell in (NATIVE, PORTABLE)
)
OTHER = msgspec.structs.replace(NATIVE, switch="onednn-avx512")
CELLS = (NATIVE, THERE, PORTABLE, PORTABLE_THERE)


def tried(there: float = 0.80, spread: float = 0.0, **changes: bool) -> Run:
    """Return a run whose native form answers 90 % here and `there` of it elsewhere."""
    found = accuracy(there, spread)
    lines = [
        *timed(NATIVE, accuracy(0.90), 0.002),
        *answered(THERE, found, **changes),
        *timed(PORTABLE, accuracy(0.89), 0.003),
        *answered(PORTABLE_THERE, accuracy(0.89)),
    ]
    return run(CELLS, lines)


def test_the_loss_is_between_the_same_samples_here_and_there() -> None:
    native, portable = elsewhere(tried())
    assert (native.cell, native.artifact) == (THERE.key, NATIVE.key)
    assert (native.where, native.by) == ("AVX2", "oneDNN capped")
    assert (native.here, native.there, native.samples) == (0.90, 0.80, SAMPLES)
    assert native.lost is not None and native.lost.value == pytest.approx(10.0)
    assert (native.is_portable, native.loses) == (False, True)
    assert portable.lost is not None and portable.lost.value == pytest.approx(0.0)
    assert (portable.is_portable, portable.loses) == (True, False)


def test_what_the_portable_form_costs_is_its_time_and_its_loss_here() -> None:
    (cost,) = portable_costs(tried())
    assert (cost.runtime, cost.recipe) == ("openvino", "int8-portable")
    assert cost.time is not None and cost.time.value == pytest.approx(1.5)
    assert cost.lost is not None and cost.lost.value == pytest.approx(1.0)


def test_a_proven_loss_is_a_caution_of_the_artifact_with_its_fix() -> None:
    ((finding, key),) = loses_elsewhere(tried())
    assert key == NATIVE.key
    assert (finding.name, finding.severity) == ("int8-loses-elsewhere", "caution")
    assert "10.00 points of top1" in finding.message and "AVX2" in finding.message
    assert "portable = true" in finding.fix
    assert [one.cells for one in found_in(tried())] == [(NATIVE.key,)]


def test_what_is_not_proven_is_no_finding() -> None:
    open_ = tried(0.895, spread=0.02)  # half a point lost, two to either side
    native = elsewhere(open_)[0]
    assert native.lost is not None and native.lost.low < 0.0 < native.lost.value
    assert loses_elsewhere(open_) == ()


def test_of_several_processors_the_worst_speaks_for_an_artifact() -> None:
    lines = [
        *timed(NATIVE, accuracy(0.90), 0.002),
        *answered(OTHER, accuracy(0.70)),
        *answered(THERE, accuracy(0.80)),
    ]
    ((finding, key),) = loses_elsewhere(run((NATIVE, OTHER, THERE), lines))
    assert key == NATIVE.key
    assert "AVX-512 without VNNI" in finding.message and "20.00 points" in finding.message


def test_a_cap_without_effect_is_told_and_proves_nothing() -> None:
    native = elsewhere(tried(0.80, overflows=False))[0]
    assert (native.status, native.lost) == (NO_EFFECT, None)
    assert "QEMU has it from 7.2 on" in native.reason
    assert loses_elsewhere(tried(0.80, overflows=False)) == ()


def test_other_inputs_there_are_told_and_not_compared() -> None:
    lines = [
        *timed(NATIVE, accuracy(0.90), 0.002),
        *answered(THERE, accuracy(0.80, digest="others")),
    ]
    (native,) = elsewhere(run((NATIVE, THERE), lines))
    assert (native.here, native.there, native.lost) == (0.90, 0.80, None)
    assert "other inputs there" in native.reason


def failed(cell: Cell, message: str) -> Line:
    return Line(cell.id, cell.key, "evaluate", "failed", error=Failure("Crash", message))


def test_what_failed_or_was_not_tried_says_why() -> None:
    lines = [*timed(NATIVE, accuracy(0.90), 0.002), failed(THERE, "the worker died by SIGILL")]
    left_out = (NotTried(OTHER, "there is no emulator: install it"),)
    first, second = elsewhere(run((NATIVE, THERE), lines, not_tried=left_out))
    assert (first.status, first.reason) == ("failed", "the worker died by SIGILL")
    assert (second.cell, second.status) == (OTHER.key, "unavailable")
    assert second.reason == "there is no emulator: install it"


def test_a_cell_that_only_answers_is_whole_without_times() -> None:
    found = tried()
    assert {record.status for record in found.records.values()} == {"ok"}
    assert judge(found).exit_code == 0
    cut_short = run(CELLS, timed(NATIVE, accuracy(0.90), 0.002))
    assert cut_short.records[THERE.id].status == "incomplete"
    assert elsewhere(cut_short)[0].reason == "the run was cut short"


def test_a_run_that_asks_for_nothing_has_no_other_processors() -> None:
    plain = run((NATIVE,), timed(NATIVE, accuracy(0.90), 0.002), across=False)
    assert (elsewhere(plain), portable_costs(plain), loses_elsewhere(plain)) == ((), (), ())
