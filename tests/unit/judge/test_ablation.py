"""What libraries are worth, by hand from stored records."""

from __future__ import annotations

import math
from typing import Any

import pytest
from judged_runs import record, run
from msgspec.structs import replace

from perfsuite.domain.cell import Cell
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import Evidence, Failure, Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.judge.ablation import Worth, is_known, worth_most, worths
from perfsuite.judge.open_questions import open_questions
from perfsuite.report.sentences.ablation import better_sentences, note, seen_text, worth_sentence
from perfsuite.report.tables import ablation

WHOLE = Cell("vgg", "fp32", "pytorch", threads=2)


def ran(library: str, instruction_set: str = "") -> Evidence:
    return Evidence(layers=(LayerKernel("conv", "convolution", "jit", library, instruction_set),))


def one(switch: str, *times_s: float, **fields: Any) -> Record:
    return record(replace(WHOLE, switch=switch), *times_s, **fields)


def asked(*records: Record, times_s: tuple[float, ...] = (0.01,) * 4, **suite: Any) -> Run:
    whole = one("", *times_s, evidence=ran("oneDNN", "AVX-512"))
    return run(whole, *records, ablation=True, **suite)


def worth(switch: str, ratio: tuple[float, float, float] | None, **fields: Any) -> Worth:
    libraries = {"onednn-off": "oneDNN", "mkl-avx2": "MKL", "one-thread": "threads"}
    defaults: dict[str, Any] = {"status": "ok", "seen": True, "before": "a", "after": "b"}
    defaults["title"] = "off"
    found = None if ratio is None else Interval(*ratio)
    named = libraries.get(switch, "PyTorch")
    return Worth("w", f"w/{switch}", "pytorch", switch, named, ratio=found, **(defaults | fields))


def test_a_run_that_asks_for_nothing_has_no_table() -> None:
    assert worths(run(record(WHOLE, 0.01))) == []


def test_the_ratio_is_the_time_without_by_the_time_of_the_whole() -> None:
    """Rounds of 10 and 20 ms, 10 and 30 ms: the geometric mean of 2 and 3."""
    made = asked(one("onednn-off", 0.02, 0.03, evidence=ran("MKL")), times_s=(0.01, 0.01))
    (found,) = worths(made)
    assert (found.whole, found.cell) == (WHOLE.key, f"{WHOLE.key}/onednn-off")
    assert (found.library, found.title, found.status) == ("oneDNN", "off", "ok")
    assert found.ratio is not None and found.ratio.value == pytest.approx(math.sqrt(6.0))
    assert found.whole_s == pytest.approx(0.01)
    assert (found.seen, found.before, found.after) == (True, "1 of 1 layers", "0 of 1 layers")
    assert not found.is_worth  # two rounds tell nothing surely
    assert note(found) == "nothing seen"


def test_rounds_that_agree_prove_it_both_ways() -> None:
    made = asked(
        one("onednn-off", *(0.02,) * 4, evidence=ran("MKL")),
        one("channels-last", *(0.008,) * 4, evidence=ran("oneDNN", "AVX2")),
    )
    off, last = worths(made)
    assert off.is_worth and not off.is_better_without
    assert last.seen is None and last.is_better_without and not last.is_worth
    assert better_sentences([off, last]) == [
        "pytorch is faster with PyTorch channels last: a call takes 0.8 times as long."
    ]


def test_what_was_not_seen_to_act_is_worth_nothing_however_it_looks() -> None:
    alike = ran("oneDNN", "AVX-512")
    (found,) = worths(asked(one("onednn-avx2", *(0.02,) * 4, evidence=alike)))
    assert found.seen is False and not found.is_worth
    assert worth_most([found]) == []
    assert "not seen to act" in note(found)
    assert worth_sentence([found]) == "No library was proven to be worth anything here."


def test_a_failure_is_named_and_the_others_stand() -> None:
    crash = Failure("Crash", "the worker died by SIGSEGV")
    made = asked(
        one("onednn-off", status="failed", error=crash),
        one("onednn-avx2", *(0.02,) * 4, evidence=ran("oneDNN", "AVX2")),
    )
    failed, capped = worths(made)
    assert failed.ratio is None and note(failed) == "the worker died by SIGSEGV"
    assert capped.is_worth
    assert judge(made).exit_code == 0  # that it cannot do without is an answer
    shown = list(ablation.lines(made))
    assert [line[0] for line in shown] == ["fp32/pytorch/cpu/b1", "", ""]
    assert shown[1][3] == "failed" and shown[1][-1] == "the worker died by SIGSEGV"
    assert shown[2][5] == "AVX-512 -> AVX2"


def test_a_whole_that_failed_is_no_answer() -> None:
    whole = one("", status="failed", error=Failure("Crash", "no memory"))
    made = run(whole, one("onednn-off", *(0.02,) * 4), ablation=True)
    (found,) = worths(made)
    assert found.reason == "the cell in which nothing is turned off is failed: no memory"
    assert judge(made).exit_code == 3
    assert worth_sentence([found]).startswith("Nothing was measured")


def test_the_library_that_is_worth_most_is_named_in_one_sentence() -> None:
    found = [
        worth("onednn-off", (3.0, 2.9, 3.1)),
        worth("mkl-avx2", (1.5, 1.4, 1.6)),
        worth("one-thread", (9.0, 8.9, 9.1)),  # of no library's making
        worth("aten-avx2", (1.0, 0.9, 1.1)),
        worth("aten-default", None, status="failed"),
    ]
    assert [one.switch for one in worth_most(found)] == ["onednn-off"]
    assert worth_sentence(found) == (
        "oneDNN is worth most here: with oneDNN off, pytorch takes 3 (2.9 to 3.1) times as long."
    )


def test_threads_are_no_library() -> None:
    found = worth("one-thread", (0.8, 0.7, 0.9), title="one thread")
    assert better_sentences([found]) == [
        "pytorch is faster with one thread: a call takes 0.8 (0.7 to 0.9) times as long."
    ]


def test_libraries_that_cannot_be_told_apart_are_both_named() -> None:
    found = [worth("onednn-off", (3.0, 2.0, 4.0)), worth("mkl-avx2", (2.5, 2.0, 3.0))]
    assert worth_sentence(found).endswith("It cannot be told from MKL (off: 2.5 (2 to 3)).")


@pytest.mark.parametrize(
    ("ratio", "known"),
    [
        ((1.0, 0.97, 1.03), True),
        ((1.0, 0.90, 1.11), False),
        ((3.0, 2.5, 3.6), True),  # a fifth of log 3 is 0.22
        ((3.0, 2.0, 4.5), False),
        ((1.06, 1.01, 1.11), True),
    ],
)
def test_a_ratio_is_known_as_well_as_its_size_asks(
    ratio: tuple[float, float, float], known: bool
) -> None:
    assert is_known(Interval(*ratio)) is known


def test_rounds_go_on_until_every_ratio_is_known() -> None:
    looks = Looks(3, 8)
    noisy = one("onednn-off", 0.010, 0.012, 0.009, evidence=ran("MKL"))
    sure = one("onednn-avx2", *(0.02,) * 3, evidence=ran("oneDNN", "AVX2"))
    made = asked(noisy, sure, times_s=(0.01,) * 3, looks=looks, processes=8)
    assert [question.cell for question in open_questions(made)] == [noisy.cell.key]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"before": "AVX-512", "after": "AVX2"}, "AVX-512 -> AVX2"),
        ({"seen": None}, "the evidence does not tell"),
        ({"seen": False, "before": "", "after": ""}, "nothing else ran"),
        ({"seen": False, "before": "not used", "after": "not used"}, "oneDNN is not used here"),
    ],
)
def test_what_was_seen_is_said(fields: dict[str, Any], text: str) -> None:
    assert seen_text(worth("onednn-off", (1.0, 0.9, 1.1), **fields)) == text


def test_no_effect_is_said_where_neither_evidence_nor_clock_show_one() -> None:
    found = worth("mkl-avx2", (1.0, 0.99, 1.01), seen=None)
    assert note(found) == "nothing seen: it has no effect here"


def test_of_an_engine_that_cannot_run_it_one_line_says_all() -> None:
    failure = Failure("Unsupported", "int8 on pytorch: it takes the module")
    without = {"status": "unsupported", "error": failure}
    made = run(one("", **without), one("onednn-off", **without), ablation=True)
    assert [line[2] for line in ablation.lines(made)] == ["nothing"]
    assert [row.status for row in worths(made)] == ["unsupported"], "the document has each row"
    crashed = one("onednn-off", status="failed", error=Failure("Crash", "it died"))
    made = run(one("", status="failed", error=failure), crashed, ablation=True)
    assert [line[2] for line in ablation.lines(made)] == ["nothing", "off"]
