"""What the measure job finds, with an engine and a high-water mark that are scripted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from fake_runs import here

from perfsuite.domain.cell import Cell
from perfsuite.domain.model import InputSpec
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Line
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.suite import Evaluate, Measure
from perfsuite.measure.meters import memory
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job

LOADING_S = 0.05


class Mark:
    """The kernel's high-water mark of a process that a long past has left at 5000 bytes."""

    def __init__(self) -> None:
        self.resident, self.peak = 100, 5000

    def take(self, count: int) -> None:
        """Take memory and give it back."""
        self.peak = max(self.peak, self.resident + count)

    def reset(self) -> None:
        self.peak = self.resident


class Engine:
    """Takes 900 bytes while it loads and 300 while it answers."""

    name, takes, devices, precisions = "engine", "nothing", ("cpu",), ("fp32",)
    mark = Mark()

    def open(self, folder: Path, manifest: Manifest, options: object) -> Engine:
        time.sleep(LOADING_S)
        self.mark.take(800)
        return self

    clock = None

    def run(self, inputs: object) -> list[np.ndarray]:
        self.mark.take(200)
        return [np.zeros(1)]

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    mark = Mark()
    monkeypatch.setattr(Engine, "mark", mark)
    monkeypatch.setattr(memory, "reset_peak", mark.reset)
    monkeypatch.setattr(memory, "peak_bytes", lambda: mark.peak)
    monkeypatch.setattr(artifacts, "load_runtime", lambda name: Engine())
    spec = (InputSpec("x", "float32", ("batch", 1)),)
    artifacts.write_manifest(
        tmp_path, Manifest("engine", "cpu", "fp32", 1, spec, ("y",), lossy=False, quantized=False)
    )
    artifacts.write_inputs(tmp_path, [{"x": np.zeros((1, 1), np.float32)}])
    job = Job(
        kind="measure",
        cell=Cell("net", "fp32", "engine"),
        reference="",
        runtime="engine",
        samples="",
        recipe=FP32,
        evaluate=Evaluate(),
        measure=Measure(calls=3, seconds=0.0, warmup_seconds=0.0),
        meters=("memory",),
        artifact=str(tmp_path),
        round=0,
    )
    done = here(job)
    assert done.status == "ok", done.error
    return done


def value(line: Line, metric: str) -> float:
    (found,) = [one.samples for one in line.measurements if one.metric == metric]
    return found[0]


def test_the_peak_while_loading_is_not_that_of_before(line: Line) -> None:
    assert value(line, "load_peak_bytes") == 900


def test_the_peak_while_running_is_not_that_of_loading(line: Line) -> None:
    assert value(line, "run_peak_bytes") == 300


def test_load_time_is_that_of_opening(line: Line) -> None:
    assert value(line, "load_s") >= LOADING_S
