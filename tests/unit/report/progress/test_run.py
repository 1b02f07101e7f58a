"""The progress of a run: what it prints, and the time left."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Failure, Line
from perfsuite.judge.open_questions import OpenQuestion
from perfsuite.report.progress.run import RunProgress

CELL = Cell("[red]net", "fp32", "fake")
EXPECTED_S = {(CELL.key, "prepare"): 60.0, (CELL.key, "measure"): 10.0, (CELL.key, "evaluate"): 5.0}


def watch(*jobs: tuple[str, float, dict[str, object]], terminal: bool = False) -> str:
    """Return what is printed while jobs, each of a kind and so many seconds, go by."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=100, force_terminal=terminal, color_system=None, legacy_windows=False
    )
    with RunProgress(console, EXPECTED_S, 95.0) as bar:
        for kind, seconds, fields in jobs:
            defaults: dict[str, object] = {"status": "ok", "duration_s": seconds}
            line = Line(CELL.id, CELL.key, kind, **(defaults | fields))  # type: ignore[arg-type]
            if seconds:
                bar.started(CELL, kind, line.round)
            bar.finished(line)
    return stream.getvalue()


def test_a_line_a_job_where_there_is_no_terminal() -> None:
    text = watch(
        ("prepare", 120.0, {}),
        ("evaluate", 2.0, {"cached": True}),
        ("measure", 20.0, {"round": 0}),
        ("measure", 20.0, {"round": 1}),
    )
    assert text.splitlines() == [
        # It took twice as long as expected, and so will the 35 s that are left.
        f"prepare {CELL.key}: 120.0 s, 1:10 left",
        f"evaluate {CELL.key}: cached, 1:00 left",
        f"measure round 1 {CELL.key}: 20.0 s, 0:40 left",
        f"measure round 2 {CELL.key}: 20.0 s, 0:20 left",
    ]


def test_a_warning_is_printed_at_once() -> None:
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=100), {}, 40.0) as bar:
        bar.warned("another run ([red]a)")
        assert stream.getvalue() == "warning: another run ([red]a)\n"


def test_jobs_that_take_turns_are_told_each() -> None:
    stream = io.StringIO()
    other = Cell("other", "fp32", "fake")
    expected_s = {(cell.key, "measure"): 10.0 for cell in (CELL, other)}
    with RunProgress(Console(file=stream, width=100), expected_s, 40.0) as bar:
        for number in (0, 1):
            for cell in (CELL, other):
                bar.started(cell, "measure", number)
            for cell in (CELL, other):
                bar.finished(Line(cell.id, cell.key, "measure", "ok", number, duration_s=14.0))
    assert stream.getvalue().splitlines() == [
        f"measure round 1 {CELL.key}: 14.0 s, 0:42 left",
        f"measure round 1 {other.key}: 14.0 s, 0:28 left",
        f"measure round 2 {CELL.key}: 14.0 s, 0:14 left",
        f"measure round 2 {other.key}: 14.0 s, 0:00 left",
    ]


def test_what_is_measured_beside_counts_for_the_time_left_and_is_told_when_it_breaks() -> None:
    stream = io.StringIO()
    expected_s = {(CELL.key, "measure"): 20.0}  # of both
    why = Failure("Crash", "it died\nof this")
    gone = Line(
        CELL.id, CELL.key, "prepare", "unavailable", baseline=True, error=Failure("", "gone")
    )
    with RunProgress(Console(file=stream, width=100), expected_s, 40.0) as bar:
        bar.finished(gone)  # told before this process began
        bar.started(CELL, "measure", 0)
        bar.finished(gone)
        for status, error in (("ok", None), ("failed", why)):
            line = Line(CELL.id, CELL.key, "measure", "ok", 0, duration_s=5.0)
            bar.finished(msgspec.structs.replace(line, baseline=True, status=status, error=error))
        bar.finished(line)
        bar.measured_again([CELL], 24, 2)
        bar.started(CELL, "measure", 25)
        bar.finished(msgspec.structs.replace(line, round=25))
        bar.noted("6 artifacts kept")
    assert stream.getvalue().splitlines() == [
        f"{CELL.key}: not measured beside its baseline: gone",
        f"{CELL.key}: no longer measured beside its baseline: it died",
        # Both took 5 s, where 20 s had been expected of the two.
        f"measure round 1 {CELL.key}: 5.0 s, 0:10 left",
        f"{CELL.key}: measured again, because it looked like a regression",
        f"measure again, round 2 {CELL.key}: 5.0 s, 0:15 left",
        "6 artifacts kept",
    ]


def test_what_the_cache_spared_does_not_shorten_the_rest() -> None:
    text = watch(("prepare", 1.0, {"cached": True}))
    assert text == f"prepare {CELL.key}: cached, 0:35 left\n"


def test_earlier_sittings_are_counted_and_not_printed() -> None:
    text = watch(("prepare", 0.0, {}), ("measure", 10.0, {"round": 1}))
    assert text == f"measure round 2 {CELL.key}: 10.0 s, 0:25 left\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_failure_is_told_at_once(terminal: bool) -> None:
    error = Failure("Crash", "[bold]died[/]\nby a signal")
    bad = ("prepare", 3.0, {"status": "failed", "error": error})
    text = watch(bad, terminal=terminal)
    assert f"failed: prepare {CELL.key}: [bold]died[/]" in text
    assert "by a signal" not in text


def test_a_terminal_shows_what_is_under_way_and_cleans_up() -> None:
    text = watch(("prepare", 60.0, {}), ("measure", 10.0, {"round": 0}), terminal=True)
    assert f"prepare {CELL.key}, 1:35 left" in text
    assert f"measure round 1 {CELL.key}, 0:35 left" in text
    assert "cached" not in text
    assert "\x1b[2K" in text  # the bar's line is erased at the end


def test_a_terminal_shows_how_far_a_pass_is() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with RunProgress(console, EXPECTED_S, 95.0) as bar:
        bar.started(CELL, "prepare", None)
        bar.progressed("prune: [b]120 of 900, 1:10 left")
    assert f"prepare {CELL.key}: prune: [b]120 of 900, 1:10 left" in stream.getvalue()


FAST = Cell("[red]net", "int8", "fake")


def questions(*rounds: int | None) -> list[OpenQuestion]:
    return [OpenQuestion(FAST.key, f"budget {at}", one) for at, one in enumerate(rounds)]


MEASURED = ((CELL.key, "measure"), (FAST.key, "measure"))


def line(cell: Cell, number: int) -> Line:
    return Line(cell.id, cell.key, "measure", "ok", round=number, duration_s=10.0)


def looked(*looks: list[OpenQuestion], most: int = 24, minutes: float | None = None) -> list[str]:
    """Return what is printed while two cells are measured and looked at from round 4 on."""
    stream = io.StringIO()
    console = Console(file=stream, width=100, color_system=None, legacy_windows=False)
    with RunProgress(console, dict.fromkeys(MEASURED, 10.0), 20.0, minutes) as bar:
        for number, found in enumerate(looks, start=4):
            for cell in (CELL, FAST):
                bar.started(cell, "measure", number - 1)
                bar.finished(line(cell, number - 1))
            bar.looked((CELL, FAST), number, found, most)
    return stream.getvalue().splitlines()


def test_what_is_open_is_shown_beside_the_rounds() -> None:
    assert looked(questions(6, 5), questions(6), []) == [
        f"measure round 4 {CELL.key}: 10.0 s, 0:10 left",
        f"measure round 4 {FAST.key}: 10.0 s, 0:00 left",
        # Two more rounds of 20 s.
        f"measure round 5 {CELL.key}: 10.0 s, 0:30 left; open: 2 verdicts, until about round 6",
        f"measure round 5 {FAST.key}: 10.0 s, 0:20 left; open: 2 verdicts, until about round 6",
        f"measure round 6 {CELL.key}: 10.0 s, 0:10 left; open: 1 verdict, until about round 6",
        f"measure round 6 {FAST.key}: 10.0 s, 0:00 left; open: 1 verdict, until about round 6",
        "[red]net/b1: nothing is open after 6 rounds",
    ]


def test_the_limit_is_told_with_what_is_open() -> None:
    text = looked(questions(5, None), questions(None, None), most=5)
    assert text[2].endswith("0:10 left; open: 2 verdicts, maybe beyond round 5")
    assert text[-1] == (
        "[red]net/b1: 2 verdicts still open after 5 rounds, the limit: "
        f"budget 0 ({FAST.key}), budget 1 ({FAST.key})"
    )


def test_the_time_left_is_that_until_the_limit() -> None:
    # After 20 s of 36, with 3 more rounds of 20 s to come.
    text = looked(questions(7), questions(7), minutes=0.6)
    assert text[2:] == [
        f"measure round 5 {CELL.key}: 10.0 s, 0:06 left; open: 1 verdict, until about round 7 "
        "or 0.6 min of measuring",
        f"measure round 5 {FAST.key}: 10.0 s, 0:00 left; open: 1 verdict, until about round 7 "
        "or 0.6 min of measuring",
    ]
    assert looked(questions(5), questions(5), minutes=10.0)[2].startswith(
        f"measure round 5 {CELL.key}: 10.0 s, 0:10 left; open"
    )


def test_a_terminal_shows_what_is_open() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=150, force_terminal=True, color_system=None)
    other = Cell("other", "fp32", "fake")
    with RunProgress(console, dict.fromkeys(MEASURED, 10.0), 20.0) as bar:
        bar.looked((CELL, FAST), 4, questions(7), 24)
        bar.started(FAST, "measure", 4)
        bar.started(other, "measure", 4)
    before, _, after = stream.getvalue().partition(other.key)
    assert f"measure round 5 {FAST.key}, 1:20 left; open: 1 verdict, until about round 7" in before
    assert "open" not in after


def test_groups_of_an_earlier_sitting_are_not_told_of() -> None:
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=100), {}, 1.0) as bar:
        bar.looked((CELL, FAST), 4, [], 24)
        bar.looked((CELL, FAST), 24, questions(None), 24)
    assert stream.getvalue() == ""
