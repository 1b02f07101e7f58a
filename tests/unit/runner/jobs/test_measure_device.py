"""What the measure job adds for a device with memory and a clock of its own, by a scripted one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import here

from perfsuite.domain.cell import Cell
from perfsuite.domain.model import InputSpec
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Line
from perfsuite.domain.runtime import BoundTimes, Manifest
from perfsuite.domain.suite import Evaluate, Measure
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job

SPEC = (InputSpec("x", "float32", ("batch", 1)),)
METER = """
from perfsuite import Metric


class Slow:
    metrics = (Metric("energy_j", "J"),)
    window_s = 0.01

    def start(self, phase, device):
        self.phase = phase

    def stop(self, phase, calls):
        self.labels = (f"a window of some calls: {calls > 0}",)
        return {"energy_j": 8.0} if phase == "window" else {}
"""


class Engine:
    """A card whose calls take what `bound` says."""

    name, takes, devices, precisions = "engine", "nothing", ("cuda",), ("fp32",)
    clock = None

    def __init__(self, bound: Any) -> None:
        self.bound, self.asked = bound, list[tuple[int, int, float]]()

    def open(self, *_: object) -> Engine:
        return self

    def run(self, inputs: object) -> list[np.ndarray]:
        return [np.zeros(1)]

    def time_bound(self, inputs: list[Any], calls: int, seconds: float) -> Any:
        self.asked.append((len(inputs), calls, seconds))
        return self.bound

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine, meters: tuple[str, ...] = ()
) -> Line:
    monkeypatch.setattr(artifacts, "load_runtime", lambda name: engine)
    manifest = Manifest("engine", "cuda", "fp32", 1, SPEC, ("y",), False, False)
    artifacts.write_manifest(folder, manifest)
    artifacts.write_inputs(folder, [{"x": np.zeros((1, 1), np.float32)}] * 2)
    job = Job(
        kind="measure",
        cell=Cell("net", "fp32", "engine", "cuda"),
        reference="",
        runtime="engine",
        samples="",
        recipe=FP32,
        evaluate=Evaluate(),
        measure=Measure(calls=3, seconds=5e-5, warmup_seconds=0.0),
        meters=meters,
        artifact=str(folder),
        round=0,
    )
    return here(job)


def samples(line: Line) -> dict[str, tuple[float, ...]]:
    return {one.metric: one.samples for one in line.measurements}


def test_both_clocks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(BoundTimes((0.010, 0.011), (0.0101, 0.0112)))
    line = measured(tmp_path, monkeypatch, engine)
    assert line.status == "ok", line.error
    assert engine.asked == [(2, 3, 5e-5)]
    assert samples(line)["device_latency_s"] == (0.010, 0.011)
    assert samples(line)["bound_latency_s"] == (0.0101, 0.0112)
    assert line.labels == ("unsteady",)


@pytest.mark.parametrize(
    ("device_s", "host_s", "agree"),
    [
        (0.0100, 0.0106, False),
        (0.0100, 0.0104, True),
        (0.0110, 0.0100, False),  # longer than the call
        (0.0001, 0.0002, True),  # too short to compare
    ],
)
def test_clocks_that_do_not_agree_are_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_s: float, host_s: float, *, agree: bool
) -> None:
    engine = Engine(BoundTimes((device_s,) * 3, (host_s,) * 3))
    line = measured(tmp_path, monkeypatch, engine)
    assert ("host and device clocks differ" not in line.labels) is agree


def test_a_device_without_a_clock_has_no_such_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = measured(tmp_path, monkeypatch, Engine(None))
    assert line.status == "ok", line.error
    assert not {"device_latency_s", "bound_latency_s"} & set(samples(line))


def test_another_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = measured(tmp_path, monkeypatch, Engine(3.0))
    assert line.error is not None
    assert "time_bound() must give perfsuite.domain.runtime.BoundTimes, not float" in (
        line.error.message
    )


def test_a_slow_meter_samples_a_window_after_the_timed_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.py").write_text(METER)
    line = measured(tmp_path, monkeypatch, Engine(None), (f"{tmp_path}/slow.py:Slow",))
    assert samples(line)["energy_j"] == (8.0,)
    assert "a window of some calls: True" in line.labels
