"""A runtime of a user's own, in one file, with a device that perfsuite knows nothing of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_runs import NET, here

from perfsuite import api
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Line, Record, Run
from perfsuite.domain.suite import Inspect
from perfsuite.errors import Incomparable
from perfsuite.report.sentences import verdict_sentence
from perfsuite.runner import schedule
from perfsuite.runner.build import capabilities
from perfsuite.runner.build.artifacts import load_runtime
from perfsuite.runner.job import Job
from perfsuite.store.journal import read

CARD = """
import os

from perfsuite import DeviceIdentity, Unavailable
from perfsuite.domain.profile import Roofline
from perfsuite.runtimes.fake.runtime import Fake


class Card(Fake):
    name = "card"
    devices = ("cuda",)

    def identify(self, device):
        return DeviceIdentity(device, os.environ["CARD"], ("sm_90",), {"memory": "80 GB"})


class Measuring(Card):
    def roofline(self, device, precision):
        with open("measured", "a") as file:
            print(device, precision, os.environ["CARD"], file=file)
        return Roofline(1e15, 3e12, 1, precision)


class Absent(Card):
    def require(self, device, precision):
        raise Unavailable(f"no {device} here for {precision}: put a card in")


class Unnamed(Fake):
    devices = ("cuda",)


class Wrong(Fake):
    devices = ("cuda",)

    def identify(self, device):
        return os.environ["CARD"]
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["card.py:%s"]
devices   = [%s]
threads   = 1
processes = 2
measure   = { calls = 5, seconds = 0.0, warmup_seconds = 0.0 }
"""


def execute(job: Job) -> Line:
    """Do a job in this process, and ask for a roofline as `profile` does."""
    return here(msgspec.structs.replace(job, inspect=Inspect(roofline=True)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.delenv("PERFSUITE_FAKE", raising=False)
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "card.py").write_text(CARD)
    return tmp_path


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what puts another card into the machine."""

    def put(name: str) -> None:
        monkeypatch.setenv("CARD", name)

    put("NVIDIA One")
    return put


def run(
    folder: Path, out: str, engine: str = "Card", devices: str = '"cuda"', **options: Any
) -> tuple[Run, Judgement]:
    (folder / "suite.toml").write_text(SUITE % (engine, devices))
    return api.run(folder / "suite.toml", folder / out, **options)[1:]


def only(found: Run) -> Record:
    (record,) = found.records.values()
    return record


def test_a_suite_on_a_card_runs_and_names_it(folder: Path, card: Callable[[str], None]) -> None:
    found, judgement = run(folder, "run")
    record = only(found)
    assert (record.status, judgement.exit_code) == ("ok", 0)
    assert record.device == DeviceIdentity("cuda", "NVIDIA One", ("sm_90",), {"memory": "80 GB"})
    lines = read(folder / "run")[1]
    assert {line.job for line in lines} == {"prepare", "evaluate", "inspect", "measure"}
    assert all(line.device == record.device for line in lines)
    markdown = api.report(folder / "run", "md")
    title = next(line for line in markdown.splitlines() if "processes each" in line)
    assert title.endswith(", NVIDIA One")
    heads, values = api.report(folder / "run", "csv").splitlines()
    row = dict(zip(heads.split(","), values.split(","), strict=True))
    assert (row["device"], row["device_name"]) == ("cuda", "NVIDIA One")


def test_another_card_has_other_artifacts_and_its_times_are_incomparable(
    folder: Path, card: Callable[[str], None]
) -> None:
    one, _ = run(folder, "one")
    card("NVIDIA Two")
    two, _ = run(folder, "two")
    assert only(one).artifact != only(two).artifact
    judgement = api.gate(folder / "two", folder / "one").judgement
    (verdict,) = [one for one in judgement.verdicts if one.status == "incomparable"]
    assert "the devices differ (NVIDIA Two here, NVIDIA One in the baseline)" in verdict_sentence(
        verdict
    )
    assert judgement.exit_code == 3
    card("NVIDIA One")
    again, _ = run(folder, "again")
    assert only(again).artifact == only(one).artifact
    judgement = api.gate(folder / "again", folder / "one").judgement
    assert "incomparable" not in {one.status for one in judgement.verdicts}


def cut(folder: Path, lines: int, *, without_devices: bool = False) -> bytes:
    """Keep the header and the first `lines` lines of a run; return what is left."""
    file = folder / "run.jsonl"
    kept = file.read_bytes().splitlines()[: lines + 1]
    if without_devices:
        for place, row in enumerate(kept[1:], start=1):
            fields = msgspec.json.decode(row)
            fields.pop("device", None)
            kept[place] = msgspec.json.encode(fields)
    file.write_bytes(b"".join(row + b"\n" for row in kept))
    return file.read_bytes()


def test_a_run_is_not_gone_on_with_on_another_card(
    folder: Path, card: Callable[[str], None]
) -> None:
    run(folder, "run")
    left = cut(folder / "run", 3)
    card("NVIDIA Two")
    with pytest.raises(Incomparable, match=r"'cuda' was NVIDIA One and is NVIDIA Two\); start"):
        run(folder, "run", resume=True)
    assert (folder / "run" / "run.jsonl").read_bytes() == left, "nothing of it was kept"
    card("NVIDIA One")
    assert only(run(folder, "run", resume=True)[0]).status == "ok"


def test_a_run_of_before_is_gone_on_with_and_compared_as_before(
    folder: Path, card: Callable[[str], None]
) -> None:
    run(folder, "old")
    cut(folder / "old", 3, without_devices=True)
    card("NVIDIA Two")
    assert only(run(folder, "old", resume=True)[0]).status == "ok"
    cut(folder / "old", 5, without_devices=True)
    assert only(api.show(folder / "old").run).device is None
    run(folder, "new")
    judgement = api.gate(folder / "new", folder / "old").judgement
    assert judgement.verdicts
    assert "incomparable" not in {one.status for one in judgement.verdicts}


def test_a_roofline_is_the_devices_own_or_none(folder: Path, card: Callable[[str], None]) -> None:
    record = only(run(folder, "none")[0])
    assert record.roofline is None
    assert record.evidence is not None
    (told,) = [item.value for item in record.evidence.items if item.about == "roofline"]
    assert told.startswith("card measures no roofline of NVIDIA One; give it a method roofline(")
    for out, name in (("a", "NVIDIA One"), ("b", "NVIDIA One"), ("c", "NVIDIA Two")):
        card(name)
        roofs = only(run(folder, out, "Measuring")[0]).roofline
        assert roofs is not None
        assert (roofs.device, roofs.flops_per_s) == (name, 1e15)
    measured = (folder / "measured").read_text().splitlines()
    assert measured == ["cuda fp32 NVIDIA One", "cuda fp32 NVIDIA Two"], "once a card"


def test_a_device_that_no_runtime_has_is_unsupported(
    folder: Path, card: Callable[[str], None]
) -> None:
    found, _ = run(folder, "run", devices='"cuda", "tpu"')
    status = {record.cell.device: record for record in found.records.values()}
    assert status["cuda"].status == "ok"
    assert status["tpu"].status == "unsupported"
    assert status["tpu"].error is not None
    assert status["tpu"].error.message == "card: device 'tpu' is not supported; it supports cuda"


def test_a_card_that_does_not_say_which_it_is_is_not_the_processor(folder: Path) -> None:
    found = capabilities.identity_of(load_runtime(f"{folder}/card.py:Unnamed"), "cuda")
    assert (found.kind, found.name, found.is_processor) == ("cuda", "", False)


def test_another_answer_is_refused(folder: Path, card: Callable[[str], None]) -> None:
    error = only(run(folder, "run", "Wrong")[0]).error
    assert error is not None
    assert error.message == (
        "fake: its identify('cuda') must give a perfsuite.DeviceIdentity, not str"
    )


def test_a_card_that_is_not_there_is_unavailable_before_anything_is_built(
    folder: Path, card: Callable[[str], None]
) -> None:
    record = only(run(folder, "run", "Absent")[0])
    assert record.status == "unavailable"
    assert record.error is not None
    assert record.error.message == "no cuda here for fp32: put a card in"
    assert not (folder / "home" / "cache" / "artifact").exists()
