"""Processes that take turns: what each is told, who is stopped, and what is left of a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from fake_runs import (
    FP32,
    INT8,
    Project,
    children,
    here,
    is_running,
    names,
    status,
    wait_until,
)
from taking_turns import jobs, measured

from perfsuite import api
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.reading import read_suite
from perfsuite.runner import turns
from perfsuite.runner.channel import END, FORGET, SLICE, Channel, Taken, WorkerTurns
from perfsuite.runner.groups import groups, name_of
from perfsuite.runner.job import Job
from perfsuite.runner.turns import measure_in_turns
from perfsuite.store.runs import load_run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(turns, "_ENDING_S", 0.5)  # processors let go at once
    return Project(tmp_path, monkeypatch)


def test_a_channel_carries_what_was_timed_and_what_is_to_be_done() -> None:
    with Channel() as channel:
        worker = WorkerTurns(*channel.theirs)
        channel.say(SLICE)
        assert worker.wait(3, 4_000) == "slice"
        assert channel.hear(1.0) == Taken(3, 4_000)
        channel.say(END)
        assert worker.wait(5, 9_000) == "end"
        assert channel.hear(1.0) == Taken(5, 9_000)
        channel.say(FORGET)
        assert worker.wait(0, 0) == "forget"
        assert channel.hear(1.0) == Taken(0, 0)
        assert channel.hear(0.0) is None
        channel.keep_ours()
        channel.say(SLICE)  # nobody hears it any more
        assert channel.hear(1.0) is None


def test_both_are_timed_in_as_many_slices(project: Project) -> None:
    project.script({"*/int8/*": {"latencies_s": [0.03]}, "*": {"latencies_s": [0.04]}})
    one, other = measured(project)
    for line, latency_s in ((one, 0.04), (other, 0.03)):
        assert line.status == "ok", line.error
        (found,) = (item for item in line.measurements if item.metric == "latency_s")
        assert set(found.samples) == {latency_s}
        assert sum(found.slices) == len(found.samples) >= 5
        assert line.together == "us"
    # By the engine's own clock: 100 ms are three calls of 40 ms, or four of 30.
    slices = [
        next(item.slices for item in line.measurements if item.metric == "latency_s")
        for line in (one, other)
    ]
    assert slices == [(3, 3), (4, 4)]


def test_a_call_longer_than_a_slice_is_one(project: Project) -> None:
    project.script({"*": {"latencies_s": [0.2]}})
    one, _ = measured(project)
    (found,) = (item for item in one.measurements if item.metric == "latency_s")
    assert found.slices == (1, 1, 1, 1, 1)


@pytest.mark.parametrize(("how", "timeout"), [("crash", 60.0), ("hang", 3.0)])
def test_one_that_fails_fails_alone(project: Project, how: str, timeout: float) -> None:
    project.write(timeout=timeout)
    made = jobs(project)
    project.script({"*/int8/*": {"run": how}, "*": {"latencies_s": [0.001]}})
    one, other = measure_in_turns(made, lambda job: None)
    assert one.status == "ok", one.error
    assert other.status == "failed"
    assert other.error is not None
    assert other.error.kind == {"crash": "Crash", "hang": "Timeout"}[how]


FORKING = """
import os, time
from perfsuite.runtimes.fake import runtime

class Forking(runtime.Fake):
    name = "forking"

    def open(self, folder, manifest, options):
        said = runtime.script(manifest, options.batch)
        if said.kernels:
            child = os.fork()
            if child == 0:
                time.sleep(600)
            open({pid!r}, "w").write(str(child))
        return super().open(folder, manifest, options)
"""


@pytest.mark.parametrize(("how", "kind"), [("crash", "Crash"), ("hang", "Timeout")])
def test_who_fails_is_gone_with_its_children_before_others_go_on(
    project: Project, how: str, kind: str
) -> None:
    pid = project.folder / "pid"
    (project.folder / "forking.py").write_text(FORKING.format(pid=str(pid)))
    text = project.suite.read_text()
    project.suite.write_text(text.replace('"fake"', '"forking.py:Forking"'))
    project.script({})
    made = jobs(project)
    if how == "hang":
        settings = msgspec.structs.replace(made[0].measure, timeout_seconds=3.0)
        made = [msgspec.structs.replace(job, measure=settings) for job in made]
    project.script({"*/fp32/*": {"run": how, "kernels": {"a": 0.5}}, "*": {}})
    began: list[bool] = []

    def begin(job: Job) -> None:
        if began:
            child = int(pid.read_text())
            wait_until(lambda: not is_running(child), "the child of the first to be killed")
        began.append(True)

    first, other = measure_in_turns(made, begin)
    assert first.error is not None
    assert first.error.kind == kind
    assert other.status == "ok", other.error


def test_a_limit_longer_than_poll_can_wait() -> None:
    with Channel() as channel:
        WorkerTurns(*channel.theirs)
        os.write(channel.theirs[1], b"1 2\n")
        assert channel.hear(1e9) == Taken(1, 2)


def test_a_run_measures_together_what_it_compares(project: Project) -> None:
    process = project.start()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    lines = [line for line in project.lines() if line.job == "measure"]
    assert [(line.key, line.round) for line in lines] == [
        (FP32, 0),
        (INT8, 0),
        (INT8, 1),
        (FP32, 1),
    ]
    assert len({line.together for line in lines}) == 1
    records = load_run(project.out).records.values()
    assert [sorted(record.slices) for record in records] == [[0, 1], [0, 1]]


def test_a_killed_parent_leaves_nobody_behind_not_even_the_stopped(project: Project) -> None:
    project.script({"*": {"latencies_s": [0.0001]}})
    project.write(processes=200)
    process = project.start()

    def stopped() -> list[int]:
        return [pid for pid in children(process.pid) if status(pid)[0] == "T"]

    wait_until(stopped, "a worker that is stopped")
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # It takes milliseconds, unless the machine is busy; one that is left stays for ever.
    wait_until(lambda: not any(map(is_running, workers)), "the workers to die", 20.0)


def test_a_round_that_was_cut_short_is_measured_again_as_a_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = project.start()
    assert process.wait(timeout=120) == 0
    file = project.out / "run.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))  # the last of its round is gone
    before = names(project.lines())
    resumed = project.start("--resume")
    assert resumed.wait(timeout=120) == 0
    assert names(project.lines())[len(before) :] == [(INT8, "measure", 1), (FP32, "measure", 1)]


def test_groups_are_what_tables_and_budgets_compare(project: Project) -> None:
    project.write(
        """
[[budgets]]
name        = "tied"
metric      = "latency_s"
cell        = "other/fp32/*"
against     = "net/fp32/*"
min_speedup = 2.0
"""
    )
    text = project.suite.read_text()
    (project.folder / "more.py").write_text("from net import net as other, net as third\n")
    named = '["net.py:net", "more.py:other", "more.py:third"]'
    project.suite.write_text(text.replace('["net.py:net"]', named))
    suite = read_suite(project.suite)
    cells = cells_of(suite)
    found = groups(suite, cells)
    assert [[cell.workload for cell in group] for group in found] == [
        ["net", "net", "other", "other"],
        ["third", "third"],
    ]
    assert name_of(found[0]) != name_of(found[1])


def test_who_is_killed_says_nothing() -> None:
    with Channel() as channel:
        program = (
            f"import os; os.write({channel.theirs[1]}, b'1 2\\n'); os.read({channel.theirs[0]}, 1)"
        )
        process = subprocess.Popen([sys.executable, "-c", program], pass_fds=channel.theirs)
        channel.keep_ours()
        assert channel.hear(10.0) == Taken(1, 2)
        os.kill(process.pid, signal.SIGKILL)
        assert channel.hear(10.0) is None
        process.wait()


def test_the_verbs_measure_one_after_the_other_where_somebody_else_executes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfsuite.runner import schedule

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    monkeypatch.setenv("PERFSUITE_CELL", "")
    _, run, _ = api.run(project.suite, project.out)
    assert all(not record.slices for record in run.records.values())


def test_cells_with_budgets_on_stages_are_profiled_in_turns(project: Project) -> None:
    project.script(
        {
            "*/fp32/*": {"latencies_s": [0.04], "kernels": {"body/Conv": 0.5}},
            "*": {"latencies_s": [0.02], "kernels": {"body/Conv": 0.25}},
        }
    )
    net = (project.folder / "net.py").read_text()
    net = net.replace("build=never", 'build=never, stages=(Stage("body", ("body",)),)')
    (project.folder / "net.py").write_text(net.replace("import Model,", "import Model, Stage,"))
    project.write(
        f"""
[[budgets]]
name        = "body"
metric      = "stage_s"
stage       = "body"
cell        = "{INT8}"
against     = "{FP32}"
min_speedup = 4.0
"""
    )
    process = project.start()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    lines = [line for line in project.lines() if line.job == "inspect"]
    assert [(line.key, line.round) for line in lines] == [
        (FP32, 0),
        (INT8, 0),
        (INT8, 1),
        (FP32, 1),
    ]
    assert len({line.together for line in lines}) == 1
    assert all(line.together for line in lines)
    for line in lines:
        assert line.breakdown is not None
        assert line.breakdown.rows[0].time_s == pytest.approx(0.02 if line.key == FP32 else 0.005)
