"""Validation samples of ONNX files: what calibration does not need of the half that is its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite.data.annotations import Annotated, Annotations
from perfsuite.domain.model import InputSpec
from perfsuite.domain.suite import DetectionTable
from perfsuite.domain.task import Inputs, Outputs, Predict, Task
from perfsuite.errors import Unsupported
from perfsuite.workloads.onnx import agreement, detector, tasks
from perfsuite.workloads.onnx.agreement import Agreeing
from perfsuite.workloads.onnx.detector import DetectorFile
from perfsuite.workloads.onnx.samples import Samples
from perfsuite.workloads.onnx.tasks import Labelled

COUNT = 20  # the first half, 0 to 9, is for calibration
SAMPLES = Samples(
    ("x",),
    {"x": 0},
    {"x": np.arange(COUNT, dtype=np.float32).reshape(COUNT, 1)},
    {},
    np.arange(COUNT) % 3,
)


def asked_of(seen: list[float]) -> Predict:
    def predict(inputs: Inputs) -> Outputs:
        seen.extend(inputs["x"][:, 0].tolist())
        return [np.zeros((len(inputs["x"]), 3), np.float32)]

    return predict


@pytest.fixture(params=["labelled", "agreeing", "three a call"])
def task(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(tasks, "KEPT_FOR_CALIBRATION", 4)
    monkeypatch.setattr(agreement, "_answers", lambda file: asked_of([]))
    if request.param == "agreeing":
        return Agreeing(SAMPLES)
    return Labelled(SAMPLES, 3 if request.param == "three a call" else 0)


def test_it_is_neither_tested_nor_calibrates(task: Task) -> None:
    validated, tested = list[float](), list[float]()
    assert len(task.validation(asked_of(validated))) == len(validated)
    assert len(task.rows(asked_of(tested))) == len(tested)
    assert validated == [4, 5, 6, 7, 8, 9]
    assert tested == [*range(10, 20)]
    few = list[float]()
    assert len(task.validation(asked_of(few), 2)) == 2
    assert few == [4, 5]
    calibrated = [float(x) for one in task.calibration(4) for x in one["x"][:, 0]]
    assert calibrated == [0, 1, 2, 3]
    assert task.held_out() is None


def test_labels_are_those_of_the_samples(task: Task) -> None:
    rows = task.validation(asked_of([]))
    if isinstance(task, Labelled):
        assert rows[:, 2].tolist() == [1, 2, 0, 1, 2, 0]
    else:
        assert rows.tolist() == [[1.0]] * 6


def test_too_few_samples_are_told_with_how_many_are_needed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "KEPT_FOR_CALIBRATION", 9)
    with pytest.raises(Unsupported, match=r"of 20 samples half .* the first 9 .* at least 22"):
        task.validation(asked_of([]))


def test_pictures_of_a_detector_are_told_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    box, label = np.array([[0.0, 0.0, 8.0, 8.0]], np.float32), np.array([1])
    found = Annotations(
        ("cat",),
        tuple(
            Annotated(Path(str(index)), 8, 8, box, label, np.array([False])) for index in range(12)
        ),
    )
    monkeypatch.setattr(detector, "KEPT_FOR_CALIBRATION", 4)
    monkeypatch.setattr(detector, "load_voc", lambda *given: found)
    monkeypatch.setattr(
        Annotated, "pixels", lambda self: np.full((8, 8, 3), int(str(self.path)), np.uint8)
    )
    table = DetectionTable("folder", "torchvision", classes=("cat",), pixels="0-255")
    task = DetectorFile(InputSpec("x", "float32", ("batch", 3, 8, 8)), table)

    def asked(seen: list[int]) -> Predict:
        def predict(inputs: Inputs) -> Outputs:
            seen.append(int(inputs["x"].max()))
            return [np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)]

        return predict

    validated, tested = list[int](), list[int]()
    assert len(task.validation(asked(validated))) == 2
    task.rows(asked(tested))
    calibrated = [int(one["x"].max()) for one in task.calibration(4)]
    assert (calibrated, validated) == ([1, 3, 5, 7], [9, 11])
    assert tested == [0, 2, 4, 6, 8, 10]
    monkeypatch.setattr(detector, "KEPT_FOR_CALIBRATION", 6)
    with pytest.raises(Unsupported, match="of 12 half are for testing"):
        task.validation(asked([]))
