"""Artifacts that are kept with a run."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
from baseline_project import BaselineProject
from fake_runs import FP32, INT8

from perfsuite import api
from perfsuite.errors import PerfsuiteError
from perfsuite.store import kept as kept_files
from perfsuite.store.journal import read
from perfsuite.store.runs import load_run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaselineProject:
    made = BaselineProject(tmp_path, monkeypatch)
    api.run(made.suite, made.before, keep_artifacts=True)
    return made


def test_kept_artifacts_are_whole_and_are_copied_once(project: BaselineProject) -> None:
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


def test_a_full_disk_loses_no_measurement(
    project: BaselineProject, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_that_a_source_cannot_be_kept_is_told(project: BaselineProject) -> None:
    for folder in (project.folder / "home" / "cache" / "artifact").iterdir():
        if folder.is_dir():
            facts = folder / "facts.json"
            facts.write_text(json.dumps({**json.loads(facts.read_text()), "needs_source": True}))
    _, _, judgement = api.run(project.suite, project.out, keep_artifacts=True)
    (warning,) = (text for text in map(str, judgement.warnings) if "source" in text)
    assert warning.startswith(f"of {FP32}, {INT8} the weights are kept, but not the source")
