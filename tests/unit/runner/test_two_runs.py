"""Two runs on one machine at once: the second is told, and waits with what it measures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from another_run import other, said
from fake_runs import Project, wait_until

from perfsuite.store.machine_lock import VARIABLE


def test_the_second_is_told_and_measures_when_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, monkeypatch)
    first = other(Path(os.environ[VARIABLE]))
    assert said(first) == "held"
    process = project.start()

    def prepared() -> bool:
        return [line.job for line in project.lines()] == ["prepare", "prepare"] + ["evaluate"] * 2

    wait_until(lambda: (project.out / "run.jsonl").exists() and prepared(), "what needs no lock")
    assert process.stdout is not None
    warning = f"warning: another run (/runs/other, process {first.pid}) measures on this machine"
    assert process.stdout.readline().startswith(warning)
    assert prepared()
    first.communicate("\n")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert output.count("another run (") == 1  # and among the warnings at the end
    assert len(project.lines()) == 2 * (1 + 1 + 1 + 2)
