"""What is required holds or does not by the evidence of a stored run; the exit code tells."""

from __future__ import annotations

from judged_runs import EAGER, INT8, record, run

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, Failure, Record
from perfsuite.domain.suite import Expect, Require
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import judge
from perfsuite.judge.requirements import requirement_verdicts
from perfsuite.report.sentences import verdict_sentence

ONEDNN = Require("oneDNN", reason="three times as fast")
LAYER = LayerKernel("a", "Conv", "jit:avx2", "oneDNN", "AVX2")
SHOWN = record(EAGER, 1.0, 1.0, evidence=Evidence(layers=(LAYER,)))
FALLBACK = Failure("SilentFallback", "openvino on cpu: oneDNN is required; it was not used")


def fell_back(**fields: object) -> Record:
    return record(INT8, status="failed", error=FALLBACK, evidence=Evidence(), **fields)


def told(verdicts: list[Verdict]) -> list[tuple[str, str, str]]:
    return [(one.cell, one.status, verdict_sentence(one)) for one in verdicts]


def test_it_holds_or_not_for_each_cell_with_what_shows_it() -> None:
    found = run(SHOWN, fell_back(), require=(ONEDNN,))
    verdicts = requirement_verdicts(found)
    assert {one.budget for one in verdicts} == {"oneDNN is required (three times as fast)"}
    assert {one.check for one in verdicts} == {"require"}
    assert told(verdicts) == [
        (EAGER.key, "pass", "oneDNN computed 1 of 1 layers (observed)"),
        (
            INT8.key,
            "failed",
            "nothing shows that oneDNN was used: the evidence names no library that computed "
            "anything",
        ),
    ]


def test_what_does_not_hold_is_red_and_what_holds_is_green() -> None:
    assert judge(run(SHOWN, require=(ONEDNN,))).exit_code == 0
    found = judge(run(SHOWN, fell_back(), require=(ONEDNN,)))
    assert found.exit_code == 1
    assert [one.budget for one in found.verdicts] == ["status", *[found.verdicts[1].budget] * 2]


def test_what_was_not_inspected_is_missing_with_the_reason() -> None:
    crashed = record(INT8, status="failed", error=Failure("Crash", "signal 11"))
    (one,) = requirement_verdicts(run(crashed, require=(ONEDNN,)))
    assert (one.status, verdict_sentence(one)) == ("missing", "failed: Crash: signal 11")
    assert judge(run(crashed, require=(ONEDNN,))).exit_code == 3
    (one,) = requirement_verdicts(run(record(EAGER, 1.0), require=(ONEDNN,)))
    assert verdict_sentence(one) == "was not inspected: nothing shows what ran"


def test_a_cell_that_failed_later_still_shows_what_ran() -> None:
    hung = record(
        EAGER, status="failed", error=Failure("Timeout", "600 s"), evidence=SHOWN.evidence
    )
    (one,) = requirement_verdicts(run(hung, require=(ONEDNN,)))
    assert one.status == "pass"


def test_nothing_is_required_of_cells_that_are_expected_not_to_run() -> None:
    refused = record(INT8, status="unsupported", error=Failure("Unsupported", "no"))
    expect = (Expect("unsupported", "why", recipe="int8"),)
    suite = {"expect": expect, "require": (ONEDNN,)}
    found = requirement_verdicts(run(SHOWN, refused, **suite))
    assert [one.cell for one in found] == [EAGER.key]
    (alone,) = requirement_verdicts(run(refused, **suite))
    assert (alone.status, verdict_sentence(alone)) == ("missing", "no matching cell was to run")


def test_only_the_cells_that_it_selects_are_asked() -> None:
    openvino = Require(instruction_set="AVX2", runtime="openvino")
    found = requirement_verdicts(run(SHOWN, fell_back(), require=(openvino,)))
    assert told(found) == [
        (INT8.key, "failed", "kernels ran with an instruction set that is not known")
    ]
