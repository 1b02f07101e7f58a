"""A baseline's processes among those that take turns, in processes of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_runs import FP32, Project

from perfsuite.store.runs import load_run

# Its artifacts remember when they were built; those of a time that a file names crash when they are
# opened.
REMEMBERING = """
import os, signal
from pathlib import Path
from perfsuite.runtimes.fake import runtime

HERE = Path({here!r})

class Remembering(runtime.Fake):
    name = "remembering"

    def build(self, variant, manifest, folder):
        super().build(variant, manifest, folder)
        (folder / "time").write_text((HERE / "time").read_text())

    def open(self, folder, manifest, options):
        if (folder / "time").read_text() == (HERE / "crashes").read_text():
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().open(folder, manifest, options)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path, monkeypatch)
    (tmp_path / "remembering.py").write_text(REMEMBERING.format(here=str(tmp_path)))
    text = made.suite.read_text()
    made.suite.write_text(text.replace('"fake"', '"remembering.py:Remembering"'))
    (tmp_path / "time").write_text("then")
    (tmp_path / "crashes").write_text("")
    return made


@pytest.mark.parametrize("crashes", [False, True])
def test_a_baseline_takes_turns_with_its_cell_and_fails_alone(
    project: Project, crashes: bool
) -> None:
    only = ("--only", FP32.replace("fake", "Remembering"))
    before = project.start(*only, "--keep-artifacts")
    output = before.communicate(timeout=120)[0]
    assert before.returncode == 0, output
    assert "1 artifact kept, 0.0 MB in " in output
    project.out.rename(project.folder / "before")
    shutil.rmtree(project.folder / "home" / "cache" / "artifact")
    net = project.folder / "net.py"
    net.write_text(net.read_text() + "\n# changed\n")
    (project.folder / "time").write_text("now")
    if crashes:
        (project.folder / "crashes").write_text("then")
    now = project.start(*only, "--baseline", "before")
    output = now.communicate(timeout=120)[0]
    run = load_run(project.out)
    (record,), (beside,) = run.records.values(), run.beside.values()
    assert record.status == "ok", output
    assert sorted(record.latencies_s) == [0, 1]
    if crashes:
        assert beside.status == "failed"
        assert "no longer measured beside its baseline: the worker died by SIGSEGV" in output
        assert [line.round for line in project.lines() if line.baseline] == [None, 0]
    else:
        assert beside.status == "ok"
        assert beside.slices.keys() == record.slices.keys() == {0, 1}
        for number, slices in beside.slices.items():
            assert slices.together == record.slices[number].together != ""
