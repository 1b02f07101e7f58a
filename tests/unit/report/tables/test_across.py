"""The table and the sentences on INT8 on other processors, in all formats."""

from __future__ import annotations

import json
from io import StringIO

import msgspec
import pytest
from across_runs import NATIVE, PORTABLE, accuracy, answered, run, timed
from rich.console import Console

from perfsuite.domain.across import NotTried
from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.report import print_run, render
from perfsuite.report.tables import across

THERE, PORTABLE_THERE = (
    msgspec.structs.replace(cell, switch="onednn-avx2") for cell in (NATIVE, PORTABLE)
)
EMULATED = msgspec.structs.replace(NATIVE, runtime="onnxruntime", switch="qemu-haswell")


def tried(there: float, spread: float = 0.0) -> Run:
    lines = [
        *timed(NATIVE, accuracy(0.90), 0.002),
        *answered(THERE, accuracy(there, spread)),
        *timed(PORTABLE, accuracy(0.89), 0.003),
        *answered(PORTABLE_THERE, accuracy(0.89)),
    ]
    missing = NotTried(EMULATED, f"{EMULATED.key}: there is no qemu-x86_64: apt-get install it")
    return run((NATIVE, THERE, PORTABLE, PORTABLE_THERE), lines, not_tried=(missing,))


LOSES = (
    "int8 that is made here loses 10 points of top1 (8.5 to 11.5) on processors whose best is AVX2 "
    "(openvino, oneDNN capped); in the portable form it loses 0 there, and takes 1.5x the time "
    "here."
)


def test_each_artifact_and_processor_is_a_line() -> None:
    lines = across.lines(tried(0.80))
    place = ("AVX2", "oneDNN capped", "200", "top1")
    assert lines[0] == ("openvino", "int8", *place, "90.00 %", "80.00 %", "10 (8.5 to 11.5)")
    assert lines[1] == ("openvino", "int8-portable", *place, "89.00 %", "89.00 %", "0")
    assert lines[2][:4] == ("onnxruntime", "int8", "AVX2", "emulated Haswell")
    assert lines[2][-2:] == ("unavailable", "")


def test_one_sentence_says_what_is_lost_and_what_helps() -> None:
    summary, cost, problem = across.sentences(tried(0.80))
    assert summary == LOSES
    assert cost.startswith("int8-portable on openvino takes 1.5x")
    assert "and loses 1 points" in cost
    assert problem.startswith(f"Not known of {EMULATED.key}: ")
    assert problem.endswith("there is no qemu-x86_64: apt-get install it.")


def test_what_the_portable_form_gains_is_said_as_that() -> None:
    lines = [
        *timed(NATIVE, accuracy(0.90), 0.002),
        *answered(THERE, accuracy(0.80)),
        *timed(PORTABLE, accuracy(0.91), 0.002),
        *answered(PORTABLE_THERE, accuracy(0.91)),
    ]
    cost = across.sentences(run((NATIVE, THERE, PORTABLE, PORTABLE_THERE), lines))[1]
    assert "gains 1 points (a loss of -2.5 to 0.5) against the other form here." in cost


@pytest.mark.parametrize(
    ("there", "spread", "said"),
    [
        (0.90, 0.0, "(openvino, oneDNN capped) as here: nothing is lost."),
        (0.895, 0.02, "is not proven: 0.5 points of top1 (-1.4 to 2.4)."),
    ],
)
def test_what_is_not_lost_or_not_proven_is_said_so(there: float, spread: float, said: str) -> None:
    assert said in across.sentences(tried(there, spread))[0]


def test_nothing_known_and_nothing_to_ask_are_told_apart() -> None:
    here = timed(NATIVE, accuracy(0.90), 0.002)
    unknown = run((NATIVE,), here, not_tried=(NotTried(EMULATED, "why"),))
    assert "is not known" in across.sentences(unknown)[0]
    assert "no VNNI" in across.sentences(run((NATIVE,), here))[0]
    assert across.sentences(run((NATIVE,), here, across=False)) == []


def test_all_formats_have_it() -> None:
    found = tried(0.80)
    judgement = judge(found)
    console = Console(width=250, record=True, file=StringIO())
    print_run(console, found, judgement)
    for text in (console.export_text(), render(found, judgement, "md")):
        assert across.TITLE in text and "AVX2" in text
        assert LOSES in text
    document = json.loads(render(found, judgement, "json"))
    assert [one["status"] for one in document["across"]] == ["ok", "ok", "unavailable"]
    assert document["across"][0]["lost"]["value"] == pytest.approx(10.0)
    assert document["portable_costs"][0]["time"]["value"] == pytest.approx(1.5)
