"""The surroundings that a worker process is started in."""

from __future__ import annotations

import pytest
from fake_runs import Project

from perfsuite.config.loading import load_suite
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import THREAD_VARIABLES, _environment


@pytest.fixture
def job(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Job:
    project = Project(tmp_path, monkeypatch)  # type: ignore[arg-type]
    project.suite.write_text(project.suite.read_text().replace("threads   = 1", "threads   = 2"))
    suite, cells, _ = load_suite(project.suite)
    return first_job(suite, cells[0])


def test_the_suites_threads_win_over_those_of_the_users_shell(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "7")
    given = _environment(job)
    assert {name: given[name] for name in ("OMP_NUM_THREADS", *THREAD_VARIABLES)} == {
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
    }


def test_all_else_of_the_users_shell_stays(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_LICENCE", "yes")
    assert _environment(job)["MY_LICENCE"] == "yes"


def test_cuda_counts_cards_as_nvml_does_unless_the_user_says_otherwise(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    assert _environment(job)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    assert _environment(job)["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
