"""A change that is measured beside its baseline: what is found of it, and what if it is not."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, INT8, Project, here

from perfsuite import api
from perfsuite.config.reading import read_suite
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.record import Line
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.runner import schedule
from perfsuite.runner.baseline import Baseline
from perfsuite.runner.build.artifacts import sources_of
from perfsuite.runner.job import Job, first_job
from perfsuite.store import kept as kept_files
from perfsuite.store.journal import read
from perfsuite.store.runs import load_run


class Two(Project):
    """A project whose baseline lies in `before`, with a latency of its own.

    Jobs are done in this process, one after the other: `latency_s` is what each of a job takes.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, patch)
        patch.setenv("PERFSUITE_CELL", "")
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, self.execute))
        self.before = folder / "before"
        self.latency_s: Callable[[Job], float] = lambda job: 0.01
        self.jobs: list[Job] = []
        self.kernels: dict[str, float] = {}
        self.breaks: Callable[[Job], bool] = lambda job: False

    def execute(self, job: Job) -> Line:
        self.jobs.append(job)
        broken = {"run": "raise"} if self.breaks(job) else {}
        self.script(
            {"*": {"latencies_s": [self.latency_s(job)], "kernels": self.kernels, **broken}}
        )
        return here(job)

    def change(self) -> None:
        """Change the workload's source, from which new artifacts follow."""
        file = self.folder / "net.py"
        file.write_text(file.read_text() + "\n# changed\n")

    def forget(self) -> None:
        """Remove the artifacts from the cache."""
        shutil.rmtree(self.folder / "home" / "cache" / "artifact")

    def beside(self) -> list[Line]:
        return [line for line in self.lines() if line.baseline]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    made = Two(tmp_path, monkeypatch)
    api.run(made.suite, made.before, keep_artifacts=True)
    return made


def reasons(project: Two) -> set[str]:
    return {
        line.error.message
        for line in project.beside()
        if line.status == "unavailable" and line.error is not None
    }


def test_the_same_is_measured_beside_itself(project: Two) -> None:
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before)
    assert judgement.exit_code == 0
    measured = [line for line in project.lines() if line.job == "measure"]
    assert [(line.key, line.round, line.baseline, line.order) for line in measured] == [
        (FP32, 0, False, 0),
        (FP32, 0, True, 1),
        (INT8, 0, False, 2),
        (INT8, 0, True, 3),
        (INT8, 1, True, 0),
        (INT8, 1, False, 1),
        (FP32, 1, True, 2),
        (FP32, 1, False, 3),
    ]
    assert len({line.together for line in measured}) == 1
    prepared = [line for line in project.beside() if line.job == "prepare"]
    assert [(line.key, line.status) for line in prepared] == [(FP32, "ok"), (INT8, "ok")]
    assert run.header.baseline == str(project.before)
    assert {record.status for record in run.beside.values()} == {"ok"}
    assert [sorted(record.latencies_s) for record in run.beside.values()] == [[0, 1], [0, 1]]
    assert run.again is None


def test_the_artifact_of_before_is_what_is_measured(project: Two) -> None:
    project.change()
    project.forget()  # it is in the baseline's folder
    project.latency_s = lambda job: 0.01 if job.baseline else 0.008
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    before = load_run(project.before)
    for cell in run.header.cells:
        now, then = run.records[cell.id], run.beside[cell.id]
        assert now.artifact != then.artifact == before.records[cell.id].artifact
        assert set(now.latencies_s[0]) == {0.008}
        assert set(then.latencies_s[0]) == {0.01}
    folders = {job.artifact for job in project.jobs if job.baseline}
    assert folders == {
        str(project.before / "artifacts" / record.artifact) for record in before.records.values()
    }


def test_a_lone_cell_is_measured_together_with_its_baseline(project: Two) -> None:
    api.run(project.suite, project.out, baseline=project.before, only=FP32)
    names = {line.together for line in project.lines() if line.job == "measure"}
    assert len(names) == 1
    assert names != {""}


def test_what_is_gone_is_told(project: Two) -> None:
    shutil.rmtree(project.before / "artifacts")
    project.change()
    project.forget()
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    assert reasons(project) == {
        f"the baseline's artifact is neither in the cache nor in {project.before / 'artifacts'}; a "
        "baseline that is run with --keep-artifacts takes it with it"
    }
    assert {record.status for record in run.beside.values()} == {"unavailable"}
    assert {record.status for record in run.records.values()} == {"ok"}
    assert not [job for job in project.jobs if job.baseline]


def test_what_is_in_the_cache_needs_no_copy(project: Two) -> None:
    shutil.rmtree(project.before / "artifacts")
    project.change()
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    assert {record.status for record in run.beside.values()} == {"ok"}


@pytest.mark.parametrize("how", ["changed", "lost", "list"])
def test_what_is_torn_is_told_with_its_file(project: Two, how: str) -> None:
    record = next(iter(load_run(project.before).records.values()))
    folder = project.before / "artifacts" / record.artifact
    file = folder / ("files.sha256" if how == "list" else "fake.json")
    if how == "changed":
        file.write_bytes(file.read_bytes() + b" ")
    else:
        file.unlink()
    project.change()
    project.forget()
    api.run(project.suite, project.out, baseline=project.before, only=record.cell.key)
    (why,) = reasons(project)
    assert why.startswith(f"{file}: ")


def test_a_key_that_is_none_names_no_folder(project: Two) -> None:
    file = project.before / "run.jsonl"
    record = next(iter(load_run(project.before).records.values()))
    file.write_text(file.read_text().replace(record.artifact, "../artifacts"))
    api.run(project.suite, project.out, baseline=project.before, only=record.cell.key)
    (why,) = reasons(project)
    assert why.startswith("the baseline's artifact is neither in the cache nor")


def kept_facts(project: Two, **changes: object) -> None:
    """Change the facts of the baseline's artifacts, which are in its folder alone."""
    for folder in (project.before / "artifacts").iterdir():
        facts = folder / "facts.json"
        facts.write_text(json.dumps({**json.loads(facts.read_text()), **changes}))
        rows = (folder / "files.sha256").read_text().splitlines()
        digest = kept_files._digest(facts)
        new = [f"{digest}  facts.json" if row.endswith("  facts.json") else row for row in rows]
        (folder / "files.sha256").write_text("".join(f"{row}\n" for row in new))
    project.change()
    shutil.rmtree(project.folder / "home" / "cache" / "artifact", ignore_errors=True)


def test_another_version_of_the_engine_is_compared_as_a_stored_run(project: Two) -> None:
    kept_facts(project, versions={"fake": "0.9"})
    api.run(project.suite, project.out, baseline=project.before)
    assert reasons(project) == {
        "the baseline was measured with another engine (fake 0.9 there and 1 here), so what that "
        "changes is judged by the two stored runs"
    }


def test_another_runtime_is_compared_as_a_stored_run(project: Two) -> None:
    kept_facts(project, runtime="perfsuite 0.0.1")
    api.run(project.suite, project.out, baseline=project.before)
    (why,) = reasons(project)
    assert "the code of the runtime has changed" in why


def test_versions_that_an_artifact_does_not_tell_are_those_of_its_run(project: Two) -> None:
    kept_facts(project, versions={}, runtime="")
    api.run(project.suite, project.out, baseline=project.before)
    (why,) = reasons(project)  # the run's header does not know the scripted engine
    assert "fake none there and 1 here" in why


@pytest.mark.parametrize("what", ["source", "recipe"])
def test_a_module_of_another_source_or_recipe_cannot_be_built_again(
    project: Two, what: str
) -> None:
    """The source of the workload is another after `kept_facts`, and so is what it was before."""
    kept_facts(project, needs_source=True)
    if what == "recipe":
        job = first_job(read_suite(project.suite), load_run(project.before).header.cells[1])
        kept_facts(project, sources=sources_of(job))
        text = project.suite.read_text()
        changed = text.replace('{ use = "int8" }', '{ use = "int8", calibration_samples = 4 }')
        project.suite.write_text(changed)
    api.run(project.suite, project.out, baseline=project.before, only=INT8)
    (why,) = reasons(project)
    assert why == (
        "fake runs a module, whose source or recipe has changed since the baseline, and only the "
        "source of now is here"
    )


def test_an_artifact_of_another_card_is_not_opened(project: Two) -> None:
    _, run, _ = api.run(project.suite, project.out, only=FP32)
    (cell,) = run.header.cells
    file = project.before / "run.jsonl"
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    for row in rows[1:]:
        row["device"] = {"kind": "cuda", "name": "One"}
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    project.change()
    job = first_job(run.header.suite, cell)
    job = msgspec.structs.replace(job, artifact_key="0" * 64)
    found = Baseline(project.before, run.header.environment).beside(
        job, DeviceIdentity("cuda", "Two")
    )
    assert found is not None
    assert found[0].error is not None
    assert found[0].error.message == "the baseline's artifact was built for One, and here is Two"


def test_a_baseline_that_breaks_is_measured_no_more_and_alone(project: Two) -> None:
    project.change()
    project.breaks = lambda job: job.baseline and job.round == 0 and job.cell.key == INT8
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    statuses = {record.cell.key: record.status for record in run.beside.values()}
    assert statuses == {FP32: "ok", INT8: "failed"}
    assert {record.status for record in run.records.values()} == {"ok"}
    rounds = [(line.key, line.round) for line in project.beside() if line.job == "measure"]
    assert rounds == [(FP32, 0), (INT8, 0), (FP32, 1)]


def test_a_cell_that_is_not_in_the_baseline_has_nothing_beside_it(project: Two) -> None:
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, only=FP32)
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    assert [record.cell.key for record in run.beside.values()] == [FP32]


def test_a_round_that_was_cut_short_is_measured_again_with_the_baselines(project: Two) -> None:
    api.run(project.suite, project.out, baseline=project.before)
    file = project.out / "run.jsonl"
    rows = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(rows[:-2]))
    _, run, _ = api.run(project.suite, project.out, resume=True)  # the baseline is in the header
    again = [(line.key, line.round, line.baseline) for line in project.lines()[len(rows) - 3 :]]
    assert again == [(INT8, 1, True), (INT8, 1, False), (FP32, 1, True), (FP32, 1, False)]
    assert {record.status for record in run.beside.values()} == {"ok"}


def test_another_baseline_is_refused_when_a_run_goes_on(project: Two) -> None:
    api.run(project.suite, project.out, baseline=project.before)
    other = project.folder / "other"
    shutil.copytree(project.before, other)
    with pytest.raises(ConfigError, match=f"this run began with --baseline {project.before}; go"):
        api.run(project.suite, project.out, baseline=other, resume=True)
    shutil.rmtree(project.before)
    with pytest.raises(ConfigError, match=f"{project.before}, is no longer there; put it back"):
        api.run(project.suite, project.out, resume=True)


def test_a_run_that_began_without_one_is_only_held_against_a_baseline(project: Two) -> None:
    api.run(project.suite, project.out)
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before, resume=True)
    assert "this run began without --baseline" in str(judgement.warnings[0])
    assert {verdict.budget for verdict in judgement.verdicts} == {"regression"}
    assert not run.beside


def test_what_looks_like_a_regression_is_measured_again(project: Two) -> None:
    slow = {INT8: 0.02}
    project.latency_s = lambda job: 0.01 if job.baseline else slow.get(job.cell.key, 0.01)
    project.write(processes=3)
    shutil.rmtree(project.before)
    slow.clear()
    api.run(project.suite, project.before)
    slow[INT8] = 0.02
    project.change()
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before)
    again = [
        (line.key, line.round, line.baseline)
        for line in project.lines()
        if line.job == "measure" and (line.round or 0) >= 3
    ]
    assert again == [
        (INT8, 3, True),
        (INT8, 3, False),
        (INT8, 4, False),
        (INT8, 4, True),
        (INT8, 5, True),
        (INT8, 5, False),
    ]
    assert run.again is not None
    assert [cell.key for cell in run.again.header.cells] == [INT8]
    assert [len(one.latencies_s) for one in run.again.beside.values()] == [3]
    assert judgement.exit_code == 1
    before = (project.out / "run.jsonl").read_bytes()
    api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before


AUTO = 'processes = "auto"\nmax_processes = 6'


def test_rounds_go_on_until_the_change_is_decided_and_once_more_if_it_is_red(project: Two) -> None:
    """What swings by 4 % around no change stays open; 30 % are clear at the first look."""
    slow = {"by": 0.1}  # then, which does not matter

    def latency_s(job: Job) -> float:
        swing = 0.0 if job.baseline or job.round is None else 0.04 * (-1) ** job.round
        return 0.01 if job.baseline else 0.01 * (1.0 + slow["by"] + swing)

    project.latency_s = latency_s
    project.suite.write_text(project.suite.read_text().replace("processes = 2", AUTO))
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, only=FP32)
    project.change()
    rounds = {}
    for by in (0.0, 0.3):
        slow["by"] = by
        out = project.folder / str(by)
        _, run, judgement = api.run(project.suite, out, baseline=project.before, only=FP32)
        lines = [line for line in read(out)[1] if line.job == "measure"]
        rounds[by] = sorted(line.round or 0 for line in lines if line.baseline)
        assert rounds[by] == sorted(line.round or 0 for line in lines if not line.baseline)
        assert judgement.exit_code in ({0, 3} if by == 0.0 else {1})
        assert (run.again is not None) == (by > 0.0)
    assert rounds[0.0] == [0, 1, 2, 3, 4, 5]
    assert rounds[0.3] == [0, 1, 2, 3, 6, 7, 8, 9]  # fresh ones follow the last there may be


def test_a_stage_that_is_held_against_the_baseline_is_profiled_beside_it(project: Two) -> None:
    budget = """
[[budgets]]
name         = "convolutions"
metric       = "stage_s"
stage        = "body"
cell         = "net/fp32/*"
baseline     = true
max_increase = 0.5
"""
    project.kernels = {"body/Conv": 0.5}
    project.write(budget, processes=3)
    net = project.folder / "net.py"
    staged = "Model(build=never, stages=(Stage('body', ('body',)),))"
    text = net.read_text().replace("Model(build=never)", staged)
    net.write_text(text.replace("import Model", "import Model, Stage"))
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, keep_artifacts=True)
    project.change()
    project.latency_s = lambda job: 0.01 if job.baseline else 0.0101
    _, _, judgement = api.run(project.suite, project.out, baseline=project.before)
    inspected = [(one.key, one.round) for one in project.beside() if one.job == "inspect"]
    assert inspected == [(FP32, 0), (FP32, 1), (FP32, 2)]
    (verdict,) = (one for one in judgement.verdicts if one.budget == "convolutions")
    assert (verdict.status, verdict.beside) == ("pass", True)
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(0.01)


def test_without_an_artifact_only_the_cell_is_measured_again(project: Two) -> None:
    project.write(processes=3)
    shutil.rmtree(project.before)
    api.run(project.suite, project.before)
    project.change()
    project.forget()
    project.latency_s = lambda job: 0.02 if job.cell.key == INT8 else 0.01
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    again = [
        (line.key, line.round, line.baseline)
        for line in project.lines()
        if line.job == "measure" and (line.round or 0) >= 3
    ]
    assert again == [(INT8, 3, False), (INT8, 4, False), (INT8, 5, False)]
    assert run.again is not None


def test_kept_artifacts_are_whole_and_are_copied_once(project: Two) -> None:
    (journal,) = (line.artifact for line in read(project.before)[1] if line.job == "prepare"
                  and line.key == FP32)  # fmt: skip
    copy = project.before / "artifacts" / journal
    original = project.folder / "home" / "cache" / "artifact" / journal
    names = {path.name for path in original.iterdir()}
    assert {path.name for path in copy.iterdir()} == names | {"files.sha256"}
    assert all((copy / name).read_bytes() == (original / name).read_bytes() for name in names)
    stamp = (copy / "fake.json").stat().st_mtime_ns
    api.run(project.suite, project.before, resume=True, keep_artifacts=True)
    assert (copy / "fake.json").stat().st_mtime_ns == stamp
    (copy / "fake.json").write_text("torn")
    api.run(project.suite, project.before, resume=True, keep_artifacts=True)
    assert kept_files.kept(project.before, journal) == copy


def test_a_full_disk_loses_no_measurement(project: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(PerfsuiteError) as caught:
        api.run(project.suite, project.out, keep_artifacts=True)
    assert "the artifact cannot be kept: No space left on device; no measurement is lost" in str(
        caught.value
    )
    assert {record.status for record in load_run(project.out).records.values()} == {"ok"}
    assert not list((project.out / "artifacts").iterdir())


def test_that_a_source_cannot_be_kept_is_told(project: Two) -> None:
    for folder in (project.folder / "home" / "cache" / "artifact").iterdir():
        if folder.is_dir():
            facts = folder / "facts.json"
            facts.write_text(json.dumps({**json.loads(facts.read_text()), "needs_source": True}))
    _, _, judgement = api.run(project.suite, project.out, keep_artifacts=True)
    (warning,) = (text for text in map(str, judgement.warnings) if "source" in text)
    assert warning.startswith(f"of {FP32}, {INT8} the weights are kept, but not the source")
