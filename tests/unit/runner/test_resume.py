"""Runs that are cut short, in processes of their own, and gone on with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from fake_runs import (
    FP32,
    INT8,
    KINDS,
    Project,
    hang_in,
    here,
    is_running,
    names,
    stop,
    wait_until,
)

from perfsuite import api
from perfsuite.errors import ConfigError, Incomparable, SchemaError
from perfsuite.runner import schedule
from perfsuite.store.runs import load_run

ALL = {
    *((key, kind, None) for key in (FP32, INT8) for kind in KINDS),
    *((key, "measure", number) for key in (FP32, INT8) for number in (0, 1)),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return Project(tmp_path, monkeypatch)


def test_killed_in_the_middle_and_resumed(project: Project) -> None:
    process = project.start()
    worker = hang_in(project, process, done=7)
    code, _, _ = stop(process, signal.SIGKILL)
    assert code == -signal.SIGKILL
    wait_until(lambda: not is_running(worker), "the worker to die with its parent", 10.0)
    file = project.out / "run.jsonl"
    before = file.read_bytes()
    done = names(project.lines())
    assert 7 <= len(done) < len(ALL)
    project.script({})
    resumed = project.start("--resume")
    output = resumed.communicate(timeout=120)[0]
    assert resumed.returncode == 0, output
    assert file.read_bytes().startswith(before)
    after = names(project.lines())
    assert after[: len(done)] == done
    assert len(after) == len(ALL), "nothing that was finished was done again"
    assert set(after) == ALL
    assert {record.status for record in load_run(project.out).records.values()} == {"ok"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(project: Project, number: signal.Signals) -> None:
    process = project.start("--only", "net/*", "--only", FP32)
    worker = hang_in(project, process, done=3)
    kept = (project.out / "run.jsonl").read_bytes()
    code, output, took_s = stop(process, number)
    assert code == 130
    assert took_s < 5.0
    assert not is_running(worker)
    assert (project.out / "run.jsonl").read_bytes() == kept
    assert "interrupted; what was finished is kept. Go on with:" in output
    again = (
        f"  perfsuite run {project.suite} -o {project.out} --only 'net/*' --only {FP32} --resume\n"
    )
    assert output.endswith(again)
    assert "Traceback" not in output
    project.script({})
    _, run, judgement = api.run(project.suite, project.out, only=("net/*", FP32), resume=True)
    assert {record.status for record in run.records.values()} == {"ok"}
    assert judgement.exit_code == 0


def test_a_second_run_into_the_same_folder_is_refused(project: Project) -> None:
    first = project.start()
    hang_in(project, first, done=0)
    for options in ((), ("--resume",)):
        second = project.start(*options)
        output = second.communicate(timeout=60)[0]
        assert second.returncode == 2
        assert output.startswith(f"error: {project.out}: another process is writing there")
    stop(first, signal.SIGKILL)


def finished(project: Project, keep: int | None = None) -> list[bytes]:
    """Make a whole run and keep its header and its first `keep` lines."""
    project.script({})
    api.run(project.suite, project.out)
    rows = (project.out / "run.jsonl").read_bytes().splitlines(keepends=True)
    if keep is not None:
        (project.out / "run.jsonl").write_bytes(b"".join(rows[: 1 + keep]))
    return rows


def test_a_torn_last_line_is_cut_off_and_told(project: Project) -> None:
    rows = finished(project, keep=6)
    file = project.out / "run.jsonl"
    file.write_bytes(file.read_bytes() + rows[7][:40])
    _, run, judgement = api.run(project.suite, project.out, resume=True)
    assert judgement.warnings[0] == f"{file}: line 8, the last, is torn and was skipped"
    assert file.read_bytes().startswith(b"".join(rows[:7]))
    assert names(project.lines()) == [
        (row["key"], row["job"], row.get("round")) for row in map(json.loads, rows[1:])
    ]
    assert judgement.exit_code == 0
    assert {record.status for record in run.records.values()} == {"ok"}


def test_resuming_a_whole_run_does_nothing(project: Project) -> None:
    finished(project)
    before = (project.out / "run.jsonl").read_bytes()
    api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before


def test_what_failed_is_not_tried_again(project: Project) -> None:
    project.script({INT8: {"build": "raise"}})
    api.run(project.suite, project.out)
    before = (project.out / "run.jsonl").read_bytes()
    project.script({})
    _, run, _ = api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before
    assert [record.status for record in run.records.values()] == ["ok", "failed"]


def test_a_cell_whose_measuring_failed_is_left_alone(project: Project) -> None:
    """The failure is in the journal, and not only in the process that saw it."""
    rows = finished(project)
    lines = [json.loads(row) for row in rows[1:]]
    first = next(i for i, one in enumerate(lines) if (one["key"], one.get("round")) == (INT8, 0))
    lines[first] = {name: lines[first][name] for name in ("cell", "key", "job", "round")}
    lines[first] |= {"status": "failed", "error": {"kind": "Killed", "message": "by signal 9"}}
    kept = [row for row in lines[: first + 1] if (row["key"], row["job"]) != (FP32, "measure")]
    before = rows[0] + b"".join(json.dumps(one).encode() + b"\n" for one in kept)
    (project.out / "run.jsonl").write_bytes(before)
    _, run, _ = api.run(project.suite, project.out, resume=True)
    assert names(project.lines())[len(kept) :] == [(FP32, "measure", 0), (FP32, "measure", 1)]
    assert [record.status for record in run.records.values()] == ["ok", "failed"]


def kept_with(project: Project, rows: list[bytes], kept: list[dict[str, object]]) -> None:
    """Write a journal that has the header of `rows`, and these lines."""
    text = b"".join(json.dumps(one).encode() + b"\n" for one in kept)
    (project.out / "run.jsonl").write_bytes(rows[0] + text)


def failed(line: dict[str, object], **more: object) -> dict[str, object]:
    """Return a failed line instead of one that ended well."""
    named = {name: line[name] for name in ("cell", "key", "job", "round")}
    return {**named, **more, "status": "failed", "error": {"kind": "Killed", "message": "gone"}}


def test_a_cell_whose_further_process_failed_is_left_alone(project: Project) -> None:
    rows = finished(project)
    lines = [json.loads(row) for row in rows[1:]]
    kept = [one for one in lines if one["job"] != "measure" or one["round"] == 0]
    first = next(one for one in kept if (one["key"], one["job"]) == (INT8, "measure"))
    kept.append(failed(first, part=1))
    kept_with(project, rows, kept)
    _, run, _ = api.run(project.suite, project.out, resume=True)
    assert names(project.lines())[len(kept) :] == [(FP32, "measure", 1)]
    assert [record.status for record in run.records.values()] == ["ok", "failed"]


def test_a_cell_that_failed_in_one_round_is_not_inspected_in_the_next(project: Project) -> None:
    project.write(
        f"""
[[budgets]]
name        = "body"
metric      = "stage_s"
stage       = "body"
cell        = "{INT8}"
against     = "{FP32}"
min_speedup = 0.1
"""
    )
    net = (project.folder / "net.py").read_text()
    net = net.replace("build=never", 'build=never, stages=(Stage("body", ("body",)),)')
    (project.folder / "net.py").write_text(net.replace("import Model,", "import Model, Stage,"))
    rows = finished(project)
    lines = [json.loads(row) for row in rows[1:]]
    kept = [one for one in lines if one["job"] in ("prepare", "evaluate")]
    inspected = {one["key"]: one for one in lines if one["job"] == "inspect" and one["round"] == 0}
    kept += [inspected[FP32], failed(inspected[INT8])]
    kept_with(project, rows, kept)
    api.run(project.suite, project.out, resume=True)
    assert names(project.lines())[len(kept) :] == [
        (FP32, "inspect", 1),
        (FP32, "measure", 0),
        (FP32, "measure", 1),
    ]


def changed(project: Project, *path: str, value: object) -> None:
    """Change one field of the header."""
    file = project.out / "run.jsonl"
    first, _, rest = file.read_text().partition("\n")
    header = json.loads(first)
    inner = header
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(f"{json.dumps(header)}\n{rest}")


def resume_fails(project: Project, error: type[Exception], message: str) -> None:
    before = (project.out / "run.jsonl").read_bytes()
    for _ in range(2):  # the second time shows that the folder's lock was let go
        with pytest.raises(error, match=message):
            api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before


def test_another_machine_is_refused(project: Project) -> None:
    finished(project, keep=3)
    changed(project, "environment", "must_match", "processor", value="Another 9000")
    resume_fails(project, Incomparable, r"another machine \(Another 9000\)")


def test_other_versions_are_refused(project: Project) -> None:
    finished(project, keep=3)
    changed(project, "environment", "subject", "numpy", value="0.1")
    resume_fails(project, Incomparable, r"versions have changed .*numpy 0\.1 to ")


def test_another_suite_is_refused(project: Project) -> None:
    finished(project, keep=3)
    project.write(processes=3)
    resume_fails(project, ConfigError, "the suite, --only or --quick have changed")


def test_a_newer_schema_is_refused(project: Project) -> None:
    finished(project, keep=3)
    changed(project, "schema", value=99)
    resume_fails(project, SchemaError, "schema 99; this one reads up to 1: upgrade perfsuite")


def test_a_changed_plug_in_is_prepared_anew_in_a_new_run_only(project: Project) -> None:
    finished(project, keep=2)
    net = project.folder / "net.py"
    net.write_text(net.read_text() + "\n# changed\n")
    resume_fails(project, Incomparable, "net.py has changed since this run began")
    other = project.folder / "other"
    _, run, _ = api.run(project.suite, other)
    artifacts = {one.artifact for one in run.records.values()}
    assert not artifacts & {line.artifact for line in project.lines()}


def test_the_newest_run_of_the_suite_is_gone_on_with(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    with pytest.raises(ConfigError, match="there is no run of 'suite' to go on with"):
        api.run(project.suite, resume=True)
    for name in ("suite-20250101-000000", "suite-20260101-000000", "suite-b-20270101-000000"):
        api.run(project.suite, Path("reports") / name)
    folder, _, _ = api.run(project.suite, resume=True)
    assert folder == Path("reports/suite-20260101-000000")


def test_what_was_cached_is_inspected_after_the_first_round(project: Project) -> None:
    """What was built now is inspected before, so that a wrong build costs no measuring."""
    api.run(project.suite, project.out, only=FP32)
    api.run(project.suite, project.folder / "both")
    project.out = project.folder / "both"
    done = names(project.lines())
    inspected = [done.index((key, "inspect", None)) for key in (FP32, INT8)]
    rounds = [[done.index((key, "measure", number)) for key in (FP32, INT8)] for number in range(2)]
    assert inspected[1] < min(rounds[0])
    assert max(rounds[0]) < inspected[0] < min(rounds[1])
    assert [line.cached for line in project.lines()[:2]] == [True, False]
