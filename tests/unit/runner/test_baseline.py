"""A change that is measured beside its baseline: what is found of it, and what if it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from baseline_project import BaselineProject
from fake_runs import FP32, INT8

from perfsuite import api
from perfsuite.config.reading import read_suite
from perfsuite.domain.device import DeviceIdentity
from perfsuite.errors import ConfigError, Incomparable
from perfsuite.runner.baseline import Baseline
from perfsuite.runner.build.artifacts import sources_of
from perfsuite.runner.job import first_job
from perfsuite.store import kept as kept_files
from perfsuite.store.runs import load_run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaselineProject:
    made = BaselineProject(tmp_path, monkeypatch)
    api.run(made.suite, made.before, keep_artifacts=True)
    return made


def reasons(project: BaselineProject) -> set[str]:
    return {
        line.error.message
        for line in project.beside()
        if line.status == "unavailable" and line.error is not None
    }


def test_the_same_is_measured_beside_itself(project: BaselineProject) -> None:
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


def test_the_artifact_of_before_is_what_is_measured(project: BaselineProject) -> None:
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


def test_a_lone_cell_is_measured_together_with_its_baseline(project: BaselineProject) -> None:
    api.run(project.suite, project.out, baseline=project.before, only=FP32)
    names = {line.together for line in project.lines() if line.job == "measure"}
    assert len(names) == 1
    assert names != {""}


def test_what_is_gone_is_told(project: BaselineProject) -> None:
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


def test_what_is_in_the_cache_needs_no_copy(project: BaselineProject) -> None:
    shutil.rmtree(project.before / "artifacts")
    project.change()
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    assert {record.status for record in run.beside.values()} == {"ok"}


@pytest.mark.parametrize("how", ["changed", "lost", "list"])
def test_what_is_torn_is_told_with_its_file(project: BaselineProject, how: str) -> None:
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


def test_a_key_that_is_none_names_no_folder(project: BaselineProject) -> None:
    file = project.before / "run.jsonl"
    record = next(iter(load_run(project.before).records.values()))
    file.write_text(file.read_text().replace(record.artifact, "../artifacts"))
    api.run(project.suite, project.out, baseline=project.before, only=record.cell.key)
    (why,) = reasons(project)
    assert why.startswith("the baseline's artifact is neither in the cache nor")


def kept_facts(project: BaselineProject, **changes: object) -> None:
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


def test_another_version_of_the_engine_is_compared_as_a_stored_run(
    project: BaselineProject,
) -> None:
    kept_facts(project, versions={"fake": "0.9"})
    api.run(project.suite, project.out, baseline=project.before)
    assert reasons(project) == {
        "the baseline was measured with another engine (fake 0.9 there and 1 here), so what that "
        "changes is judged by the two stored runs"
    }


def test_another_runtime_is_compared_as_a_stored_run(project: BaselineProject) -> None:
    kept_facts(project, runtime="perfsuite 0.0.1")
    api.run(project.suite, project.out, baseline=project.before)
    (why,) = reasons(project)
    assert "the code of the runtime has changed" in why


def test_versions_that_an_artifact_does_not_tell_are_those_of_its_run(
    project: BaselineProject,
) -> None:
    kept_facts(project, versions={}, runtime="")
    api.run(project.suite, project.out, baseline=project.before)
    (why,) = reasons(project)  # the run's header does not know the scripted engine
    assert "fake none there and 1 here" in why


@pytest.mark.parametrize("what", ["source", "recipe"])
def test_a_module_of_another_source_or_recipe_cannot_be_built_again(
    project: BaselineProject, what: str
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


def test_an_artifact_of_another_card_is_not_opened(project: BaselineProject) -> None:
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


def test_a_baseline_that_breaks_is_measured_no_more_and_alone(project: BaselineProject) -> None:
    project.change()
    project.breaks = lambda job: job.baseline and job.round == 0 and job.cell.key == INT8
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    statuses = {record.cell.key: record.status for record in run.beside.values()}
    assert statuses == {FP32: "ok", INT8: "failed"}
    assert {record.status for record in run.records.values()} == {"ok"}
    rounds = [(line.key, line.round) for line in project.beside() if line.job == "measure"]
    assert rounds == [(FP32, 0), (INT8, 0), (FP32, 1)]


def test_a_cell_that_is_not_in_the_baseline_has_nothing_beside_it(project: BaselineProject) -> None:
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, only=FP32)
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    assert [record.cell.key for record in run.beside.values()] == [FP32]


def test_a_round_that_was_cut_short_is_measured_again_with_the_baselines(
    project: BaselineProject,
) -> None:
    api.run(project.suite, project.out, baseline=project.before)
    file = project.out / "run.jsonl"
    rows = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(rows[:-2]))
    _, run, _ = api.run(project.suite, project.out, resume=True)  # the baseline is in the header
    again = [(line.key, line.round, line.baseline) for line in project.lines()[len(rows) - 3 :]]
    assert again == [(INT8, 1, True), (INT8, 1, False), (FP32, 1, True), (FP32, 1, False)]
    assert {record.status for record in run.beside.values()} == {"ok"}


def test_another_baseline_is_refused_when_a_run_goes_on(project: BaselineProject) -> None:
    api.run(project.suite, project.out, baseline=project.before)
    other = project.folder / "other"
    shutil.copytree(project.before, other)
    with pytest.raises(ConfigError, match=f"this run began with --baseline {project.before}; go"):
        api.run(project.suite, project.out, baseline=other, resume=True)
    shutil.rmtree(project.before)
    with pytest.raises(ConfigError, match=f"{project.before}, is no longer there; put it back"):
        api.run(project.suite, project.out, resume=True)


def test_a_run_that_began_without_one_is_only_held_against_a_baseline(
    project: BaselineProject,
) -> None:
    api.run(project.suite, project.out)
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before, resume=True)
    assert "this run began without --baseline" in str(judgement.warnings[0])
    assert {verdict.budget for verdict in judgement.verdicts} == {"regression"}
    assert not run.beside


def other_header(project: BaselineProject) -> None:
    """Let the baseline have been made with another torchvision."""
    file = project.before / "run.jsonl"
    first, _, rest = file.read_text().partition("\n")
    header = json.loads(first)
    header["environment"]["subject"]["torchvision"] = "0.1"
    file.write_text(f"{json.dumps(header)}\n{rest}")


def cached_facts(project: BaselineProject, **changes: object) -> None:
    """Change the facts of all artifacts in the cache."""
    for facts in (project.folder / "home" / "cache" / "artifact").glob("*/facts.json"):
        facts.write_text(json.dumps({**json.loads(facts.read_text()), **changes}))


@pytest.mark.parametrize("facts", [{"needs_source": True}, {"runtime": "", "versions": {}}, {}])
def test_a_module_of_other_libraries_is_not_measured_beside_itself(
    project: BaselineProject, facts: dict[str, object]
) -> None:
    """The artifact is the same, but what is built again from it has the code of now."""
    cached_facts(project, **facts)
    other_header(project)
    api.run(project.suite, project.out, baseline=project.before)
    assert {line.status for line in project.beside()} == {"unavailable" if facts else "ok"}
    if facts:
        (why,) = reasons(project)
        assert why.startswith("fake runs a module, which would be built with the libraries of now")
        assert "torchvision 0.1 there and " in why


@pytest.mark.parametrize(
    ("there", "here", "word"),
    [("a", "a", ""), ("a", "b", "such as a configuration"), ("", "", "does not tell")],
)
def test_a_module_that_is_built_differently_now_is_not_measured_beside(
    project: BaselineProject, there: str, here: str, word: str
) -> None:
    """Its source is the same, but not what it reads."""
    kept_facts(project, needs_source=True, structure=there, sources="same")
    api.run(project.suite, project.folder / "first")  # makes what follows from the source of now
    cached_facts(project, needs_source=True, structure=here, sources="same")
    api.run(project.suite, project.out, baseline=project.before)
    assert {line.status for line in project.beside()} == {"unavailable" if word else "ok"}
    assert all(word in why for why in reasons(project))


def test_another_run_in_the_place_of_the_baseline_is_refused_when_a_run_goes_on(
    project: BaselineProject,
) -> None:
    api.run(project.suite, project.out, baseline=project.before)
    shutil.rmtree(project.before)
    net = project.folder / "net.py"
    text = net.read_text()
    project.change()
    api.run(project.suite, project.before)
    net.write_text(text)
    lines = project.lines()
    with pytest.raises(Incomparable, match="no longer the baseline that the run began with"):
        api.run(project.suite, project.out, resume=True)
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, only=INT8)  # and has not the other cell
    with pytest.raises(Incomparable, match=f"which had another artifact of {FP32}"):
        api.run(project.suite, project.out, resume=True)
    assert project.lines() == lines


def test_what_is_gone_and_cannot_be_made_as_it_was_ends_a_run_that_goes_on(
    project: BaselineProject,
) -> None:
    """A run of an earlier version does not tell what its files held, but its artifacts do."""
    api.run(project.suite, project.out)
    lines = project.lines()
    project.forget()
    project.change()
    with pytest.raises(Incomparable, match=r"net\.py has changed since this run began"):
        api.run(project.suite, project.out, resume=True)
    file = project.out / "run.jsonl"
    header, _, rest = file.read_text().partition("\n")
    untold = {key: value for key, value in json.loads(header).items() if key != "files"}
    file.write_text(f"{json.dumps(untold)}\n{rest}")
    with pytest.raises(Incomparable, match=f"the artifact of {FP32} that this run began with is"):
        api.run(project.suite, project.out, resume=True)
    assert project.lines() == lines
