"""What becomes of a job that does not end well, and of the others."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_runs import FP32, INT8, NET, Project, here, names, wait_until

from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.domain.record import Failure, Line, Measurement
from perfsuite.judge import judge
from perfsuite.runner import process, schedule, worker
from perfsuite.runner.job import Job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache
from perfsuite.store.runs import load_run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))


def error_of(lines: list[Line], key: str) -> Failure:
    (found,) = [line.error for line in lines if line.key == key and line.error is not None]
    return found


def test_a_crash_is_a_failed_line_and_the_cell_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(job: Job) -> Line:
        if job.kind != "measure":
            return here(job)
        project.script({INT8: {"open": "crash"}})
        return run_job_in_process(job)

    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    _, run, judgement = api.run(project.suite, project.out)
    lines = project.lines()
    measured = [name for name in names(lines) if name[1] == "measure"]
    assert measured == [(FP32, "measure", 0), (INT8, "measure", 0), (FP32, "measure", 1)]
    assert error_of(lines, INT8) == Failure("Crash", "the worker died by SIGSEGV", "")
    assert [record.status for record in run.records.values()] == ["ok", "failed"]
    assert judgement.exit_code == 3


def prepared(project: Project, code: str) -> Line:
    """Prepare a cell whose task does `code` when it is asked for inputs."""
    head = "    def inputs(self, batch, seed):\n"
    (project.folder / "net.py").write_text(NET.replace(head, f"{head}        {code}\n"))
    suite, cells, _ = load_suite(project.suite)
    return run_job_in_process(schedule.first_job(suite, cells[0]))


@pytest.mark.parametrize(
    ("code", "kind", "message", "output"),
    [
        (
            "import os, signal; print('last words'); os.kill(os.getpid(), signal.SIGKILL)",
            "Crash",
            "the worker died by SIGKILL, most likely because the machine ran out of memory",
            "last words\n",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGBUS)",
            "Crash",
            "the worker died by SIGBUS, most likely because a file that it has mapped, a shared "
            "library or weights, is cut off: install or fetch it again; or because /dev/shm is "
            "full",
            "",
        ),
        (
            "print('so'); raise MemoryError('no more')",
            "MemoryError",
            "out of memory: no more",
            "so",
        ),
        (
            "print('so'); raise ValueError('odd')",
            "BuildError",
            "net: its inputs() failed in line 15 of {file} with ValueError: odd",
            "ValueError: odd",
        ),
        (
            "import sys; sys.exit(7)",
            "BuildError",
            "net: its inputs() failed in line 15 of {file} with SystemExit: 7",
            "SystemExit: 7",
        ),
        (
            "raise KeyboardInterrupt",
            "KeyboardInterrupt",
            "KeyboardInterrupt: raise KeyboardInterrupt",
            "line 15, in inputs",
        ),
        ("import os; os._exit(7)", "Crash", "the worker ended with exit code 7", ""),
        ("import os; os._exit(0)", "Crash", "the worker ended with exit code 0", ""),
        (
            r"raise ValueError('\udcff')",
            "BuildError",
            r"net: its inputs() failed in line 15 of {file} with ValueError: \udcff",
            "ValueError",
        ),
    ],
)
def test_what_a_worker_dies_of_goes_on_record_with_its_last_output(
    project: Project, code: str, kind: str, message: str, output: str
) -> None:
    line = prepared(project, code)
    message = message.format(file=project.folder / "net.py")
    assert line.error is not None
    assert (line.status, line.error.kind, line.error.message) == ("failed", kind, message)
    assert output in line.error.output
    assert line.duration_s > 0
    assert not list((Cache().root / "artifact").glob("[0-9a-f]*[0-9a-f]"))


LAST = """
import atexit, sys, threading, time
from pathlib import Path
said = Path({said!r})
atexit.register(lambda: said.write_text(said.read_text() + " and at exit"))
threading.Thread(target=lambda: (time.sleep(0.2), said.write_text("by a thread"))).start()
sys.stdout.close()
"""


def test_a_worker_ends_as_python_does_with_threads_and_what_is_registered(project: Project) -> None:
    said = project.folder / "said.txt"
    line = prepared(project, f"exec({LAST.format(said=str(said))!r}, {{}})")
    assert line.status == "ok", line.error
    # It was asked for several inputs, and did it each time.
    assert said.read_text().startswith("by a thread and at exit and at exit")


def test_a_hanging_worker_is_killed_with_all_that_it_started(project: Project) -> None:
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '600']); "
        f"open({str(project.folder / 'pid')!r}, 'w').write(str(child.pid)); "
        "print('waiting'); time.sleep(600)"
    )
    head = "class Numbers(Task):\n"
    (project.folder / "net.py").write_text(NET.replace(head, f"{code}\n\n\n{head}"))
    suite, cells, _ = load_suite(project.suite)
    settings = msgspec.structs.replace(suite.measure, timeout_seconds=4.0)
    job = schedule.first_job(suite, cells[0])
    line = run_job_in_process(msgspec.structs.replace(job, kind="evaluate", measure=settings))
    assert line.error is not None
    assert line.error.kind == "Timeout"
    assert line.error.message == "no answer for 4 s: killed as hanging"
    assert line.error.output == "waiting\n"
    child = int((project.folder / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the worker's child to go", 10.0)


def test_a_time_limit_beyond_what_the_system_can_wait_for() -> None:
    with subprocess.Popen(["true"]) as child:
        assert process._wait(child, 1e9, process._descriptor(child.pid))


def test_nan_in_the_outputs(project: Project, in_process: None) -> None:
    project.script({INT8: {"run": "nan"}})
    _, run, judgement = api.run(project.suite, project.out)
    found = error_of(project.lines(), INT8)
    assert found.kind == "BuildError"
    assert found.message == "output 'output': 10 NaN and 0 infinite of 10 values"
    assert [record.status for record in run.records.values()] == ["ok", "failed"]
    assert judgement.exit_code == 2


def test_nan_in_the_answers_to_test_samples(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(job: Job) -> Line:
        project.script({"*": {"run": "nan"}} if job.kind == "evaluate" else {})
        return here(job)

    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    api.run(project.suite, project.out)
    assert "400 NaN and 0 infinite of 400" in error_of(project.lines(), FP32).message
    assert not list((Cache().root / "rows").glob("*[0-9a-f]"))


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("where", ["build", "open"])
def test_unavailable(project: Project, in_process: None, where: str, expected: bool) -> None:
    expect = '[[expect]]\nrecipe = "int8"\nstatus = "unavailable"\nreason = "not bought yet"'
    project.write(expect if expected else "", processes=1)
    project.script({INT8: {where: "unavailable"}})
    _, run, judgement = api.run(project.suite, project.out)
    assert [record.status for record in run.records.values()] == ["ok", "unavailable"]
    assert judgement.exit_code == (0 if expected else 2)


@pytest.mark.parametrize("expected", [True, False])
def test_unsupported(project: Project, in_process: None, expected: bool) -> None:
    expect = '[[expect]]\nstatus = "unsupported"\nreason = "batches of one"'
    project.write(expect if expected else "", processes=1)
    text = (project.folder / "net.py").read_text()
    head = "    def inputs(self, batch, seed):\n"
    raised = (
        f'{head}        from perfsuite.errors import Unsupported\n        raise Unsupported("no")\n'
    )
    (project.folder / "net.py").write_text(text.replace(head, raised))
    _, run, judgement = api.run(project.suite, project.out)
    assert {record.status for record in run.records.values()} == {"unsupported"}
    assert judgement.exit_code == (0 if expected else 2)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return float(rows[:, 0].mean())", "return float('nan')", "the metric of the rows is nan"),
        ('metric_name = "top1"', "metric_name = 5", "its metric_name must be a text, not int"),
        ("np.stack([hot == right, hot], axis=1)", "(hot == right)", "(samples, columns)"),
    ],
)
def test_what_a_task_gets_wrong_stays_in_its_cell(
    project: Project, before: str, after: str, message: str
) -> None:
    (project.folder / "net.py").write_text(NET.replace(before, after))

    def execute(job: Job) -> Line:
        return run_job_in_process(job) if job.kind == "evaluate" else here(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", "")
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
        api.run(project.suite, project.out, only=FP32)
    assert message in error_of(project.lines(), FP32).message
    assert judge(load_run(project.out)).exit_code in (2, 3)


def test_what_json_cannot_hold_is_a_failure(project: Project) -> None:
    suite, cells, _ = load_suite(project.suite)
    job = schedule.first_job(suite, cells[0])
    bad = Measurement("latency_s", "s", (float("nan"),))
    data = worker._encoded(job, process.line_of(job, status="ok", measurements=(bad,)))
    line = msgspec.json.decode(data, type=Line)
    assert line.status == "failed"
    assert line.error is not None
    assert line.error.message.startswith("what the prepare job found cannot be stored: Expected")


def test_no_session_of_its_own_is_left_behind(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`KeyboardInterrupt` while waiting kills the worker."""
    started: list[Any] = []

    def interrupted(process: Any, timeout_s: float, descriptor: int | None) -> bool:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "_wait", interrupted)
    suite, cells, _ = load_suite(project.suite)
    with pytest.raises(KeyboardInterrupt):
        run_job_in_process(schedule.first_job(suite, cells[0]))
    assert started[0].returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


def test_a_warning_of_perfsuite_s_own_goes_on_record_without_its_place(project: Project) -> None:
    code = (
        "import warnings; "
        "from perfsuite.export import onnx; "
        "warnings.warn_explicit('ours', UserWarning, onnx.__file__, 66); "
        "warnings.warn('mine', stacklevel=1); raise ValueError('odd')"
    )
    line = prepared(project, code)
    assert line.error is not None
    assert "warning: ours\n" in line.error.output and "onnx.py:66" not in line.error.output
    assert f"{project.folder / 'net.py'}:15: UserWarning: mine\n" in line.error.output
