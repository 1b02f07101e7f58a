"""The command line: exit codes, errors on stderr, JSON that parses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_runs import FP32, INT8, Project, here

from perfsuite import __version__, api, doctor_run
from perfsuite.cli import main
from perfsuite.errors import Unavailable
from perfsuite.runner import schedule

SLOW = '[[budgets]]\nname = "b"\nmetric = "latency_s"\nmax = 1e-6'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, monkeypatch)
    made.write(processes=1)
    return made


def perfsuite(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)


def refused(done: Result, message: str, code: int = 2) -> None:
    assert done.exit_code == code
    assert done.stdout == ""
    assert done.stderr.lstrip().startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_from_the_command_line(project: Project) -> None:
    done = perfsuite("run", "suite.toml", "-o", "run")
    assert done.exit_code == 0
    assert done.stdout.endswith("kept in run\n")
    assert f"prepare {FP32}: " in done.stderr
    assert f"measure round 1 {INT8}: " in done.stderr
    assert Path("run/run.jsonl").exists()
    again = perfsuite("run", "suite.toml", "-o", "run", "--resume")
    assert again.exit_code == 0
    assert again.stderr == ""
    third = perfsuite("run", "suite.toml", "-o", "third", "--baseline", "run")
    assert third.exit_code == 0


def test_a_run_lands_in_reports_unless_told_otherwise(project: Project) -> None:
    assert perfsuite("run", "suite.toml", "--only", FP32).exit_code == 0
    (folder,) = Path("reports").iterdir()
    assert folder.name.startswith("suite-2")


@pytest.mark.parametrize(
    ("more", "script", "code"),
    [
        ("", {}, 0),
        (SLOW, {}, 1),
        ("", {INT8: {"run": "raise"}}, 2),
        (SLOW, {INT8: {"run": "raise"}}, 2),
        ("", {INT8: {"run": "oom"}}, 3),
        (SLOW, {INT8: {"run": "oom"}}, 1),
    ],
)
def test_exit_codes(project: Project, more: str, script: dict[str, object], code: int) -> None:
    project.write(more, processes=2)
    project.script(script)
    done = perfsuite("run", "suite.toml", "-o", "run")
    assert done.exit_code == code
    assert f"exit code {code}" in done.stdout
    assert perfsuite("show", "run").exit_code == 0, "looking is no judging"


def test_what_a_run_refuses(project: Project) -> None:
    refused(perfsuite("run", "none.toml"), "none.toml: there is no such suite file")
    refused(perfsuite("run", "suite.toml", "--only", "*/fp64/*"), "--only '*/fp64/*' matches no")
    refused(perfsuite("run", "suite.toml", "--resume", "-o", "no"), "there is no such run folder")
    refused(perfsuite("run", "suite.toml", "--resume"), "there is no run of 'suite' to go on with")
    refused(perfsuite("run", "suite.toml", "--baseline", "no"), "there is no such run folder")
    Path("broken.toml").write_text("workloads = [")
    refused(perfsuite("run", "broken.toml"), "broken.toml: not valid TOML")
    Path("odd.toml").write_text(project.suite.read_text().replace('"net.py:net"', '"vgg-digit"'))
    refused(perfsuite("run", "odd.toml"), "did you mean 'vgg-digits'?")
    assert not Path("reports").exists()


def test_a_folder_that_cannot_be_written(project: Project) -> None:
    Path("file").write_text("")
    done = perfsuite("run", "suite.toml", "-o", "file")
    assert done.exit_code == 2
    assert "'file' is a file" in done.stderr
    refused(perfsuite("run", "suite.toml", "-o", "file/run"), "file/run: cannot be made: Not a dir")
    Path("taken").mkdir()
    Path("taken/run.jsonl").mkdir()
    refused(perfsuite("run", "suite.toml", "-o", "taken"), "taken: there is a run already")


def test_plan(project: Project) -> None:
    done = perfsuite("plan", "suite.toml")
    assert done.exit_code == 0
    first, second, total = done.stdout.splitlines()
    assert first.startswith(f"{FP32}  (prepare ")
    assert second.startswith(f"{INT8}  (prepare ")
    assert total.startswith("in all about ")
    found = json.loads(perfsuite("plan", "suite.toml", "--json", "--only", FP32).stdout)
    assert {job["cell"] for job in found["jobs"]} == {FP32}
    assert found["total_s"] > 0
    assert found["at_least"] is False
    refused(perfsuite("plan", "none.toml"), "there is no such suite file")
    both = perfsuite("plan", "suite.toml", "--json", "--only", "*/int8/*", "--only", FP32)
    assert {job["cell"] for job in json.loads(both.stdout)["jobs"]} == {FP32, INT8}
    refused(perfsuite("plan", "suite.toml", "--only", "x"), f"the cells are\n  {FP32}\n  {INT8}")


def test_list() -> None:
    text = perfsuite("list")
    assert text.exit_code == 0
    assert "runtimes:\n" in text.stdout
    found = json.loads(perfsuite("list", "passes", "--json").stdout)
    assert list(found) == ["passes"]
    assert "int8" in found["passes"]
    assert perfsuite("list", "nothing").exit_code == 2
    for kind in json.loads(perfsuite("list", "--json").stdout):
        assert list(json.loads(perfsuite("list", kind, "--json").stdout)) == [kind]
    assert "  int8  " in perfsuite("list", "passes").stdout
    assert set(json.loads(perfsuite("list", "--json").stdout)) >= {"workloads", "passes"}


def test_list_of_a_pass_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.passes.table import PASSES

    monkeypatch.setitem(PASSES, "silent", lambda: object)
    for arguments in (("list",), ("list", "passes")):
        done = perfsuite(*arguments)
        assert done.exit_code == 0
        assert "  silent  " in done.stdout
    assert json.loads(perfsuite("list", "--json").stdout)["passes"]["silent"] == ""


@pytest.mark.parametrize(
    "raised", [MemoryError(), OSError(28, "full"), GeneratorExit(), KeyError()]
)
def test_no_mistake_looks_like_a_regression(
    raised: BaseException, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise raised

    monkeypatch.setattr(api, "gate", failing)
    done = perfsuite("gate", "run", "--baseline", "run")
    assert done.exit_code == 3
    assert type(raised).__name__ in done.stderr


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_pipe_that_nobody_reads_looks_like_no_regression(command: str, project: Project) -> None:
    perfsuite("run", "suite.toml", "-o", "run")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "perfsuite", command, "run"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (3, "")


def test_looking_at_stored_runs(project: Project) -> None:
    project.write(processes=4)
    perfsuite("run", "suite.toml", "-o", "run")
    shown = perfsuite("show", "run")
    assert shown.exit_code == 0
    assert "fp32/fake/cpu/b1" in shown.stdout
    assert len(json.loads(perfsuite("show", "run", "--json").stdout)["rows"]) == 2
    both = perfsuite("show", "run", "run")
    assert both.exit_code == 0
    assert "change of latency" in both.stdout
    assert len(json.loads(perfsuite("show", "run", "run", "--json").stdout)["changes"]) == 2
    gate = perfsuite("gate", "run", "--baseline", "run")
    assert gate.exit_code == 0
    assert "exit code 0" in gate.stdout
    assert json.loads(perfsuite("gate", "run", "--baseline", "run", "--json").stdout)["verdicts"]
    for name in ("md", "csv", "json"):
        printed = perfsuite("report", "run", "--format", name)
        assert printed.exit_code == 0
        written = perfsuite("report", "run", "--format", name, "-o", f"out/report.{name}")
        assert written.stdout == f"wrote out/report.{name}\n"
        assert Path(f"out/report.{name}").read_text().strip() == printed.stdout.strip()
        assert perfsuite("report", "run", "-o", f"out/by-suffix.{name}").exit_code == 0
        assert Path(f"out/by-suffix.{name}").read_text() == Path(f"out/report.{name}").read_text()
    for name in ("out/report.pdf", "out/report"):
        wrong = perfsuite("report", "run", "-o", name)
        refused(
            wrong, f"{name}: no format has files that end like this; end it in one of .csv (csv),"
        )
        assert not Path(name).exists()
    assert perfsuite("report", "run", "--format", "md", "-o", "out/report.txt").exit_code == 0
    assert Path("out/report.txt").read_text() == Path("out/report.md").read_text()
    assert "net/int8" in perfsuite("report", "run", "run").stdout
    refused(perfsuite("report", "run", "-o", "run/run.jsonl/x.md"), "cannot be written")
    assert perfsuite("report", "run", "--format", "pdf").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("show", "none"),
        ("show", "none", "none"),
        ("gate", "none", "--baseline", "none"),
        ("report", "none"),
    ],
)
def test_runs_that_are_not_there(project: Project, command: tuple[str, ...]) -> None:
    refused(perfsuite(*command), "none: there is no such run folder")
    Path("none").mkdir()
    refused(perfsuite(*command), "none: there is no run in this folder")
    Path("none/run.jsonl").write_text('{"schema": 7, "perfsuite": "9.9"}\n')
    refused(perfsuite(*command), "written by perfsuite 9.9 in schema 7")
    Path("none/run.jsonl").write_text("{")
    refused(perfsuite(*command), "line 1, the header, is corrupt")


def test_init(project: Project) -> None:
    done = perfsuite("init", "new")
    assert done.exit_code == 0
    assert done.stdout.endswith("next: perfsuite run new/suite.toml\n")
    refused(perfsuite("init", "new"), "there is such a file already")
    assert perfsuite("plan", "new/suite.toml").exit_code == 0


def test_data_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(perfsuite("data", "get", "cifar11"), "did you mean 'cifar10'?")

    def nothing(*_: object) -> None:
        raise Unavailable("nothing can be reached")

    monkeypatch.setattr(api, "get_data", nothing)
    refused(perfsuite("data", "get", "cifar10"), "nothing can be reached")


@pytest.mark.parametrize("command", [("list",), ("plan", "suite.toml"), ("run", "suite.toml")])
def test_interrupted_before_anything_began(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for verb in ("listing", "plan", "run"):
        monkeypatch.setattr(api, verb, interrupted)
    done = perfsuite(*command)
    assert done.exit_code == 130
    assert done.stderr == "interrupted\n"


def test_version_and_help() -> None:
    assert perfsuite("--version").stdout == f"perfsuite, version {__version__}\n"
    text = perfsuite("--help").stdout
    for code in ("0  every", "1  regressed", "2  usage", "3  cannot judge", "130  interrupted"):
        assert code in text


def test_numpy_that_cannot_be_loaded_is_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = "libscipy_openblas64_-32a4.so: cannot open shared object file: No such file or directory"

    def torn(*_: object, **__: object) -> None:
        raise ImportError(f"Original error was: {said}\n") from ImportError(said)

    monkeypatch.setattr(doctor_run, "doctor", torn)
    done = CliRunner().invoke(main, ["doctor", "-o", str(tmp_path / "out")])
    assert done.exit_code == 2 and "Traceback" not in done.stderr
    assert "the shared object libscipy_openblas64_-32a4.so is missing" in done.stderr
    assert "pip install --force-reinstall" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_one_that_nobody_reads(closed: str, project: Project) -> None:
    """As of a job that is started by another one without any; files must not get its number."""
    command = f"{sys.executable} -m perfsuite plan suite.toml {closed}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (FP32 in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
