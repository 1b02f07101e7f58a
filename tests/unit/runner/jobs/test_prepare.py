"""What the key of an artifact follows from: one thing is changed at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import Project, here

from perfsuite.config.loading import load_suite
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.task import Task
from perfsuite.runner.job import first_job
from perfsuite.runner.jobs import prepare
from perfsuite.runtimes.fake.runtime import Fake


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    return Project(tmp_path, monkeypatch)


def key(project: Project) -> str:
    """Return the artifact key of the fp32 cell, prepared now."""
    suite, cells, _ = load_suite(project.suite)
    line = here(first_job(suite, cells[0]))
    assert line.status == "ok", line.error
    return line.artifact


def test_the_same_has_the_same_key(project: Project) -> None:
    assert key(project) == key(project)


def test_the_features_of_the_processor_count(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(*features: str, name: str = "one") -> str:
        identity = DeviceIdentity("cpu", name, features)
        monkeypatch.setattr(prepare, "identity_of", lambda runtime, device: identity)
        return key(project)

    assert on("avx2") != on("avx2", "avx512_vnni")
    assert on("avx2") == on("avx2", name="another"), "a processor's name changes from host to host"


def test_the_version_of_what_a_runtime_writes_counts_from_the_second_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writing(version: object) -> str:
        monkeypatch.setattr(Fake, "artifact_version", version, raising=False)
        return key(project)

    silent = key(project)
    assert writing(1) == silent, "keys of what was stored before are as they were"
    assert len({silent, writing(2), writing(3)}) == 3


def test_which_card_it_is_counts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def on(identity: DeviceIdentity) -> str:
        monkeypatch.setattr(prepare, "identity_of", lambda runtime, device: identity)
        return key(project)

    keys = {
        on(DeviceIdentity("cuda", "one", ("sm_90",))),
        on(DeviceIdentity("cuda", "another", ("sm_90",))),
        on(DeviceIdentity("cuda", "one", ("sm_80",))),
        on(DeviceIdentity("cuda", "one", ("sm_90",), {"power limit": "300 W"})),
    }
    assert len(keys) == 4


def test_the_versions_of_the_engines_libraries_count(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(project)
    monkeypatch.setattr(Fake, "probe", lambda self: {"fake": "2"})
    assert key(project) != before


def test_the_data_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(project)
    monkeypatch.setattr(Task, "fingerprint", lambda self: "other numbers")
    assert key(project) != before
