"""Runs on the scripted engine: a workload in a file of its own, a suite, a script."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.runner.worker import run_job
from perfsuite.store.journal import read

NET = '''
"""A workload that needs NumPy alone; the scripted engine never builds its model."""

import zlib

import numpy as np

from perfsuite import Model, Task, Workload


class Numbers(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 4)).astype(np.float32)}

    def rows(self, predict, samples=None):
        x = self.inputs(40, 0)["x"][:samples]
        hot = predict({"x": x})[0].argmax(axis=1)
        right = np.array([zlib.crc32(one.tobytes()) % 10 for one in x])
        right[::4] = 11  # one in four is never right
        return np.stack([hot == right, hot], axis=1).astype(np.float64)

    def metric(self, rows):
        return float(rows[:, 0].mean())


def never():
    raise AssertionError("the scripted engine builds no model")


net = Workload("net", Model(build=never), Numbers())
'''

SUITE = """
workloads = ["net.py:net"]
runtimes  = ["fake"]
threads   = 1
processes = {processes}
measure   = {{ calls = 5, seconds = 0.0, warmup_seconds = 5.0, timeout_seconds = {timeout} }}

[[recipes]]
name   = "int8"
passes = [{{ use = "int8" }}]
{more}
"""
FP32, INT8 = "net/fp32/fake/cpu/b1", "net/int8/fake/cpu/b1"
KINDS = ("prepare", "evaluate", "inspect")


PERFSUITE = (sys.executable, "-m", "perfsuite")


class Project:
    """A folder with a workload, a suite of two cells and a script for the engine."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.suite, self.out = folder, folder / "suite.toml", folder / "run"
        self.script_file = folder / "script.json"
        (folder / "net.py").write_text(NET)
        patch.setenv("PERFSUITE_FAKE", str(self.script_file))
        patch.setenv("PERFSUITE_HOME", str(folder / "home"))
        self.write()
        self.script({})

    def write(self, more: str = "", *, processes: int = 2, timeout: float = 60.0) -> None:
        """Write the suite."""
        self.suite.write_text(SUITE.format(processes=processes, timeout=timeout, more=more))

    def script(self, scripts: dict[str, Any]) -> None:
        """Say what the engine does; the file is replaced whole, as running jobs may read it."""
        beside = self.script_file.with_suffix(".new")
        beside.write_text(json.dumps(scripts))
        beside.replace(self.script_file)

    def lines(self) -> list[Line]:
        """Return the lines of the run."""
        return read(self.out)[1]

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `perfsuite run` in a process of its own."""
        return subprocess.Popen(
            [*PERFSUITE, "run", str(self.suite), "-o", str(self.out), *options],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A shell's background job ignores it, and so would all that the tests start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def here(job: Job) -> Line:
    """Do a job in this process, which is fast: for runs in which nothing crashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", job.cell.key)
        # What earlier tests have loaded into this process is no part of the job.
        patch.setattr("perfsuite.runner.jobs.inspect.loaded", tuple)
        return run_job(job)


def last_job(project: Project) -> Job:
    """Run the project's fp32 cell in this process; return the job that was done last."""
    jobs: list[Job] = []

    def execute(job: Job) -> Line:
        jobs.append(job)
        return here(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
        api.run(project.suite, project.out, only=FP32)
    return jobs[-1]


def names(lines: list[Line]) -> list[tuple[str, str, int | None]]:
    """Return cell, job and round of each line."""
    return [(line.key, line.job, line.round) for line in lines]


def wait_until(condition: Callable[[], Any], what: str, limit_s: float = 60.0) -> Any:
    """Return the first true value of `condition`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {limit_s:g} s")


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def workers(pid: int) -> list[int]:
    """Return the processes that do jobs for `pid`: its children, and those that a server forked.

    The guardian of the run does none.
    """
    found = []
    for child in children(pid):
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"guardian_process" not in command:
            found += children(child) if b"fork_server" in command else [child]
    return found


def status(pid: int) -> tuple[str, int]:
    """Return a process's state (`S` sleeps, `Z` is dead) and its processor time in ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    return fields[0], int(fields[11]) + int(fields[12])  # proc(5): state, utime, stime


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    return status(pid)[0] != "Z"


def hang_in(project: Project, process: subprocess.Popen[str], done: int) -> int:
    """Let the run make `done` lines, then make its worker hang; return that worker."""

    def enough() -> bool:
        file = project.out / "run.jsonl"
        return file.exists() and file.read_bytes().count(b"\n") > done  # the header is one

    wait_until(enough, f"{done} lines")
    project.script({"*": {"run": "hang", "open": "hang"}})

    def hanging() -> int:
        """Return the worker if it sleeps and computes nothing: others have read the old script."""
        for pid in workers(process.pid):
            state = status(pid)
            time.sleep(0.3)
            if state[0] == "S" and status(pid) == state:
                return pid
        return 0

    return int(wait_until(hanging, "a worker that hangs"))


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, float]:
    """Send a signal; return the exit code, the output and the seconds until it ended."""
    started = time.monotonic()
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    return process.returncode, output, time.monotonic() - started
