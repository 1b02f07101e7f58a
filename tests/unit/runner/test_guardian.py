"""What stopped workers have started does not outlive a run that is killed."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_runs import Project, children, is_running, status, wait_until, workers

from perfsuite.runner import guardian_process
from perfsuite.runner.guardian import SCRIPT, Guardian
from perfsuite.runner.guardian_process import look

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs proc(5)")

# A worker with a child in its own group, and one in a session of its own.
FERTILE = """
import os, pathlib, time
from perfsuite.runtimes.fake import runtime

class Fertile(runtime.Fake):
    name = "fertile"

    def open(self, folder, manifest, options):
        if runtime.script(manifest, options.batch).kernels:
            for apart in (False, True):
                child = os.fork()
                if child == 0:
                    if apart:
                        os.setsid()
                    time.sleep(600)
                with open({file!r}, "a") as file:
                    file.write(f"{{child}}\\n")
        return super().open(folder, manifest, options)
"""


def test_nobody_is_left_of_a_killed_run_that_had_stopped_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, file = Project(tmp_path, monkeypatch), tmp_path / "children"
    (tmp_path / "fertile.py").write_text(FERTILE.format(file=str(file)))
    project.script({"*/fp32/*": {"latencies_s": [0.0001]}, "*": {"latencies_s": [0.0001]}})
    project.write(processes=200)
    text = project.suite.read_text()
    project.suite.write_text(text.replace('"fake"', '"fertile.py:Fertile"'))
    process = project.start()
    lines = project.out / "run.jsonl"
    wait_until(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 6, "cells are ready")
    project.script({"*": {"latencies_s": [0.0001], "kernels": {"a": 0.5}}})

    def stopped() -> list[int]:
        found = list(map(int, file.read_text().split())) if file.exists() else []
        alive = [child for child in found if is_running(child)]
        return alive if len(alive) >= 2 and all(status(pid)[0] == "T" for pid in alive) else []

    left = wait_until(stopped, "children that are stopped")
    left += workers(process.pid)
    assert len(children(process.pid)) > len(workers(process.pid)), "there is a guardian"
    everyone = {*left, *children(process.pid)}
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(is_running, everyone)), "all of them to end", 20.0)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that sleeps in a group of its own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    made = Guardian()
    yield made
    made.close()


def test_what_it_was_told_of_ends_with_it(
    guardian: Guardian, sleeper: subprocess.Popen[bytes]
) -> None:
    guardian.watch(sleeper.pid)
    guardian.close()
    assert sleeper.wait(5.0) == -signal.SIGKILL


def test_single_processes_end_with_it(guardian: Guardian, sleeper: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["true"], start_new_session=True) as worker:
        guardian.watch(worker.pid)
        guardian.watch_strays([sleeper.pid])
        guardian.close()
    assert sleeper.wait(5.0) == -signal.SIGKILL


def test_what_it_was_told_to_forget_is_left_alone(
    guardian: Guardian, sleeper: subprocess.Popen[bytes]
) -> None:
    guardian.watch(sleeper.pid)
    guardian.forget([sleeper.pid])
    guardian.close()
    assert sleeper.poll() is None


@pytest.mark.parametrize(("kind", "later"), [("group", 1), ("process", 1), ("process", -1)])
def test_another_process_of_the_same_number_is_left_alone(
    guardian: Guardian, sleeper: subprocess.Popen[bytes], kind: str, later: int
) -> None:
    """A group's members begin after the worker that it is named after, and not before."""
    start = look(sleeper.pid)[3]
    assert not guardian_process.end({sleeper.pid: (kind, start + later)})
    assert guardian_process.end({sleeper.pid: (kind, start)})
    assert sleeper.wait(5.0) == -signal.SIGKILL


def test_it_is_told_in_lines() -> None:
    told: guardian_process.Told = {}
    for line in ("group 12 345", "process 13 346", "forget 12", "forget 99"):
        guardian_process.note(told, line.split())
    assert told == {13: ("process", 346)}


def test_a_guardian_that_is_gone_stops_nobody(
    guardian: Guardian, sleeper: subprocess.Popen[bytes]
) -> None:
    guardian.watch(sleeper.pid)
    assert guardian._process is not None
    guardian._process.kill()
    guardian._process.wait()
    guardian.forget([sleeper.pid])
    guardian.close()
    assert sleeper.poll() is None


def test_without_anybody_to_watch_there_is_none(guardian: Guardian) -> None:
    guardian.forget([1])
    guardian.watch_strays([1])
    assert guardian._process is None


def test_it_imports_next_to_nothing() -> None:
    """It lives beside measurements."""
    nodes = ast.walk(ast.parse(SCRIPT.read_text()))
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"contextlib", "os", "select", "signal", "sys"}
