"""Full disks: how they are told, and that nothing is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_runs import Project, here

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.errors import BuildError, DiskFull, ParityError, Unsupported
from perfsuite.runner import schedule
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.process import run_job_in_process
from perfsuite.store import room
from perfsuite.store.cache import Cache
from perfsuite.user_code import user_code


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_explained(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskFull) as caught, room.room_for(tmp_path):
        raise OSError(number, "it is full")
    assert str(caught.value) == (
        f"{tmp_path}: the disk is full (it is full); make room, or let PERFSUITE_HOME name "
        "a folder on another disk"
    )
    with pytest.raises(DiskFull, match=r"\(full\); make room$"), room.room_for(tmp_path, ""):
        raise OSError(number, "full")


def test_other_errors_of_the_system_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), room.room_for(tmp_path):
        raise OSError(errno.EISDIR, "a folder")


MB = 1024 * 1024


@pytest.mark.parametrize(
    ("user", "free", "available", "files", "full"),
    [
        (1000, 500 * MB, 0, 9, True),  # the last blocks are kept for root
        (0, 500 * MB, 0, 9, False),
        (0, MB - 4096, 0, 9, True),
        (1000, 900 * MB, MB, 9, False),
        (1000, 900 * MB, 900 * MB, 0, True),  # no places for further files
    ],
)
def test_whatever_fails_on_a_full_disk_fails_for_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    user: int,
    free: int,
    available: int,
    files: int,
    full: bool,
) -> None:
    found = SimpleNamespace(
        f_blocks=1,
        f_frsize=4096,
        f_bfree=free // 4096,
        f_bavail=available // 4096,
        f_files=10,
        f_favail=files,
    )
    monkeypatch.setattr(os, "statvfs", lambda folder: found)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(DiskFull if full else BuildError), room.filling(tmp_path):
        raise BuildError("an engine could not write")


@pytest.mark.parametrize(
    "counts",
    [
        {"f_blocks": 1, "f_bfree": 9999, "f_bavail": 9999},  # of files alone
        {"f_blocks": 0, "f_bfree": 0, "f_bavail": 0},
    ],
)
def test_a_file_system_that_does_not_count_is_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    found = SimpleNamespace(f_frsize=4096, f_files=0, f_favail=0, **counts)
    monkeypatch.setattr(os, "statvfs", lambda folder: found)
    with pytest.raises(BuildError), room.filling(tmp_path):
        raise BuildError("for another reason")


@pytest.mark.parametrize("raised", [Unsupported("by it"), ParityError("it answers otherwise")])
def test_what_is_wrong_with_a_cell_is_so_on_a_full_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    monkeypatch.setattr(room, "_is_full", lambda folder: True)
    with pytest.raises(type(raised)), room.filling(tmp_path):
        raise raised


def test_the_cache_tells_it_before_what_was_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_is_full", lambda folder: any(folder.iterdir()))

    def make(folder: Path) -> None:
        (folder / "model.bin").write_bytes(b"half of it")
        with user_code("an engine: its build()"):
            raise RuntimeError("writing failed")

    with pytest.raises(DiskFull, match="the disk is full"):
        Cache(tmp_path).build("artifact", "a" * 64, make)
    assert Cache(tmp_path).get("artifact", "a" * 64) is None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def run_with(project: Project, execute: Callable[[Job], Line], *, resume: bool = False) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
        api.run(project.suite, project.out, resume=resume)


@pytest.mark.parametrize("kind", ["prepare", "evaluate", "measure"])
def test_a_run_ends_and_goes_on_once_there_is_room(project: Project, kind: str) -> None:
    def execute(job: Job) -> Line:
        if job.kind != kind:
            return here(job)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("perfsuite.runner.worker._body", lambda *_: full)
            return here(job)

    def full(job: Job) -> Line:
        with room.room_for(Path("/a/file")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFull, match=r"/a/file: the disk is full .*--resume: nothing measured"):
        run_with(project, execute)
    assert kind not in [line.job for line in project.lines()]
    run_with(project, here, resume=True)
    assert {line.status for line in project.lines()} == {"ok"}


def test_a_worker_without_room_for_its_line_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full takes nothing."""
    jobs: list[Job] = []

    def execute(job: Job) -> Line:
        jobs.append(job)
        return line_of(job, status="failed")

    run_with(project, execute)
    touched = Path.touch

    def touch(path: Path, *given: object) -> None:
        touched(path)
        (path.parent / "line.json").symlink_to("/dev/full")

    monkeypatch.setattr(Path, "touch", touch)
    line = run_job_in_process(jobs[0])
    assert line.error is not None and line.error.kind == "DiskFull", line
    assert "its line was not written" in line.error.message and "TMPDIR" in line.error.message
    with pytest.raises(DiskFull):
        room.require_room(line)
