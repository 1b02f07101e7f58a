"""How far a pass is: what it prints, and what of that reaches whoever watches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32
from perfsuite.domain.suite import Evaluate, Measure
from perfsuite.runner import process, progress
from perfsuite.runner.job import Job
from perfsuite.runner.observer import SilentObserver, pass_on
from perfsuite.runner.progress import PassProgress, last_progress

CELL = Cell("net", "thin", "fake")
JOB = Job("prepare", CELL, "net.py:net", "fake", "", FP32, Evaluate(), Measure())


class Time:
    now_s = 50.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_a_line_a_second_and_the_time_left(clock: Time, capsys: pytest.CaptureFixture[str]) -> None:
    told = PassProgress(CELL.key, "prune")
    told(10, 100)
    for done in range(11, 41):
        clock.now_s += 0.25
        told(done, 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{CELL.key}: prune: 10 of 100"
    # A quarter of a second a step, wherever the count began: 86 steps are 21.5 s.
    assert lines[1] == f"{CELL.key}: prune: 14 of 100, 0:22 left"
    assert lines[-1] == f"{CELL.key}: prune: 38 of 100, 0:16 left"
    assert len(lines) == 8


def test_another_count_begins_anew(clock: Time, capsys: pytest.CaptureFixture[str]) -> None:
    told = PassProgress(CELL.key, "prune")
    for done, total in ((1, 2), (2, 2), (0, 300), (1, 300)):
        told(done, total)
        clock.now_s += 2.0
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"{CELL.key}: prune: 0 of 300",
        f"{CELL.key}: prune: 1 of 300, 9:58 left",
    ]


def test_a_sentence_stands_for_a_while(clock: Time, capsys: pytest.CaptureFixture[str]) -> None:
    told = PassProgress(CELL.key, "distill")
    told.say("training takes\nabout 42 min")
    for done in range(1, 8):
        told(done, 100)
        clock.now_s += 1.0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{CELL.key}: distill: training takes about 42 min",
        f"{CELL.key}: distill: 6 of 100, 1:34 left",
        f"{CELL.key}: distill: 7 of 100, 1:33 left",
    ]


class Watching(SilentObserver):
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def progressed(self, text: str) -> None:
        self.told.append(("progressed", text))

    def noted(self, text: str) -> None:
        self.told.append(("noted", text))


def test_a_sentence_is_noted_with_its_cell_and_a_count_is_progress() -> None:
    watching = Watching()
    said = ("prune: 1 of 9", "mine: 12 of 40, 1:05 left", "distill: training takes about 42 min")
    for text in said:
        pass_on(watching, CELL.key, text)
    assert watching.told == [
        ("progressed", said[0]),
        ("progressed", said[1]),
        ("noted", f"{CELL.key}: distill: training takes about 42 min"),
    ]


def test_the_last_whole_line_of_this_cell_counts(tmp_path: Path) -> None:
    output = tmp_path / "output"
    said = f"{CELL.key}: prune: 1 of 9\n{CELL.key}: prune: 2 of 9\nwarning: \xff\nother: 3\n"
    output.write_bytes(b"x" * 10_000 + b"\n" + said.encode("latin-1"))
    assert last_progress(output, CELL.key) == "prune: 2 of 9"
    with output.open("a") as file:
        file.write(f"{CELL.key}: prune: 3 o")  # being written
    assert last_progress(output, CELL.key) == "prune: 2 of 9"
    assert last_progress(output, "another/cell") == ""
    output.write_bytes(b"")
    assert last_progress(output, CELL.key) == ""


class Scripted:
    """A worker that says something each time it is waited for, and ends when there is no more."""

    def __init__(self, output: Path, says: list[str]) -> None:
        self.job, self.output, self.says = JOB, output, iter(says)
        self.waits: list[float] = []
        output.touch()

    def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        said = next(self.says, None)
        self.output.write_text(f"{CELL.key}: {said}\n" if said else "")
        return said is None


def test_what_is_new_is_told_until_the_worker_ends(tmp_path: Path) -> None:
    worker: Any = Scripted(tmp_path / "output", ["", "1 of 9", "1 of 9", "2 of 9"])
    told: list[str] = []
    process._watch(worker, told.append)
    assert told == ["1 of 9", "2 of 9"]
    assert worker.waits == [process.LOOK_S] * 5


def test_a_worker_that_does_not_end_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "timeout_s", 2.5)
    worker: Any = Scripted(tmp_path / "output", ["", "", "", ""])
    process._watch(worker, lambda said: None)
    assert worker.waits == [1.0, 1.0, 0.5]


def test_only_a_preparing_job_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def watch(worker: process.Worker, tell: Any) -> None:
        looked.append(worker.job.kind)
        worker.wait(60.0)

    monkeypatch.setattr(process, "_watch", watch)
    for kind in ("measure", "prepare"):
        job = msgspec.structs.replace(JOB, kind=kind, reference="no/such.py:net")
        assert process.run_job_in_process(job, tell=lambda said: None).status == "failed"
    assert looked == ["prepare"]
