"""The command `optimize`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from searches import SearchProject

import perfsuite
from perfsuite.cli import main
from perfsuite.domain.record import Line
from perfsuite.runner.job import Job
from perfsuite.search import optimizing

TARGET = ("--speedup", "5", "--max-drop-points", "1", "--runtime", "fake", "--threads", "1")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchProject:
    found = SearchProject(tmp_path, monkeypatch)
    search = optimizing.optimize

    def here(*given: Any, **options: Any) -> perfsuite.Optimized:
        return search(*given, **options, execute=lambda job: found.execute(job))

    monkeypatch.setattr(optimizing, "optimize", here)
    return found


def optimized(project: SearchProject, *options: str) -> tuple[int, str, str]:
    given = ["optimize", "net.py:net", "-o", str(project.out), *TARGET, *options]
    done = CliRunner().invoke(main, given, catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_a_target_that_is_met(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    code, output, shown = optimized(project)
    assert code == 0
    assert "int8 on fake meets the target" in output
    assert f"kept in {project.out}" in output.replace("\n", "")
    assert "the net as it is, on all engines" in shown


def test_a_target_that_is_not_met_for_a_program(project: SearchProject) -> None:
    code, output, _ = optimized(project, "--json")
    assert code == 1
    found = json.loads(output)
    assert (found["schema"], found["exit_code"], found["workload"]) == (1, 1, "net")
    assert found["candidates"][0]["words"] == "the best found"
    assert json.loads((project.out / "optimize.json").read_text()) == found


def test_whether_it_was_shipped_is_told_beside_what_a_program_reads(
    project: SearchProject,
) -> None:
    code, output, shown = optimized(project, "--json", "--ship", str(project.folder / "shipped"))
    assert (code, json.loads(output)["exit_code"]) == (1, 1)
    assert "not shipped: the target is not proven to be met" in shown


def test_bad_input_is_an_error_of_one_line(project: SearchProject) -> None:
    code, _, shown = optimized(project, "--versus", "pytorch/fp32")
    assert code == 2
    assert shown.startswith("error: --versus 'pytorch/fp32': 'pytorch' is none of the runtimes")


def test_an_interrupted_search_says_how_it_goes_on(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = project.execute

    def interrupted(job: Job) -> Line:
        if len(project.jobs) == 3:
            raise KeyboardInterrupt
        return do(job)

    monkeypatch.setattr(project, "execute", interrupted)
    given = ["perfsuite", "optimize", "net.py:net", "-o", "search", *TARGET]
    monkeypatch.setattr("sys.argv", given)
    code, _, shown = optimized(project)
    assert code == 130
    assert "what was finished is kept. Go on with:" in shown
    assert f"  {' '.join(given)} --resume" in shown
    monkeypatch.setattr(project, "execute", do)
    assert optimized(project, "--resume")[0] == 1
