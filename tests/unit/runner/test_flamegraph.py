"""py-spy: what it is asked for, and what is said where it may not look."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, Project, here

from perfsuite import api
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Measure
from perfsuite.errors import ConfigError, Unavailable
from perfsuite.runner import flamegraph, schedule


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of one cell on the scripted engine, which is recorded in place of eager PyTorch."""
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    monkeypatch.setattr(flamegraph, "EAGER", "fake")
    # The scripted clock moves with each call: a thousand of them.
    monkeypatch.setattr(flamegraph, "RECORDED", Measure(calls=1000, seconds=0.0))
    project = Project(tmp_path, monkeypatch)
    return api.run(project.suite, project.out, only=FP32)[1]


def stub(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program of the name py-spy before any other."""
    program = folder / "py-spy"
    program.write_text(f"#!{sys.executable}\nimport subprocess, sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name, path: str(program))


def test_the_worker_is_started_by_py_spy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "at = sys.argv.index('--')\n"
        f"open({str(tmp_path / 'asked')!r}, 'a').write(' '.join(sys.argv[1:at]) + chr(10))\n"
        "done = subprocess.run(sys.argv[at + 1:])\n"
        "open(sys.argv[sys.argv.index('--output') + 1], 'w').write('recorded')\n"
        "sys.exit(done.returncode)"
    )
    stub(tmp_path, monkeypatch, body)
    files = flamegraph.record(run, tmp_path)
    assert [path.name for path in files] == ["flamegraph.speedscope.json", "flamegraph.svg"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[:3] for line in asked] == [
        ["record", "--format", "speedscope"],
        ["record", "--format", "flamegraph"],
    ]


def test_what_to_do_where_it_may_not_look(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(
        tmp_path, monkeypatch, "print('Permission Denied: try sudo', file=sys.stderr)\nsys.exit(1)"
    )
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(Unavailable, match=r"Permission Denied: try sudo; .*_scope.*SYS_PTRACE"):
        flamegraph.record(run, tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="macOS lets only root look into other processes"):
        flamegraph.record(run, tmp_path)


def test_a_program_that_writes_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, monkeypatch, "subprocess.run(sys.argv[sys.argv.index('--') + 1:])")
    with pytest.raises(Unavailable, match=r"py-spy could not record net/fp32.*it wrote no file"):
        flamegraph.record(run, tmp_path)


def test_a_cell_that_was_not_prepared(run: Run, tmp_path: Path) -> None:
    records = {
        key: msgspec.structs.replace(record, artifact="") for key, record in run.records.items()
    }
    with pytest.raises(Unavailable, match="there is no artifact of net/fp32/fake/cpu/b1"):
        flamegraph.record(msgspec.structs.replace(run, records=records), tmp_path)


def test_without_py_spy_or_eager(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = msgspec.structs.replace(run.header.suite, runtimes=("openvino",))
    with pytest.raises(ConfigError, match="add --runtime fake"):
        flamegraph.check(suite)
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(Unavailable, match="pip install py-spy"):
        flamegraph.check(run.header.suite)


def test_py_spy_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted engine is too fast to be seen calling; what loads it is seen."""
    try:
        flamegraph.py_spy()
        speedscope, svg = flamegraph.record(run, tmp_path)
    except Unavailable as error:
        pytest.skip(str(error))
    frames = {frame["name"] for frame in json.loads(speedscope.read_text())["shared"]["frames"]}
    assert frames & {"main", "_run_module_as_main", "run_job"}
    assert "<svg" in svg.read_text()
