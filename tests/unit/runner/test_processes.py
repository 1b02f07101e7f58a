"""What a run says where the system lets it start no more workers."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fake_runs import Project
from taking_turns import jobs

from perfsuite.errors import PerfsuiteError
from perfsuite.runner.processes import Processes


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EAGAIN, r"no more processes \(.*\): raise the limit \(ulimit -u; of a container"),
        (errno.EMFILE, r"no more files to be open at once \(.*\): raise the limit \(ulimit -n\)"),
        (errno.ENOMEM, r"no more memory \(.*\): end other programs"),
    ],
)
def test_what_a_system_gives_no_more_of_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    made = jobs(project)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("perfsuite.runner.process.subprocess.Popen", refuse)
    with Processes(lambda key, text: None) as processes:
        with pytest.raises(PerfsuiteError, match=f"{said}.*--resume"):
            processes.together(made, lambda job: None, {})
        with pytest.raises(PerfsuiteError, match=f"{said}.*--resume"):
            processes.execute(made[0])


def test_other_errors_of_the_system_are_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    made = jobs(project)
    monkeypatch.setattr("perfsuite.runner.process.subprocess.Popen", refuse)
    with Processes(lambda key, text: None) as processes, pytest.raises(PermissionError):
        processes.execute(made[0])
