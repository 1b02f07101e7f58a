"""Loaders for training and validation beside the one for testing: which sample goes where."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from perfsuite import Batches, ConfigError, Unsupported
from perfsuite.data.samples import held_out_tenth
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.workloads.tasks import batches

TESTED = [(np.zeros((4, 1), np.float32), np.zeros(4, int))]
NUMBERS = np.arange(30, dtype=np.float64).reshape(30, 1)
LABELS = np.arange(30) % 2


def in_batches(*arrays: np.ndarray, size: int = 7) -> list[Any]:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


def validated(task: Task, samples: int | None = None) -> tuple[list[float], list[float]]:
    """Return what is asked for the validation rows, and the labels in these."""
    asked: list[float] = []

    def predict(inputs: Inputs) -> Outputs:
        asked.extend(inputs["x"][:, 0].tolist())
        return [np.zeros((len(inputs["x"]), 2))]

    return asked, task.validation(predict, samples)[:, 2].tolist()


def test_without_a_loader_for_training_there_is_none() -> None:
    assert Batches(TESTED, train_loader=in_batches(NUMBERS, LABELS)).trains
    assert not Batches(TESTED).trains


def test_training_samples_are_drawn_by_number_with_their_labels() -> None:
    data = Batches(TESTED, train_loader=in_batches(NUMBERS, LABELS)).train()
    assert data.targets.tolist() == LABELS.tolist()
    taken = data.prepare(data.inputs[[29, 0, 7, 6, 7]], np.random.default_rng(0))
    assert taken.dtype == np.float32
    assert taken[:, 0].tolist() == [29, 0, 7, 6, 7]
    left = data.without(np.arange(28))
    assert left.prepare(left.inputs, np.random.default_rng(0))[:, 0].tolist() == [28, 29]


def test_what_is_no_float_stays_as_it_is() -> None:
    pictures = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = Batches(TESTED, train_loader=[(pictures, np.arange(3))]).train()
    assert data.prepare(data.inputs, np.random.default_rng(0)).dtype == np.uint8


def test_a_loader_that_fills_the_same_array_again_is_copied() -> None:
    class Refilling:
        def __iter__(self):  # type: ignore[no-untyped-def]
            pictures, labels = np.zeros((2, 1), np.float32), np.zeros(2, int)
            for number in range(3):
                pictures[:], labels[:] = number, number
                yield pictures, labels

    data = Batches(TESTED, train_loader=Refilling()).train()
    prepared = data.prepare(data.inputs, np.random.default_rng(0))
    assert prepared[:, 0].tolist() == data.targets.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_tenth_of_the_training_samples_is_for_validation() -> None:
    task = Batches(TESTED, train_loader=in_batches(NUMBERS, LABELS))
    places = held_out_tenth(30)
    found = task.held_out()
    assert found is not None and found.tolist() == places.tolist()
    assert validated(task) == (places.tolist(), LABELS[places].tolist())
    assert validated(task, 2)[0] == places[:2].tolist()


def test_a_loader_for_validation_holds_nothing_out() -> None:
    other = in_batches(NUMBERS + 100, LABELS)
    task = Batches(TESTED, train_loader=in_batches(NUMBERS, LABELS), validation_loader=other)
    assert task.held_out() is None
    assert validated(task) == ((NUMBERS[:, 0] + 100).tolist(), LABELS.tolist())
    assert validated(Batches(TESTED, validation_loader=other), 9)[0] == list(range(100, 109))


def test_without_either_it_is_what_calibration_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "KEPT_FOR_CALIBRATION", 10)
    alone = Batches(in_batches(NUMBERS, LABELS))  # every second sample calibrates
    assert validated(alone)[0] == [21, 23, 25, 27, 29]
    assert [float(x) for one in alone.calibration(10) for x in one["x"][:, 0]][-1] == 19
    apart = Batches(TESTED, in_batches(NUMBERS, LABELS))
    assert validated(apart) == (list(range(10, 30)), LABELS[10:].tolist())
    monkeypatch.setattr(batches, "KEPT_FOR_CALIBRATION", 30)
    with pytest.raises(Unsupported, match=r"its 30 samples .* calibrate; give others, Batches\("):
        validated(apart)


def test_test_samples_are_never_read_for_validation() -> None:
    class Tests:
        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("test samples were read")

    train = [{"x": NUMBERS, "labels": LABELS}]
    task = Batches(Tests(), train_loader=train, validation_loader=train)
    assert validated(task)[1] == LABELS.tolist()
    assert validated(Batches(Tests(), in_batches(NUMBERS, LABELS), validation_loader=train))[0]


def test_a_task_without_training_samples_says_how_to_give_them() -> None:
    task = Batches(TESTED)
    assert task.held_out() is None
    with pytest.raises(Unsupported, match=r"Batches\(\.\.\., train_loader=\.\.\.\)"):
        task.train()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((NUMBERS, NUMBERS), "targets that are no class labels"),
        (NUMBERS, "targets that are no class labels"),
        ((NUMBERS, NUMBERS, LABELS), "inputs x0, x1: to train, a batch is one array"),
    ],
)
def test_what_cannot_be_trained_on_is_told(given: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=f"^train_loader: it gives {words}"):
        Batches(TESTED, train_loader=[given]).train()


def test_training_samples_of_two_sizes_are_refused() -> None:
    given = [(np.zeros((2, 3)), LABELS[:2]), (np.zeros((2, 4)), LABELS[:2])]
    with pytest.raises(ConfigError, match=r"shapes \(3,\) and \(4,\); a training needs one"):
        Batches(TESTED, train_loader=given).train()


def test_the_fingerprint_changes_with_either_and_is_as_it_was_without() -> None:
    plain, train = Batches(TESTED).fingerprint(), in_batches(NUMBERS, LABELS)
    assert len(plain.split()) == 2, "a digest and the number of batches, under which keys lie"
    found = {
        plain,
        Batches(TESTED, train_loader=train).fingerprint(),
        Batches(TESTED, validation_loader=train).fingerprint(),
        Batches(TESTED, train_loader=in_batches(NUMBERS + 1, LABELS)).fingerprint(),
    }
    assert len(found) == 4
    count = iter(range(100))

    class Drifting:
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield NUMBERS + next(count), LABELS

    with pytest.raises(ConfigError, match="Drifting: it gives other samples the second time"):
        Batches(TESTED, train_loader=Drifting()).fingerprint()


def test_a_shuffled_training_loader_is_the_same_in_every_process() -> None:
    class Shuffling:
        def __iter__(self):  # type: ignore[no-untyped-def]
            order = list(range(30))
            random.shuffle(order)
            yield NUMBERS[order], LABELS[order]

    first, second = (Batches(TESTED, train_loader=Shuffling()) for _ in range(2))
    assert validated(first) == validated(second)
    assert first.train().targets.tolist() == second.train().targets.tolist()
    assert first.train().targets.tolist() != LABELS.tolist()
