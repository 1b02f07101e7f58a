"""Validation samples of all tasks: never a test sample, and none that training is left with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from plain_items import load as plain_load

from perfsuite.data import cifar10, scenes, words
from perfsuite.data.annotations import Annotated, Annotations
from perfsuite.data.samples import Samples, held_out_tenth
from perfsuite.domain.task import Inputs, Outputs, Predict, Task
from perfsuite.models.captions import REGIONS, STEPS
from perfsuite.workloads.table import WORKLOADS
from perfsuite.workloads.tasks import detection
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.tasks.detection import Detection
from perfsuite.workloads.tasks.scenes import SceneTask
from perfsuite.workloads.zoo import devise
from perfsuite.workloads.zoo.captions import WORDS

SIDES = {"vgg-digits": (8, 8, 1), "whale-id": (128, 128, 3), "whale-id-plain": (128, 128, 3)}
LABELLED = sorted(WORKLOADS.keys() - {"faster-rcnn-resnet101"})


def pictures(split: str, shape: tuple[int, ...] = (32, 32, 3), count: int = 60) -> Samples:
    """Return labelled noise of a split; test samples must not be asked for."""
    assert split != "test", "test samples were read"
    rng = np.random.default_rng([len(split), *shape])
    labels = np.arange(count, dtype=np.uint8) % 10
    return Samples(rng.integers(0, 17, (count, *shape), dtype=np.uint8), labels)


def photographs(split: str) -> Annotations:
    """Return the boxes of pictures that are not there; `decoded` makes them up."""
    assert split != "test", "test pictures were read"
    box, label = np.array([[4.0, 8.0, 40.0, 60.0]], np.float32), np.array([1])
    none = (np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, bool))
    found = []
    for index in range(22):
        marks = none if index < 2 else (box, label, np.array([False]))
        found.append(Annotated(f"{split}/{index}", 64, 48, *marks))  # type: ignore[arg-type]
    return Annotations(("a", "b", "c"), tuple(found))


def decoded(path: str) -> np.ndarray:
    rng = np.random.default_rng(np.frombuffer(path.encode(), np.uint8))
    return rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def no_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let whatever reads test samples fail."""
    numbers = scenes._numbers.__wrapped__

    def items(split: str) -> Samples:
        assert split != "test", "test pictures were read"
        return plain_load(split)

    monkeypatch.setattr(scenes, "_pictures", cache(items))
    monkeypatch.setattr(scenes, "_numbers", cache(numbers))
    monkeypatch.setattr(Annotated, "pixels", lambda self: decoded(self.path))
    yield


def untested(name: str) -> Task:
    """Return the task of a workload, of which test samples cannot be read."""
    task = WORKLOADS[name]().task
    if isinstance(task, Classification):
        shape = SIDES.get(name, (32, 32, 3))
        return replace(task, load=lambda split: pictures(split, shape))
    if isinstance(task, Detection):
        return replace(task, load=photographs)
    assert isinstance(task, SceneTask)
    return replace(task, training=30, test=60)


SCORES: dict[str, Callable[[int], Outputs]] = {
    "devise": lambda count: [np.zeros((count, len(words.load().names)))],
    "faster-rcnn-shufflenet": lambda count: [
        np.zeros((1, 5, 4)),
        np.zeros((1, 5), int),
        np.zeros((1, 5)),
    ],
    "show-attend-tell": lambda count: [
        np.zeros((count, STEPS, len(WORDS))),
        np.zeros((count, STEPS, REGIONS**2)),
    ],
    "vehicle-type": lambda count: [np.zeros((count, 6, 4)), np.zeros((count, 6, 4))],
}


def answering(name: str, seen: list[np.ndarray]) -> Predict:
    """Return a net that answers nothing much; `seen` gets what it is asked about."""
    scores = SCORES.get(name, lambda count: [np.zeros((count, 427))])

    def predict(inputs: Inputs) -> Outputs:
        (images,) = inputs.values()
        seen.extend(images)
        return scores(len(images))

    return predict


@pytest.mark.parametrize("name", LABELLED)
def test_validation_reads_no_test_samples_and_leaves_its_own_out_of_training(
    name: str, no_tests: None
) -> None:
    task, seen = untested(name), list[np.ndarray]()
    rows = task.validation(answering(name, seen))
    assert len(rows) == len(seen) > 1
    for metric in task.metrics().values():
        assert 0.0 <= metric(rows) <= 1.0
    again = list[np.ndarray]()
    assert np.array_equal(rows, task.validation(answering(name, again)))
    assert all(map(np.array_equal, seen, again))
    few = task.validation(answering(name, []), 2)
    assert len(few) == 2

    validated = {image.tobytes() for image in seen}
    calibrated = {
        one.tobytes() for inputs in task.calibration(500) for one in next(iter(inputs.values()))
    }
    assert not validated & calibrated
    places = task.held_out()
    if places is not None:
        inputs = task.train().inputs
        prepared = task.prepare if isinstance(task, Classification) else detection.scaled
        assert {image.tobytes() for image in prepared(inputs[places])} == validated
        left = task.train().without(places).inputs
        assert not {image.tobytes() for image in prepared(left)} & validated


def test_a_tenth_of_the_training_pictures_is_held_out_where_there_are_no_others() -> None:
    found = {name: untested(name).held_out() for name in LABELLED}
    held_out = {name: places.tolist() for name, places in found.items() if places is not None}
    assert held_out == {
        "faster-rcnn-shufflenet": held_out_tenth(20).tolist(),  # of those with boxes
        "vgg-digits": held_out_tenth(60).tolist(),
    }


def test_a_detector_without_labels_has_nothing_to_validate() -> None:
    with pytest.raises(Exception, match="no validation samples"):
        WORKLOADS["faster-rcnn-resnet101"]().task.validation(lambda inputs: [])


def test_validation_of_devise_has_all_labels_and_begins_after_calibration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its calibration skips unseen labels, so its first samples reach further."""
    labels = np.random.default_rng(0).integers(0, 10, 2000).astype(np.uint8)

    def load(split: str) -> Samples:
        assert split == "calibration"
        return Samples(np.arange(2000), labels)

    monkeypatch.setattr(cifar10, "load", load)
    whole: Any = devise._load.__wrapped__
    validation, calibration = whole("validation"), whole("calibration")
    assert set(validation.labels) == set(range(10))
    assert not {*validation.images} & {*calibration.images[:500]}
    assert validation.images[0] == calibration.images[500]
    assert validation.images[-1] == 1999
