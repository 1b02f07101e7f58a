"""Artifacts for devices that run nothing here are built, told of, and kept; nothing opens them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Record, Run
from perfsuite.runner import schedule
from perfsuite.store.journal import read

NET = """
import numpy as np

from perfsuite import DeviceIdentity, Evidence, EvidenceItem, Model, Task, Workload
from perfsuite.runtimes.fake.runtime import Fake


class Points(Task):
    def inputs(self, batch, seed):
        return {"x": np.full((batch, 4), float(seed), np.float32)}


net = Workload("net", Model(lambda: None), Points())


class Elsewhere(Fake):
    name = "elsewhere"
    devices = ("cpu", "card_1", "card_2")
    builds_for = ("card_1", "card_2")

    def identify(self, device):
        return DeviceIdentity(device, f"any {device}", (device,))

    def describe(self, folder):
        assert (folder / "fake.json").is_file()
        items = (
            EvidenceItem("reported", "precision", "products, as parsed", "3 in fp32"),
            EvidenceItem("reported", "version", "elsewhere", "1"),
        )
        return Evidence(items)

    def open(self, folder, manifest, options):
        raise AssertionError("it was opened")
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["net.py:Elsewhere"]
devices   = ["card_1", "card_2"]
threads   = 1
processes = 1

[[expect]]
device = "card_1"
status = "unavailable"
reason = "it is built for other machines"
"""


def run(folder: Path, suite: str, out: str) -> tuple[Run, Judgement]:
    (folder / "net.py").write_text(NET)
    (folder / "suite.toml").write_text(suite)
    return api.run(folder / "suite.toml", folder / out)[1:]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return tmp_path


def of(found: Run, device: str) -> Record:
    return next(one for one in found.records.values() if one.cell.device == device)


def test_it_is_unavailable_with_what_was_built(folder: Path) -> None:
    found, judgement = run(folder, SUITE, "run")
    record = of(found, "card_1")
    assert record.status == "unavailable" and record.error is not None
    assert record.error.kind == "Unavailable"
    assert "elsewhere: built for card_1 (0.0 MB; 0 s; products, as parsed: 3 in fp32)" in (
        record.error.message
    )
    assert "and not run" in record.error.message
    assert record.values["artifact_bytes"][0] > 0
    line = read(folder / "run")[1][0]
    assert line.device is not None and line.device.features == ("card_1",)
    assert {one.metric for one in line.measurements} >= {"build_s", "artifact_bytes"}
    assert judgement.exit_code != 0, "card_2 was not expected to be"
    again, judgement = run(folder, SUITE.replace('device = "card_1"\n', ""), "again")
    assert judgement.exit_code == 0
    assert again.records.keys() == found.records.keys()


def test_what_is_built_for_one_kind_of_card_is_not_what_is_built_for_another(folder: Path) -> None:
    found, _ = run(folder, SUITE, "run")
    artifacts = list((folder / "home").rglob("fake.json"))
    assert len(artifacts) == len(found.records) == 2
    run(folder, SUITE, "again")
    assert list((folder / "home").rglob("fake.json")) == artifacts, "they are in the cache"
