"""`perfsuite run --html`: the page lies in the run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_runs import FP32, INT8, Project, here
from page_reading import lines, read_page, section

from perfsuite import api
from perfsuite.cli import main
from perfsuite.runner import schedule


def test_a_run_writes_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o, **more: schedule.work_off(j, o, here, **more))
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, monkeypatch)
    project.script({FP32: {"latencies_s": [0.008]}, INT8: {"latencies_s": [0.002]}})
    given = ["run", "suite.toml", "-o", "out", "--html"]
    done = CliRunner().invoke(main, given, catch_exceptions=False)
    assert done.stdout.endswith("wrote out/report.html\n")
    page = read_page(Path("out/report.html").read_text(encoding="utf-8"))
    keys = [one[0] for one in lines(section(page, "cells").all("table")[0])]
    assert keys == [FP32, INT8]
    commands = {one[0]: one[1] for one in lines(section(page, "reproduce").all("table")[0])}
    assert commands[INT8] == f"perfsuite run suite.toml --only {INT8} --only {FP32}"
    again = CliRunner().invoke(main, ["report", "out", "--format", "html"], catch_exceptions=False)
    assert read_page(again.stdout).all("h1")[0].text == page.all("h1")[0].text
