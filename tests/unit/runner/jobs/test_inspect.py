"""The breakdown in a run, rounds of inspecting, and budgets on stages: the scripted engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, INT8, NET, Project, here, last_job, names

from perfsuite import api
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.record import NO_BREAKDOWN, EvidenceItem, Line
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.report.sentences import verdict_sentence
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job
from perfsuite.runtimes.fake.runtime import FakeSession

STAGES = 'Model(build=never, stages=(Stage("body", ("body",)), Stage("head", ("head",))))'
BUDGET = """
[[budgets]]
name   = "the head"
metric = "stage_s"
stage  = "head"
"""
HEAD_S, WALL_S = 0.002, 0.010  # and a millisecond between kernels


def profile_of(head_s: float, calls: int, wall_s: float = WALL_S) -> Profile:
    """Two kernels: the body takes what the head and a millisecond leave."""

    def kernel(name: str, time_s: float) -> Kernel:
        return Kernel(name, "Conv", (time_s,) * calls, origins=(f"{name}/Conv",))

    body = kernel("body.conv", wall_s - head_s - 0.001)
    return Profile((wall_s,) * calls, (body, kernel("head.fc", head_s)))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    made = Project(tmp_path, monkeypatch)
    net = NET.replace("import Model,", "import Model, Stage,").replace("Model(build=never)", STAGES)
    (tmp_path / "net.py").write_text(net)
    made.script({"*": {"latencies_s": [WALL_S]}})
    return made


Profiled = Callable[[FakeSession, object, int], Profile]


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how long the head takes in one inspecting process after the other, over and over."""
    times, turn = [HEAD_S], count()

    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        return profile_of(times[next(turn) % len(times)], calls)

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    return times


def inspected(project: Project) -> list[Line]:
    return [line for line in project.lines() if line.job == "inspect"]


def test_every_run_keeps_a_breakdown(project: Project, heads: list[float]) -> None:
    _, run, judgement = api.run(project.suite, project.out)
    assert judgement.exit_code == 0
    assert [line.round for line in inspected(project)] == [None, None]
    for record in run.records.values():
        assert record.status == "ok"
        assert record.breakdown is not None
        assert record.breakdown.total_s == pytest.approx(WALL_S)
        assert record.breakdown.untraced_s == pytest.approx(WALL_S)
        rows = {row.name: row.time_s for row in record.breakdown.rows}
        assert rows == pytest.approx(
            {"body": 0.007, "head": 0.002, "engine overhead": 0.001, "unattributed": 0.0}
        )
        assert record.stages_s == {0: rows}
        assert record.roofline is None, "only `profile` measures that"
        assert record.values["artifact_bytes"] == (32.0,), "the stages are not shipped"


def test_how_many_calls_are_profiled(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of calls, at least four and at most a hundred; the clock is the engine's."""
    asked: list[int] = []

    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        asked.append(calls)
        return profile_of(HEAD_S, calls)

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    for number, latency_s in enumerate((0.010, 3.0, 0.0001, 0.0)):
        project.script({"*": {"latencies_s": [latency_s]}})
        project.out = project.folder / f"run{number}"
        # What is built anew is inspected before it is measured, which calls of no time cannot be.
        shutil.rmtree(project.folder / "home" / "cache", ignore_errors=True)
        api.run(project.suite, project.out, only=FP32)
    assert asked == [50, 4, 100, 100]


@pytest.mark.parametrize(
    ("means_alone", "untraced_s"),
    [
        (False, 2.5),  # of 1, 2, 3 and 6 s those within the quartiles, 1.75 and 3.75
        (True, 3.0),  # of all of them, as the engine takes its own
    ],
)
def test_calls_without_profiling_come_before_and_after_the_profile(
    project: Project, monkeypatch: pytest.MonkeyPatch, means_alone: bool, untraced_s: float
) -> None:
    ran: list[str] = []
    kept: list[str] = []
    run = FakeSession.run

    def noted(self: FakeSession, inputs: Inputs) -> Outputs:
        if not self._options.inspect:
            ran.append("plain")
        return run(self, inputs)

    def profile(self: FakeSession, inputs: list[Inputs], calls: int) -> Profile:
        ran.append(f"profile of {calls} calls, {len(inputs)} inputs")
        return profile_of(HEAD_S, 1 if means_alone else calls)

    def execute(job: Job) -> Line:
        ran.clear()
        line = here(job)
        if job.kind == "inspect":
            kept.extend(ran)
        return line

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    monkeypatch.setattr(FakeSession, "run", noted)
    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    warm, again = [9.0] * 4, [9.0]  # with each input; one after the profile
    project.script({"*": {"latencies_s": [*warm, 1.0, 2.0, *again, 3.0, 6.0]}})
    _, done, _ = api.run(project.suite, project.out, only=FP32)
    (record,) = done.records.values()
    assert record.breakdown is not None
    assert record.breakdown.untraced_s == pytest.approx(untraced_s)
    assert record.breakdown.calls == 4
    assert kept == ["plain"] * 6 + ["profile of 4 calls, 4 inputs"] + ["plain"] * 3


def test_an_engine_without_profiling_is_a_label_and_no_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        raise Unsupported("no clock in this engine")

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    project.write(f"{BUDGET}max_share = 0.9\ncell = '{FP32}'")
    _, run, judgement = api.run(project.suite, project.out)
    for record in run.records.values():
        assert (record.status, record.labels) == ("ok", (NO_BREAKDOWN,))
        assert record.evidence is not None
        assert record.evidence.items[-1].value == "no clock in this engine"
    (verdict,) = judgement.verdicts
    assert (verdict.status, verdict_sentence(verdict)) == (
        "missing",
        "has no breakdown: no clock in this engine",
    )


def test_a_call_that_fails_while_it_is_profiled(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        raise IndexError("pop from an empty pyramid")

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    _, run, judgement = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert record.error is not None
    assert record.error.kind == "BuildError"
    assert record.error.message.startswith(f"{FP32}: a call that was profiled failed in line ")
    assert record.error.message.endswith("with IndexError: pop from an empty pyramid")
    assert "IndexError" in record.error.output
    assert judgement.exit_code == 2


@pytest.mark.parametrize(
    ("budget", "times", "status", "code"),
    [
        ("max_share = 0.25", [0.002], "pass", 0),
        ("max_share = 0.15", [0.002], "over_budget", 1),
        ("max_share = 0.2", [0.001, 0.003], "inconclusive", 3),
        ("max = 0.0025", [0.002], "pass", 0),
        (f'max_increase = 0.1\nagainst = "{FP32}"', [0.002], "pass", 0),
        # In each round fp32 comes first in the one and last in the other: always 2, then 3 ms.
        (f'max_increase = 0.1\nagainst = "{FP32}"', [0.002, 0.003, 0.003, 0.002], "over_budget", 1),
    ],
)
def test_a_budget_on_a_stage(
    project: Project, heads: list[float], budget: str, times: list[float], status: str, code: int
) -> None:
    heads[:] = times
    project.write(f"{BUDGET}{budget}\ncell = '{INT8}'")
    _, run, judgement = api.run(project.suite, project.out)
    (verdict,) = judgement.verdicts
    assert (verdict.status, judgement.exit_code) == (status, code), verdict_sentence(verdict)
    assert verdict_sentence(verdict).startswith("stage head: ")
    assert {record.status for record in run.records.values()} == {"ok"}


def test_only_the_cells_of_the_budget_are_inspected_in_rounds(
    project: Project, heads: list[float]
) -> None:
    project.write(f"{BUDGET}max_share = 0.9\ncell = '{INT8}'", processes=3)
    api.run(project.suite, project.out)
    assert names(inspected(project)) == [
        (FP32, "inspect", None),
        (INT8, "inspect", 0),
        (INT8, "inspect", 1),
        (INT8, "inspect", 2),
    ]


def test_rounds_alternate(project: Project, heads: list[float]) -> None:
    project.write(f"{BUDGET}max_share = 0.9")
    api.run(project.suite, project.out)
    assert names(inspected(project)) == [
        (FP32, "inspect", 0),
        (INT8, "inspect", 0),
        (INT8, "inspect", 1),
        (FP32, "inspect", 1),
    ]
    assert [line.order for line in inspected(project)] == [0, 1, 0, 1]


@pytest.mark.parametrize("keep", [3, 5, 6, 8])
def test_a_run_that_was_cut_short_among_its_rounds(
    project: Project, heads: list[float], keep: int
) -> None:
    project.write(f"{BUDGET}max_share = 0.9")
    api.run(project.suite, project.out)
    file = project.out / "run.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)
    before = names(project.lines())
    file.write_bytes(b"".join(whole[: 1 + keep]))
    cut = api.show(project.out).run
    assert {record.status for record in cut.records.values()} == {"incomplete"}
    _, run, judgement = api.run(project.suite, project.out, resume=True)
    # The two of a round were profiled in turns: if one is missing, both are done again.
    again = before[4:5] if keep == 5 else []
    assert names(project.lines()) == before[:keep] + again + before[keep:]
    assert judgement.exit_code == 0
    assert {len(record.stages_s) for record in run.records.values()} == {2}


def test_the_stages_of_a_baseline(project: Project, heads: list[float]) -> None:
    project.write(f"{BUDGET}max_increase = 0.2\nbaseline = true\ncell = '{FP32}'")
    before = project.folder / "before"
    api.run(project.suite, before)
    heads[:] = [0.003, 0.0030001]
    api.run(project.suite, project.out)
    _, _, judgement = api.gate(project.out, before)
    verdict = next(one for one in judgement.verdicts if one.budget == "the head")
    assert verdict.status == "over_budget"
    assert verdict_sentence(verdict).startswith(
        "stage head: stage_s changes by +50 % against the baseline"
    )


@pytest.fixture
def artifact(project: Project, heads: list[float]) -> Path:
    return Path(last_job(project).artifact)


def test_an_artifact_knows_its_stages(artifact: Path) -> None:
    parts = artifacts.read_parts(artifact)
    assert [stage.name for stage in parts.stages] == ["body", "head"]
    assert (parts.nodes, parts.spans) == ((), ())


def test_other_stages_are_another_artifact(project: Project, artifact: Path) -> None:
    net = project.folder / "net.py"
    first = {line.artifact for line in project.lines()}
    net.write_text(net.read_text().replace('Stage("head"', 'Stage("tail"'))
    project.out = project.folder / "second"
    api.run(project.suite, project.out, only=FP32)
    assert not first & {line.artifact for line in project.lines()}


def test_stages_with_one_prefix_are_a_mistake_of_the_user(project: Project) -> None:
    net = project.folder / "net.py"
    net.write_text(net.read_text().replace('("head",)', '("body",)'))
    _, run, judgement = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert record.error is not None
    assert record.error.kind == ConfigError.__name__
    assert record.error.message.startswith("net: stages 'body' and 'head' both have the prefix")
    assert judgement.exit_code == 2


def test_what_must_be_said_of_a_tasks_results_is_a_label(
    project: Project, heads: list[float]
) -> None:
    net = project.folder / "net.py"
    text = net.read_text().replace(
        "    metric_name =", '    labels = ("synthetic",)\n    metric_name ='
    )
    net.write_text(text)
    _, run, _ = api.run(project.suite, project.out, only=FP32)
    assert [record.labels for record in run.records.values()] == [("synthetic",)]


def test_a_model_of_one_batch_size(project: Project, heads: list[float]) -> None:
    net = project.folder / "net.py"
    net.write_text(net.read_text().replace("Model(build=never,", "Model(build=never, batch=2,"))
    text = project.suite.read_text().replace("threads   = 1", "threads   = 1\nbatches = [1, 2]")
    project.suite.write_text(text)
    _, run, _ = api.run(project.suite, project.out, only="net/fp32/*")
    one, two = run.records.values()
    assert (one.status, two.status) == ("unsupported", "ok")
    assert one.error is not None
    assert one.error.message == "net takes batches of 2 alone, and 1 was asked for"


def test_what_was_used_follows_from_layers_and_joins_the_evidence(project: Project) -> None:
    layers = [LayerKernel("a", "Conv", "jit:avx2", "oneDNN", "AVX2")]
    project.script({"*": {"evidence": {"layers": msgspec.to_builtins(layers)}}})
    _, run, _ = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    evidence = record.evidence
    assert evidence is not None and evidence.layers == tuple(layers)
    told = [item for item in evidence.items if item.name == "oneDNN"]
    assert told[-2:] == [
        EvidenceItem("observed", "used", "oneDNN", "1 of 1 layers"),
        EvidenceItem("observed", "instruction set", "oneDNN", "AVX2"),
    ]
