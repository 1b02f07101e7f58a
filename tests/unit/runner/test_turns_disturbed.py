"""What goes wrong while processes take turns: it costs no more than it must."""

from __future__ import annotations

import errno
import os
import select
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import (
    FP32,
    INT8,
    Project,
    children,
    is_running,
    status,
    wait_until,
)
from taking_turns import jobs, measured

from perfsuite import api
from perfsuite.domain.judgement import NotTogether
from perfsuite.domain.record import NOT_TOGETHER, Line
from perfsuite.errors import Unsupported
from perfsuite.runner import turns
from perfsuite.runner.channel import Channel, Taken
from perfsuite.runner.job import Job
from perfsuite.runner.turns import measure_in_turns
from perfsuite.store.temporary import PREFIX


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(turns, "_ENDING_S", 0.5)  # processors let go at once
    return Project(tmp_path, monkeypatch)


def failed_alone(lines: list[Line], kind: str) -> None:
    """Assert that the first of two has failed, and the second has not."""
    one, other = lines
    assert one.error is not None
    assert (one.status, one.error.kind) == ("failed", kind)
    assert other.status == "ok", other.error


def disturbed(
    project: Project, monkeypatch: pytest.MonkeyPatch, disturb: Callable[[int], None], when: str
) -> list[Line]:
    """Return the lines of two cells of which the first meets `disturb`, which gets its process.

    That is "while the other is opened", "in its slice" of the second cycle, or "stopped" after it.
    """
    made = jobs(project)
    opened: list[turns._Member] = []
    truly_begin, truly_take = turns._Member.__init__, turns._Member.take_slice
    taken: list[str] = []

    def begin(self: turns._Member, *given: Any) -> None:
        truly_begin(self, *given)
        opened.append(self)
        if len(opened) == 2 and when == "while the other is opened":
            disturb(opened[0]._worker.process.pid)

    def take(self: turns._Member) -> None:
        taken.append(self.job.cell.key)
        if taken.count(FP32) == 2 and self is opened[0] and when == "in its slice":
            self._worker.wake()
            disturb(self._worker.process.pid)
        truly_take(self)
        if taken.count(FP32) == 1 and self is opened[0] and when == "stopped":
            disturb(self._worker.process.pid)

    monkeypatch.setattr(turns._Member, "__init__", begin)
    monkeypatch.setattr(turns._Member, "take_slice", take)
    return measure_in_turns(made, lambda job: None)


@pytest.mark.parametrize("when", ["while the other is opened", "in its slice", "stopped"])
def test_who_is_killed_fails_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    project.script({"*": {"latencies_s": [0.03]}})

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    failed_alone(disturbed(project, monkeypatch, kill, when), "Crash")


def test_who_hangs_in_its_slice_fails_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(timeout=2.0)
    (project.folder / "late.py").write_text(LATE)
    text = project.suite.read_text()
    project.suite.write_text(text.replace('"fake"', '"late.py:Late"'))
    made = jobs(project)
    project.script({"*/fp32/*": {"latencies_s": [0.03], "kernels": {"a": 0.5}}, "*": {}})
    failed_alone(measure_in_turns(made, lambda job: None), "Timeout")


LATE = """
import time
from perfsuite.runtimes.fake import runtime

class Late(runtime.Fake):
    name = "late"

    def open(self, folder, manifest, options):
        session = super().open(folder, manifest, options)
        if runtime.script(manifest, options.batch).kernels:
            truly, calls = session.run, [0]

            def run(inputs):
                calls[0] += 1
                if calls[0] == 14:  # the third of the first slice, behind 11 that warm up
                    time.sleep(600)
                return truly(inputs)

            session.run = run
        return session
"""


def test_a_cycle_in_which_this_process_was_suspended_is_repeated(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.script({"*": {"latencies_s": [0.03]}})
    truly = turns._Member.take_slice
    taken: list[str] = []

    def take(self: turns._Member) -> None:
        taken.append(self.job.cell.key)
        truly(self)
        if len(taken) == 3:
            os.kill(os.getpid(), signal.SIGCONT)  # as `fg` does

    monkeypatch.setattr(turns._Member, "take_slice", take)
    before = signal.getsignal(signal.SIGCONT)
    for line in measured(project):
        (found,) = (item for item in line.measurements if item.metric == "latency_s")
        assert found.slices == (4, 4)
    assert taken == [FP32, INT8, INT8, FP32, FP32, INT8]
    assert signal.getsignal(signal.SIGCONT) == before


def test_a_run_that_was_suspended_goes_on(project: Project) -> None:
    project.script({"*": {"latencies_s": [0.0001]}})
    project.write(processes=2)
    process = project.start()

    def stopped() -> list[int]:
        return [pid for pid in children(process.pid) if status(pid)[0] == "T"]

    wait_until(stopped, "a worker that is stopped")
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: status(process.pid)[0] == "T", "the run to be suspended")
    process.send_signal(signal.SIGCONT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert all(line.status == "ok" for line in project.lines())


def test_what_was_said_while_this_process_was_suspended_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a wait that a signal cuts short, Python does not look again once the time is over."""
    truly = select.poll

    class Suspended:
        def __init__(self) -> None:
            self.poll_, self.register = truly(), lambda *given: self.poll_.register(*given)

        def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
            return self.poll_.poll(0) if timeout_ms == 0 else []

    monkeypatch.setattr(select, "poll", Suspended)
    with Channel() as channel:
        os.write(channel.theirs[1], b"1 2\n")
        assert channel.hear(5.0) == Taken(1, 2)


def test_where_none_can_be_stopped_all_are_measured_one_after_the_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    truly = os.killpg

    def refuse(group: int, number: int) -> None:
        if number == signal.SIGSTOP:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        truly(group, number)

    monkeypatch.setattr(os, "killpg", refuse)
    _, run, judgement = api.run(project.suite, project.out)
    measured = [line for line in project.lines() if line.job == "measure"]
    assert [(line.key, line.round) for line in measured] == [
        (FP32, 0),
        (INT8, 0),
        (INT8, 1),
        (FP32, 1),
    ]
    assert all(
        (line.status, line.together, line.labels) == ("ok", "", (NOT_TOGETHER,))
        for line in measured
    )
    assert all(not record.slices for record in run.records.values())
    first, *others = judgement.warnings
    assert first == (
        "cells are measured one after the other: this system does not let processes be stopped "
        "while others take their turn (Operation not permitted)"
    )
    assert NotTogether((FP32, INT8)) in others
    assert judgement.exit_code == 0


def test_a_system_that_does_not_stop_who_it_should(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    truly = os.killpg

    def ignore(group: int, number: int) -> None:
        if number != signal.SIGSTOP:
            truly(group, number)

    monkeypatch.setattr(os, "killpg", ignore)
    monkeypatch.setattr("perfsuite.runner.process.STOP_S", 0.1)
    with pytest.raises(Unsupported, match=r"0\.1 s after SIGSTOP one was not stopped"):
        measured(project)


def test_one_that_is_not_stopped_where_others_were_fails_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    truly, groups = os.killpg, list[int]()

    def ignore(group: int, number: int) -> None:
        if number == signal.SIGSTOP and group not in groups:
            groups.append(group)
        if number != signal.SIGSTOP or group == groups[0]:
            truly(group, number)

    monkeypatch.setattr(os, "killpg", ignore)
    monkeypatch.setattr("perfsuite.runner.process.STOP_S", 0.5)
    one, other = measured(project)
    assert one.status == "ok", one.error
    assert other.error is not None
    assert (other.status, other.error.message) == (
        "failed",
        "0.5 s after SIGSTOP one was not stopped: killed, as it would disturb the others",
    )


STRAYING = """
import os, time
from perfsuite.runtimes.fake import runtime

class Straying(runtime.Fake):
    name = "straying"

    def open(self, folder, manifest, options):
        if runtime.script(manifest, options.batch).kernels:
            child = os.fork()
            if child == 0:
                os.setsid()
                time.sleep(600)
            open({pid!r}, "w").write(str(child))
        return super().open(folder, manifest, options)
"""


def test_what_a_worker_started_in_a_session_of_its_own_stops_and_ends_with_it(
    project: Project,
) -> None:
    pid = project.folder / "pid"
    (project.folder / "straying.py").write_text(STRAYING.format(pid=str(pid)))
    text = project.suite.read_text()
    project.suite.write_text(text.replace('"fake"', '"straying.py:Straying"'))
    project.script({})
    made = jobs(project)
    project.script({"*/fp32/*": {"kernels": {"a": 0.5}}, "*": {}})
    states: list[str] = []

    def begin(job: Job) -> None:
        if job.cell.recipe == "int8":
            child = int(pid.read_text())
            wait_until(lambda: status(child)[0] == "T", "the child to be stopped, too")
            states.append("stopped")

    assert [line.status for line in measure_in_turns(made, begin)] == ["ok", "ok"]
    assert states == ["stopped"]
    child = int(pid.read_text())
    wait_until(lambda: not is_running(child), "the child to end")


def test_a_run_removes_what_a_killed_one_left(project: Project) -> None:
    left = Path(tempfile.gettempdir()) / f"{PREFIX}left"
    left.mkdir()
    (left / "job.json").touch()
    os.utime(left, (1.0, 1.0))
    process = project.start()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert not left.exists()
