"""Meters beside a measurement: when they sample, and what becomes of one that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.record import Measurement
from perfsuite.domain.suite import Measure
from perfsuite.errors import ConfigError, Unavailable
from perfsuite.measure.latency import time_calls
from perfsuite.measure.metering import Metering
from perfsuite.measure.meters.table import load_meter

METERS = """
from perfsuite import Metric, Unavailable


class Scripted:
    metrics = (Metric("energy_j", "J"), Metric("load_energy_j", "J"))
    seen = []

    def start(self, phase, device):
        self.seen.append(f"start {phase} {device}")

    def stop(self, phase, calls):
        self.seen.append(f"stop {phase} {calls}")
        return {"energy_j": 6.0 / calls} if phase == "calls" else {"load_energy_j": 2.0}


class Unmade(Scripted):
    def __init__(self):
        raise Unavailable("no counters here: load the kernel's module msr\\nand more")


class Mute(Scripted):
    def start(self, phase, device):
        raise Unavailable("the counter is not to be read")


class Blind(Scripted):
    def stop(self, phase, calls):
        raise Unavailable("the counter went away")


class Broken(Scripted):
    def stop(self, phase, calls):
        return {"energy_j": 1 / 0}


class Stranger(Scripted):
    def stop(self, phase, calls):
        return {"power_w": 1.0}


class Endless(Scripted):
    def stop(self, phase, calls):
        return {"energy_j": float("inf")}


class Bare(Scripted):
    def stop(self, phase, calls):
        return 1.5


class Resting(Scripted):
    seen = []

    def pause(self):
        self.seen.append("pause")

    def resume(self):
        if len(self.seen) == 4:
            raise Unavailable("the counter went away")
        self.seen.append("resume")


class Twice(Scripted):
    def stop(self, phase, calls):
        return {"energy_j": 1.0}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "energy.py"
    path.write_text(METERS)
    return path


def sampled(metering: Metering) -> Metering:
    metering.start("load")
    metering.stop("load")
    metering.start("calls")
    metering.stop("calls", 3)
    return metering


def test_each_phase_gives_its_samples_with_the_metrics_units(file: Path) -> None:
    found = sampled(Metering((f"{file}:Scripted",), "cuda:0"))
    assert found.measurements == [
        Measurement("load_energy_j", "J", (2.0,)),
        Measurement("energy_j", "J", (2.0,)),
    ]
    assert found.labels == []


def test_only_meters_that_rest_are_told_of_others_turns(file: Path) -> None:
    metering = Metering((f"{file}:Resting", f"{file}:Scripted"))
    metering.start("calls")
    for _ in range(2):
        metering.pause()
        metering.resume()
    metering.stop("calls", 3)
    resting = load_meter(f"{file}:Resting")
    assert resting.seen == ["start calls cpu", "pause", "resume", "pause"]  # type: ignore[attr-defined]
    assert metering.labels == ["no Resting: the counter went away"]
    assert metering.measurements == [Measurement("energy_j", "J", (2.0,))]  # of the other


class Session:
    clock = None

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        self.calls += 1
        return [np.zeros(1)]


class Counting(Metering):
    """Notes how many calls the session has had when it is told of a phase."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session, self.seen = session, list[tuple[str, int, int]]()

    def start(self, phase: str, calls: int = 0) -> None:
        self.seen.append((f"start {phase}", self.session.calls, calls))

    def stop(self, phase: str, calls: int = 0) -> None:
        self.seen.append((f"stop {phase}", self.session.calls, calls))


def test_warming_up_is_not_metered_and_all_timed_calls_are() -> None:
    session = Session()
    metering = Counting(session)
    ticks = iter(range(0, 10**12, 20_000_000))
    settings = Measure(calls=7, seconds=0.0, warmup_seconds=1.0)
    found = time_calls(
        session,  # type: ignore[arg-type]
        [{"x": np.zeros(1)}],
        settings,
        clock=lambda: next(ticks),
        metering=metering,
    )
    before = found.warmup_calls
    assert metering.seen == [("start calls", before, 0), ("stop calls", before + 7, 7)]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Unmade", "no Unmade: no counters here: load the kernel's module msr"),
        ("Mute", "no Mute: the counter is not to be read"),
        ("Blind", "no Blind: the counter went away"),
    ],
)
def test_what_the_machine_does_not_tell_is_a_label_and_the_others_go_on(
    file: Path, name: str, label: str
) -> None:
    found = sampled(Metering((f"{file}:{name}", f"{file}:Scripted"), "cpu"))
    assert found.labels == [label]
    assert [one.metric for one in found.measurements] == ["load_energy_j", "energy_j"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Broken", r"meter 'Broken': stop failed in line 34 of .* with ZeroDivisionError"),
        ("Stranger", "gave 'power_w', which its `metrics` do not have"),
        ("Endless", "gave inf as 'energy_j': no finite number"),
        ("Twice", "gave 'energy_j' in two phases"),
        ("Bare", r"its stop\(\) must give a dict of metric name to number, or None, not float"),
    ],
)
def test_a_mistake_in_a_meter_is_told_as_that(file: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sampled(Metering((f"{file}:{name}",)))


def test_perfsuites_own_meter_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(**options: Path) -> None:
        raise Unavailable("no /proc here\nat all")

    monkeypatch.setattr("perfsuite.measure.meters.memory.reset_peak", unread)
    assert sampled(Metering(("memory",))).labels == ["no memory: no /proc here"]


FAILING = """
from perfsuite import Metric


class Unstarted:
    metrics = (Metric("energy_j", "J"),)

    def start(self, phase, device):
        raise KeyError(phase)

    def stop(self, phase, calls):
        return {}


class Unmade(Unstarted):
    def __init__(self):
        raise KeyError("made")
"""


def test_a_meter_is_told_the_phase_the_device_and_the_calls(file: Path) -> None:
    reference = f"{file}:Scripted"
    seen: list[str] = load_meter(reference).seen  # type: ignore[attr-defined]
    seen.clear()
    sampled(Metering((reference,), "cuda:0"))
    assert seen == ["start load cuda:0", "stop load 0", "start calls cuda:0", "stop calls 3"]
    seen.clear()
    Metering((reference,)).start("load")
    assert seen == ["start load cpu"]


def test_a_meter_that_fails_is_named_with_what_it_was_doing(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    for name, what in (("Unmade", "making it"), ("Unstarted", "start")):
        with pytest.raises(ConfigError, match=rf"meter '{name}': {what} failed .*KeyError"):
            sampled(Metering((f"{path}:{name}",)))
    with pytest.raises(ConfigError) as caught:
        sampled(Metering((f"{file}:Stranger",)))
    assert str(caught.value) == (
        f"meter '{file}:Stranger' gave 'power_w', which its `metrics` do not have"
    )


WINDOW = """
from perfsuite import Metric


class Slow:
    metrics = (Metric("energy_j", "J"),)
    window_s = 0.5
    labels = ()
    seen = []

    def start(self, phase, device):
        self.seen.append(f"start {phase}")

    def stop(self, phase, calls):
        self.seen.append(f"stop {phase} {calls}")
        self.labels = ("the clock fell",)
        return {"energy_j": 6.0 / calls} if phase == "window" else {}


class Odd(Slow):
    labels = (3,)

    def stop(self, phase, calls):
        return {}
"""


def test_only_a_meter_that_needs_a_window_is_told_of_it(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "window.py"
    path.write_text(WINDOW)
    plain, slow = f"{file}:Stranger", f"{path}:Slow"
    assert Metering((plain,)).window_s == 0.0
    metering = Metering((plain, slow))
    assert metering.window_s == 0.5
    metering.start("window")
    metering.stop("window", 3)
    assert metering.measurements == [Measurement("energy_j", "J", (2.0,))]


def test_the_labels_of_a_meter_are_taken_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "window.py"
    path.write_text(WINDOW)
    metering = sampled(Metering((f"{path}:Slow",)))
    assert metering.labels == []
    metering.close()
    assert metering.labels == ["the clock fell"]
    with pytest.raises(ConfigError, match="each of its labels must give a text, not int"):
        sampled(Metering((f"{path}:Odd",))).close()
