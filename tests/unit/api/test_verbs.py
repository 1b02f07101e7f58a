"""The verbs: what they refuse before anything is measured, and what they remember."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_runs import FP32, INT8, Project, here

from perfsuite import api
from perfsuite.config.run_plan import read_durations, write_durations
from perfsuite.domain.judgement import OfOtherRun, Quick
from perfsuite.domain.record import Line
from perfsuite.domain.suite import Evaluate
from perfsuite.errors import ConfigError
from perfsuite.runner import schedule
from perfsuite.runner.job import Job


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return Project(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run in which int8 is five times faster, with a budget that says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", "")
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
        project = Project(tmp_path_factory.mktemp("stored"), patch)
        project.write(
            '[[budgets]]\nname = "fast"\nmetric = "latency_s"\ncell = "net/int8/*"\n'
            'against = "net/fp32/*"\nmin_speedup = 4.0',
            processes=4,
        )
        project.script({FP32: {"latencies_s": [0.005]}, INT8: {"latencies_s": [0.001]}})
        api.run(project.suite, project.out)
        yield project.out


def changed(run: Path, to: Path, change: Any) -> Path:
    """Write a copy of a run with each row (a decoded line) changed."""
    rows = [json.loads(row) for row in (run / "run.jsonl").read_text().splitlines()]
    for row in rows:
        change(row)
    to.mkdir()
    (to / "run.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return to


def slower(row: dict[str, Any], by: float = 1.2, cells: tuple[str, ...] = (FP32, INT8)) -> None:
    for one in row.get("measurements", ()):
        if one["metric"] == "latency_s" and row["key"] in cells:
            one["samples"] = [by * sample for sample in one["samples"]]


def elsewhere(row: dict[str, Any], compare: str = "absolute") -> None:
    if "environment" in row:
        row["environment"]["must_match"]["processor"] = "Another 9000"
        row["suite"]["compare"] = compare


def in_ratios(row: dict[str, Any]) -> None:
    if "suite" in row:
        row["suite"]["compare"] = "ratio"


def test_a_run_against_itself_passes(stored: Path) -> None:
    assert api.gate(stored, stored).exit_code == 0


def test_a_slower_run_is_regressed_and_its_cells_are_named(stored: Path, tmp_path: Path) -> None:
    judgement = api.gate(changed(stored, tmp_path / "slow", slower), stored).judgement
    assert judgement.exit_code == 1
    bad = {verdict.cell for verdict in judgement.verdicts if verdict.status == "regressed"}
    assert bad == {FP32, INT8}


def test_another_machine_is_judged_in_ratios_alone(stored: Path, tmp_path: Path) -> None:
    other = changed(stored, tmp_path / "other", elsewhere)
    judgement = api.gate(stored, other).judgement
    assert judgement.exit_code == 3
    assert {one.status for one in judgement.verdicts} == {"pass", "incomparable"}
    here_ = changed(stored, tmp_path / "here", in_ratios)
    there = changed(stored, tmp_path / "there", lambda row: elsewhere(row, "ratio"))
    assert api.gate(here_, there).exit_code == 0

    def half(row: dict[str, Any]) -> None:
        in_ratios(row)
        slower(row, by=1.2, cells=(INT8,))

    judgement = api.gate(changed(stored, tmp_path / "half", half), there).judgement
    assert judgement.exit_code == 1
    assert {one.cell for one in judgement.verdicts if one.status == "regressed"} == {INT8}


@pytest.mark.parametrize("format_", ["md", "csv", "json"])
def test_report(stored: Path, format_: str) -> None:
    alone, against = api.report(stored, format_), api.report(stored, format_, stored)
    assert "net" in alone
    if format_ == "json":
        rows = json.loads(against)
        assert [row["key"] for row in rows["rows"]] == [FP32, INT8]
        assert rows["judgement"]["exit_code"] == 0


def test_compare(stored: Path, tmp_path: Path) -> None:
    found = api.compare(stored, changed(stored, tmp_path / "slow", slower))
    ratios = [change.latency_ratio.value for change in found.changes if change.latency_ratio]
    assert ratios == [pytest.approx(1.2), pytest.approx(1.2)]


def test_a_missing_baseline_costs_no_run(project: Project) -> None:
    with pytest.raises(ConfigError, match="nowhere: there is no such run folder"):
        api.run(project.suite, project.out, baseline=project.folder / "nowhere")
    assert not project.out.exists()


def test_a_folder_with_a_run_is_not_written_to(project: Project) -> None:
    api.run(project.suite, project.out, only=FP32)
    before = (project.out / "run.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="there is a run already; choose another folder"):
        api.run(project.suite, project.out)
    assert (project.out / "run.jsonl").read_bytes() == before


def test_a_run_is_asked_for_in_strings_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    judged = api.run("suite.toml", "run", only=FP32)
    assert judged.folder == Path("run")
    again = api.run("suite.toml", "run", only=FP32, baseline="run", resume=True)
    assert again.exit_code == 0
    assert {verdict.budget for verdict in again.judgement.verdicts} == {"regression"}


def test_only_leaves_out_what_it_did_not_choose(project: Project) -> None:
    project.write(
        '[[expect]]\nrecipe = "int8"\nstatus = "unsupported"\nreason = "r"\n'
        '[[budgets]]\nname = "fast"\nmetric = "latency_s"\ncell = "net/int8/*"\n'
        'against = "net/fp32/*"\nmin_speedup = 2.0'
    )
    _, run, judgement = api.run(project.suite, project.out, only="*/fp32/*")
    assert [record.cell.key for record in run.records.values()] == [FP32]
    assert judgement.exit_code == 0
    assert judgement.warnings == ("budget 'fast' was left out: --only chose none of its cells",)


def test_only_takes_several_globs(project: Project) -> None:
    both = ("*/int8/*", "*/fp32/*")
    assert {job.cell for job in api.plan(project.suite, only=both).jobs} == {FP32, INT8}
    assert {job.cell for job in api.plan(project.suite, only="*/int8/*").jobs} == {INT8}
    with pytest.raises(ConfigError, match=r"--only 'int8' matches no cell; the cells are"):
        api.plan(project.suite, only=["*/fp32/*", "int8"])


def test_quick_measures_little_and_says_so(project: Project) -> None:
    project.write(processes=8)
    _, run, judgement = api.run(project.suite, project.out, quick=True, only=FP32)
    suite = run.header.suite
    assert (suite.processes, suite.measure.calls) == (3, 10)
    assert suite.evaluate == Evaluate(500)
    assert run.header.quick
    assert judgement.warnings[0] == Quick()
    again = api.show(project.out).judgement
    assert again.warnings[0] == Quick()
    found = api.gate(project.out, project.out).judgement.warnings
    assert OfOtherRun("baseline", Quick()) in found
    assert "too little to be believed" in api.report(project.out, "md")
    assert len(api.compare(project.out, project.out).warnings) == 2


def test_a_plan_touches_nothing(project: Project) -> None:
    before = sorted(project.folder.rglob("*"))
    found = api.plan(project.suite)
    counts = [(job.cell, job.kind, job.count) for job in found.jobs]
    kinds = [("prepare", 1), ("measure", 2), ("evaluate", 1), ("inspect", 1)]
    assert counts == [(key, *kind) for key in (FP32, INT8) for kind in kinds]
    assert sorted(project.folder.rglob("*")) == before


def test_history_keeps_what_the_work_took_and_not_the_cache(project: Project) -> None:
    took = iter([60.0, 5.0, 1.0, 0.5, 0.6, *[2.0, 3.0, 1.5, 0.7, 0.8]])

    def execute(job: Job) -> Line:
        line = here(job)
        fields = {"duration_s": next(took)}
        return type(line)(**{name: getattr(line, name) for name in line.__struct_fields__} | fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
        api.run(project.suite, project.folder / "one", only=FP32)
        expected = {"prepare": 60.0, "evaluate": 5.0, "inspect": 1.0, "measure": 0.6}
        assert read_durations() == {f"{kind}/{FP32}": s for kind, s in expected.items()}
        api.run(project.suite, project.folder / "two", only=FP32)
        # What comes from the cache is inspected after the first round.
        expected |= {"inspect": 0.7, "measure": 0.8}
        assert read_durations() == {f"{kind}/{FP32}": s for kind, s in expected.items()}


def test_a_cached_job_is_remembered_where_nothing_is_known(project: Project) -> None:
    api.run(project.suite, project.folder / "one", only=FP32)
    (project.folder / "home" / "durations.json").unlink()
    write_durations({"prepare/other": 1.0})
    api.run(project.suite, project.folder / "two", only=FP32)
    assert f"prepare/{FP32}" in read_durations()
    assert f"evaluate/{FP32}" in read_durations()
    assert read_durations()["prepare/other"] == 1.0


def test_an_interrupted_run_remembers_too(project: Project) -> None:
    def execute(job: Job) -> Line:
        if job.kind == "evaluate":
            raise KeyboardInterrupt
        return here(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
        with pytest.raises(KeyboardInterrupt):
            api.run(project.suite, project.out)
    assert read_durations().keys() == {f"prepare/{FP32}", f"prepare/{INT8}"}
    api.run(project.suite, project.out, resume=True)  # the folder's lock was let go


def test_init_writes_what_can_be_planned_and_overwrites_nothing(tmp_path: Path) -> None:
    paths = api.init(tmp_path / "new" / "project")
    assert [path.name for path in paths] == ["my_models.py", "suite.toml"]
    assert api.plan(paths[1]).jobs
    paths[0].write_text("mine")
    with pytest.raises(ConfigError, match="there is such a file already"):
        api.init(tmp_path / "new" / "project")
    assert paths[0].read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        api.init(tmp_path / "file" / "project")


def test_listing() -> None:
    found = api.listing()
    kinds = {"workloads", "passes", "students", "runtimes", "formats", "meters", "data"}
    assert set(found) == kinds
    assert {"pytorch", "onnxruntime", "openvino", "fake"} <= set(found["runtimes"])
    assert all(text for entries in found.values() for text in entries.values())
    assert set(api.listing("passes")) == {"passes"}
