"""What comes after a run's deadline is not begun, and what goes on is cut off."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from fake_runs import Project

from perfsuite.config.loading import load_suite
from perfsuite.domain.record import OUT_OF_TIME, Line
from perfsuite.runner.deadline import Deadline, within
from perfsuite.runner.job import Job, first_job, line_of
from perfsuite.runner.process import run_job_in_process


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    suite, cells, _ = load_suite(Project(tmp_path, monkeypatch).suite)
    return first_job(suite, cells[0])


def done(job: Job) -> Line:
    return line_of(job, status="ok")


def test_without_a_deadline_jobs_are_done_as_they_are(job: Job) -> None:
    assert within(done, None) is done


def test_a_job_may_take_as_long_as_is_left(job: Job) -> None:
    seen: list[float | None] = []

    def execute(one: Job) -> Line:
        seen.append(one.limit_s)
        return done(one)

    deadline = Deadline(time.monotonic() + 50.0, frozenset())
    assert within(execute, deadline)(job).status == "ok"
    (limit_s,) = seen
    assert limit_s is not None and 40.0 < limit_s <= 50.0
    cut = msgspec.structs.replace(job, limit_s=limit_s)
    assert (job.timeout_s, cut.timeout_s) == (86400.0, limit_s)


def test_after_it_nothing_begins_but_what_is_spared_or_timed(job: Job) -> None:
    late = within(done, Deadline(time.monotonic() - 1.0, frozenset()))
    line = late(job)
    assert (line.status, line.cell, line.job) == ("failed", job.cell.id, "prepare")
    assert line.error is not None and line.error.kind == OUT_OF_TIME
    assert late(msgspec.structs.replace(job, kind="measure")).status == "ok"
    spared = within(done, Deadline(time.monotonic() - 1.0, frozenset({job.cell.id})))
    assert spared(job).status == "ok"


def test_a_job_that_goes_on_is_cut_off_and_says_so(job: Job) -> None:
    line = run_job_in_process(msgspec.structs.replace(job, limit_s=0.01))
    assert line.status == "failed"
    assert line.error is not None and line.error.kind == OUT_OF_TIME
    assert line.error.message == "it was cut off after 0 s: the time was up"
