"""Certifying a machine: from a suite, run on the fake engine, to what later runs make of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from certificates import CERTIFICATE
from click.testing import CliRunner
from fake_runs import FP32, INT8, Project, here
from msgspec import json
from msgspec.structs import replace

import perfsuite
from perfsuite import api
from perfsuite.cli import main
from perfsuite.config.certify_suite import certify_suite
from perfsuite.domain.certificate import Certificate, Power
from perfsuite.domain.judgement import NotVisible
from perfsuite.domain.record import Line
from perfsuite.domain.verdict import Interval
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.measure.environment import environment
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.store.certificates import certificate_of, keep
from perfsuite.store.journal import read

BUDGET = """
[[budgets]]
name = "no slower"
metric = "latency_s"
cell = "*/int8/*"
against = "*/fp32/*"
max_increase = 0.02
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.chdir(tmp_path)
    execute(monkeypatch, here)
    return Project(tmp_path, monkeypatch)


def execute(patch: pytest.MonkeyPatch, how: Any) -> None:
    patch.setattr(api, "work_off", lambda j, o, **k: schedule.work_off(j, o, how, **k))


def certified(project: Project, *arguments: str) -> tuple[int, str, str]:
    given = ["certify", str(project.suite), "-o", str(project.out), *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["perfsuite", *given])
        done = CliRunner().invoke(main, given, catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_known_changes_are_found_as_they_are(project: Project) -> None:
    found = perfsuite.certify(project.suite, project.out, quick=True)
    assert [one.cell for one in found.certificate.cells] == [FP32, INT8]
    for cell in found.certificate.cells:
        assert [one.effect for one in cell.changes] == [0.0, 0.03, 0.05, 0.1]
        values = [one.found.value for one in cell.changes]
        assert values == pytest.approx([0.0, 0.03, 0.05, 0.1], abs=1e-6)
    assert (found.certificate.rounds, found.certificate.quick) == (12, True)
    assert found.certificate.suite == "suite"
    assert found.certificate.coverage.value == 1.0
    assert found.certificate.false_alarms.value == 0.0
    assert found.exit_code == 0


def test_nothing_but_preparing_and_measuring_is_done_and_one_artifact_serves_all(
    project: Project,
) -> None:
    found = api.certify(project.suite, project.out, quick=True)
    lines = read(found.folder)[1]
    assert Counter(line.job for line in lines) == {"prepare": 10, "measure": 2 * 5 * 12}
    artifacts = {line.key.split("/")[1].partition("+")[0]: line.artifact for line in lines}
    for line in lines:
        assert line.artifact == artifacts[line.key.split("/")[1].partition("+")[0]]
    assert artifacts["fp32"] != artifacts["int8"]


def test_a_cell_takes_turns_next_to_its_slowed_selves(project: Project) -> None:
    asked = certify_suite(project.suite)
    names = ["fp32", "fp32+0%", "fp32+3%", "fp32+5%", "fp32+10%"]
    assert [cell.recipe for cell in asked.cells[:5]] == names
    assert [one.slowdown for one in asked.suite.recipes[:5]] == [0.0, 0.0, 0.03, 0.05, 0.1]
    assert asked.suite.processes == 30
    assert (asked.suite.looks, asked.suite.budgets, asked.name) == (None, (), "suite")


def test_without_a_suite_small_nets_are_measured() -> None:
    quick, full = certify_suite(None, quick=True), certify_suite(None)
    assert {cell.workload for cell in full.cells} == {"vgg-digits"}
    assert {cell.runtime for cell in full.cells} == {"onnxruntime", "openvino", "pytorch"}
    assert len(full.cells) == 15
    assert len(quick.cells) == 10
    assert quick.name == "built-in"


def test_cells_that_are_expected_not_to_run_are_left_out(project: Project) -> None:
    expect = '[[expect]]\nstatus = "unsupported"\nreason = "why"\nrecipe = "{}"'
    project.write(expect.format("int8"))
    assert {cell.recipe.partition("+")[0] for cell in certify_suite(project.suite).cells} == {
        "fp32"
    }
    project.write(expect.format("*"))
    with pytest.raises(ConfigError, match="every cell is expected not to run"):
        certify_suite(project.suite)


def test_it_says_how_long_and_prints_tables(project: Project) -> None:
    code, out, err = certified(project, "--quick")
    assert code == 0
    assert err.startswith("12 rounds of 10 processes: about ")
    for words in (
        "unchanged",
        "+10 %",
        "false alarms: 0 %",
        "coverage: 100 %",
        "in 24 rounds",
    ):
        assert words in out
    assert "kept in " in out


def test_json_is_the_certificate(project: Project) -> None:
    code, out, _ = certified(project, "--quick", "--json")
    assert code == 0
    found = json.decode(out, type=Certificate)
    assert found == certificate_of(environment().must_match)


def test_what_was_cut_short_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Job] = []

    def interrupted(job: Job) -> Line:
        if len(done) == 33:
            raise KeyboardInterrupt
        done.append(job)
        return here(job)

    execute(monkeypatch, interrupted)
    code, _, err = certified(project, "--quick")
    assert code == 130
    assert f"perfsuite certify {project.suite} -o {project.out} --quick --resume" in err
    assert certificate_of(environment().must_match) is None
    before = read(project.out)[1]
    execute(monkeypatch, here)
    assert certified(project, "--quick", "--resume")[0] == 0
    after = read(project.out)[1]
    assert after[: len(before)] == before
    assert Counter(line.job for line in after)["measure"] >= 120


def test_a_cell_that_fails_leaves_no_certificate(project: Project) -> None:
    project.script({"*": {"run": "raise"}})
    with pytest.raises(PerfsuiteError, match="nothing to certify"):
        api.certify(project.suite, project.out, quick=True)
    assert certificate_of(environment().must_match) is None


def test_that_no_certificate_can_be_kept_is_told_before_anything_is_measured(
    project: Project,
) -> None:
    (project.folder / "home").mkdir()
    (project.folder / "home" / "certificates").write_text("no folder")
    with pytest.raises(ConfigError, match="certificates: cannot be written"):
        api.certify(project.suite, project.out, quick=True)
    assert not project.out.exists()


def test_a_machine_that_misses_large_changes_is_told_by_the_exit_code() -> None:
    assert CERTIFICATE.sees(0.1) and CERTIFICATE.sees(0.03) and not CERTIFICATE.sees(0.2)
    blind = replace(CERTIFICATE, power=(Power(0.1, Interval(0.79, 0.7, 0.9)),))
    assert not blind.sees(0.1)
    file = Path("c.json")
    assert perfsuite.judged_run.Certified(blind, file, file, ()).exit_code == 3
    assert perfsuite.judged_run.Certified(CERTIFICATE, file, file, ()).exit_code == 0


def test_later_runs_keep_it_show_it_and_are_warned_by_it(project: Project) -> None:
    kept = replace(CERTIFICATE, machine=environment().must_match)
    keep(kept)
    project.write(BUDGET, processes=8)
    given = ["run", str(project.suite), "-o", str(project.out)]
    done = CliRunner().invoke(main, given, catch_exceptions=False)
    assert read(project.out)[0].certificate == kept
    assert "this machine sees 3 % in 24 rounds; certified 2026-11-26" in done.stdout
    said = (
        "budget 'no slower' is about changes of 2 %, and this machine sees changes of 7 % in 8 "
        "rounds (certified 2026-11-26): measure more processes"
    )
    assert f"warning: {said}" in done.stderr
    shown = api.show(project.out)
    assert NotVisible("no slower", 0.02, 0.07, 8, "2026-11-26") in shown.judgement.warnings
    assert said in " ".join(done.stdout.split())
    assert "this machine sees 3 % in 24 rounds" in shown.report("md")


def test_a_certificate_of_another_machine_is_not_used(project: Project) -> None:
    keep(replace(CERTIFICATE, machine=replace(environment().must_match, stepping=99)))
    api.run(project.suite, project.out)
    assert read(project.out)[0].certificate is None
