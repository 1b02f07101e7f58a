"""Two runs beside each other."""

from __future__ import annotations

import msgspec
import pytest
from judged_runs import (
    EAGER,
    INT8,
    MACHINE,
    PAIR,
    accuracy,
    known_noise,
    measured_again,
    measured_beside,
    noisy,
    other_machine,
    record,
    run,
    scaled,
)

from perfsuite.domain.judgement import OfOtherRun, Quick, VersionChange
from perfsuite.domain.metrics import METRICS
from perfsuite.domain.record import Failure
from perfsuite.domain.verdict import Difference, Reason
from perfsuite.judge import CellChange, compare
from perfsuite.report.sentences import change_notes


def test_compare_two_runs() -> None:
    before = noisy(1.0, 0, 0.01)
    found = compare(before, scaled(before, 1.2, INT8))
    assert [one.key for one in found.changes] == [EAGER.key, INT8.key]
    eager, int8 = found.changes
    assert eager.latency_ratio is not None
    assert eager.latency_ratio.value == 1.0
    assert int8.latency_ratio is not None
    assert int8.latency_ratio.value == pytest.approx(1.2)
    assert int8.loss_points is not None
    assert int8.loss_points.value == 0.0
    gone = compare(before, run(PAIR[0]))
    assert gone.only_before == (INT8.key,)
    far = compare(other_machine(before), before)
    assert far.changes[0].latency_ratio is None
    (reason,) = far.changes[0].reasons
    assert reason.kind == "other_machine"
    assert Difference("processor", "A", "B") in reason.differences
    assert "processor ('A' here, 'B' in the baseline)" in change_notes(far.changes[0])[0]


def test_both_runs_are_named_and_their_cautions_kept_apart() -> None:
    before = msgspec.structs.replace(run(PAIR[0]), warnings=("torn",))
    upgraded = msgspec.structs.replace(MACHINE, subject={"torch": "2.16"})
    after = run(*PAIR, name="t", environment=upgraded)
    header = msgspec.structs.replace(after.header, quick=True, created_at="")
    found = compare(before, msgspec.structs.replace(after, header=header))
    assert (found.before, found.after) == ("s 2026-01-01", "t")
    assert found.warnings == (OfOtherRun("before", "torn"), OfOtherRun("after", Quick()))
    assert found.versions == (VersionChange("torch", "2.15", "2.16"),)
    assert (found.only_before, found.only_after) == ((), (INT8.key,))
    turned = compare(after, before)
    assert (turned.only_before, turned.only_after) == ((INT8.key,), ())


def test_a_cell_that_did_not_end_well_has_its_statuses_alone() -> None:
    failed = record(INT8, status="failed", error=Failure("Crash", "no"))
    good = record(INT8, 0.01, 0.01)
    for before, after, statuses in (
        (run(good), run(failed), ("ok", "failed")),
        (run(failed), run(good), ("failed", "ok")),
        (run(good), run(cells=(INT8,)), ("ok", "missing")),
        (run(cells=(INT8,)), run(good), ("missing", "ok")),
        (run(cells=(INT8,)), run(cells=(INT8,)), ("missing", "missing")),
    ):
        assert compare(before, after).changes == (CellChange(INT8, INT8.key, *statuses),)


def test_latencies_are_those_of_each_run() -> None:
    (change,) = compare(run(record(INT8, 0.01, 0.04)), run(record(INT8, 0.04, 0.09))).changes
    assert change.latency_before_s == pytest.approx(0.02)  # geometric means
    assert change.latency_after_s == pytest.approx(0.06)
    assert (change.cell, change.key, change.yardstick) == (INT8, INT8.key, "")
    assert (change.before, change.after, change.reasons) == ("ok", "ok", ())


def test_what_one_run_has_not_is_left_empty() -> None:
    sized = {"values": {"artifact_bytes": (50.0,)}}
    before, after = run(record(INT8, **sized)), run(record(INT8, 0.01, 0.01, **sized))
    for one, other in ((before, after), (after, before)):
        (change,) = compare(one, other).changes
        assert (change.latency_ratio, change.reasons, change.yardstick) == (None, (), "")
    (change,) = compare(before, before).changes
    assert (change.latency_before_s, change.latency_after_s) == (None, None)
    assert change.other_ratios["artifact_bytes"].value == 1.0
    timed = {"values": {"artifact_bytes": (50.0,), "warmup_calls": (3.0,), "load_s": (1.0, 1.0)}}
    (change,) = compare(*[run(record(INT8, 0.01, 0.01, **timed))] * 2).changes
    columns = [METRICS[name].column for name in ("artifact_bytes", "warmup_calls", "load_s")]
    assert columns == [True, False, False]
    assert set(change.other_ratios) == {"artifact_bytes"}  # what has a column, but the latency


def test_by_ratio_the_yardstick_is_named() -> None:
    before = other_machine(noisy(3.0, 1, 0.0, compare="ratio"))
    eager, int8 = compare(before, noisy(1.0, 2, 0.0, compare="ratio")).changes
    assert (eager.yardstick, int8.yardstick) == (EAGER.key, EAGER.key)
    assert int8.latency_ratio is not None
    assert int8.latency_ratio.value == pytest.approx(1.0)


def test_losses_that_cannot_be_told_say_why_and_leave_the_others() -> None:
    def answers(digest: str, top5: str) -> tuple[object, ...]:
        return (accuracy(0.9, digest=digest), accuracy(0.95, digest=top5, metric="top5"))

    before = run(record(INT8, accuracies=answers("d", "d")))
    (change,) = compare(before, run(record(INT8, accuracies=answers("e", "d")))).changes
    text = (
        "accuracies with another test samples (digest): d and e; evaluate both on the same samples"
    )
    assert change.reasons == (Reason("other_samples", text=text),)
    assert change.loss_points is None
    assert change.other_losses["top5"].value == 0.0
    (few,) = compare(run(record(INT8, 0.01)), run(record(INT8, 0.02))).changes
    assert few.reasons == (Reason("too_few_in_a_run"),)
    none = compare(before, run(record(INT8))).changes[0]
    assert (none.loss_points, none.other_losses) == (None, {})


def test_how_the_latencies_were_compared() -> None:
    old = record(INT8, *[0.01] * 4, artifact="old")
    stored = run(old)
    slow, same = (record(INT8, *[0.01 * factor] * 4, artifact="new") for factor in (1.2, 1.001))

    (change,) = compare(stored, measured_beside(run(slow), old)).changes
    assert (change.beside, change.again, change.noise) == (True, False, "")
    assert change.latency_ratio is not None
    assert change.latency_ratio.value == pytest.approx(1.2)
    twice = measured_again(measured_beside(run(slow), old), same, beside=(old,))
    (change,) = compare(stored, twice).changes
    assert (change.beside, change.again) == (True, True)
    assert change.latency_ratio is not None
    assert change.latency_ratio.value == pytest.approx(1.001)
    (change,) = compare(stored, known_noise(run(slow), 0.02)).changes
    assert (change.beside, change.again) == (False, False)
    assert (change.noise, change.between, change.noise_runs) == ("earlier runs", 0.02, 5)
