"""`perfsuite run --html`: the page lies in the run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_runs import FP32, INT8, Project, here
from page_reading import lines, read_page, section

from perfsuite import api
from perfsuite.cli import main
from perfsuite.domain.profile import Kernel, Profile, Roofline
from perfsuite.errors import PerfsuiteError
from perfsuite.runner import schedule
from perfsuite.runner.jobs import inspect
from perfsuite.runtimes.fake.runtime import FakeSession


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o, **more: schedule.work_off(j, o, here, **more))
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, monkeypatch)
    made.script({FP32: {"latencies_s": [0.008]}, INT8: {"latencies_s": [0.002]}})
    return made


def test_a_run_writes_its_page(project: Project) -> None:
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


def test_a_run_has_a_roofline_where_its_suite_asks_for_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        body = Kernel("conv", "Conv", (0.006,) * calls, origins=("body/Conv",))
        return Profile((0.010,) * calls, (body,))

    def refused(*_: object) -> Roofline:
        raise PerfsuiteError("measuring the roofline failed")

    def page() -> str:
        text = Path("out/report.html").read_text(encoding="utf-8")
        return section(read_page(text), "stages").text

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    monkeypatch.setattr(inspect, "roofline", lambda t, p, seen: Roofline(1e11, 1e10, t, p))
    run = ["run", "suite.toml", "-o", "out", "--html"]
    CliRunner().invoke(main, run, catch_exceptions=False)
    assert "There is no roofline" in page()
    suite = project.suite.read_text()
    project.suite.write_text(f"roofline = true\n{suite}")
    CliRunner().invoke(main, [*run[:3], "other", "--html"], catch_exceptions=False)
    found = api.show("other").run.records.values()
    assert [one.roofline and one.roofline.flops_per_s for one in found] == [1e11, 1e11]
    assert "There is no roofline" not in api.report("other", "html")
    monkeypatch.setattr(inspect, "roofline", refused)
    CliRunner().invoke(main, [*run[:3], "third"], catch_exceptions=False)
    found = api.show("third").run.records.values()
    assert {one.status for one in found} == {"ok"}
    assert all(one.breakdown is not None and one.roofline is None for one in found)
