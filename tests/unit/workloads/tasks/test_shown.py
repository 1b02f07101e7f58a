"""What tasks show of their test samples, for people to look at."""

from __future__ import annotations

import numpy as np
import pytest
from plain_items import plain_items  # noqa: F401  (a fixture)

from perfsuite.data import scenes
from perfsuite.data.images import displayed
from perfsuite.data.samples import Samples
from perfsuite.domain.pictures import Said
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import Unsupported
from perfsuite.workloads.tasks.batches import Batches
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.zoo.captions import WORDS, Captions
from perfsuite.workloads.zoo.devise import BEFORE, Naming
from perfsuite.workloads.zoo.vehicle_type import Traffic


def never(inputs: Inputs) -> Outputs:
    raise AssertionError("rows tell what was answered")


def task(count: int = 5) -> Classification:
    """Return a task whose pictures are as bright as their number, with two named classes."""
    images = np.zeros((count, 4, 4, 3), np.uint8) + np.arange(200, 200 + count)[:, None, None, None]
    found = Samples(images.astype(np.uint8), np.arange(count) % 3)
    return Classification(lambda _: found, lambda x: x, lambda x, _: x, names=("cat", "dog"))


def test_a_classifiers_pictures_have_the_names_of_label_and_answer() -> None:
    rows = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 2], [1, 0, 0], [1, 1, 1]], float)
    shown = task().shown(never, rows, [1, 2])
    assert [(one.truth, one.answer) for one in shown] == [
        (Said("dog"), Said("cat")),
        (Said("2"), Said("dog")),  # a class without a name
    ]
    assert [int(one.picture[0, 0, 0]) for one in shown] == [201, 202]
    assert task().right(rows).tolist() == [True, False, False, True, True]  # type: ignore[union-attr]


def test_a_choice_of_samples_is_shown_by_its_own_places() -> None:
    chosen = np.sort(np.random.default_rng(0).permutation(5)[:2])
    shown = task().shown(never, np.zeros((2, 3)), [0, 1], samples=2)
    assert [int(one.picture[0, 0, 0]) for one in shown] == (200 + chosen).tolist()


def test_a_classifier_with_rows_of_its_own_shows_nothing() -> None:
    class Own(Classification):
        def answer_rows(self, outputs: Outputs, labels: np.ndarray) -> np.ndarray:
            return np.zeros((len(labels), 1))

    own = Own(task().load, lambda x: x, lambda x, _: x)
    assert own.right(np.zeros((5, 1))) is None
    with pytest.raises(Unsupported, match="rows are its own"):
        own.shown(never, np.zeros((5, 1)), [0])


def test_naming_is_right_where_no_word_is_nearer() -> None:
    naming = Naming(task().load, lambda x: x, lambda x, _: x, names=("cat", "dog"))
    rows = np.array([[0, 1, 1, 1, 0], [2, 0, 1, 1, 0]], float)
    assert BEFORE == 0
    assert naming.right(rows).tolist() == [True, False]
    assert naming.shown(never, rows, [1])[0][1:] == (Said("dog"), Said("cat"))


def test_a_loaders_arrays_are_stretched_to_pictures() -> None:
    first = np.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4).astype(np.float32)
    loader = Batches([(first, np.array([0, 1])), (first + 1, np.array([1, 0]))], [first])
    rows = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0]], float)
    one, other = loader.shown(never, rows, [1, 3])
    assert (one.truth, one.answer) == (Said("1"), Said("0"))
    assert one.picture.shape == (4, 4, 3)
    assert (one.picture.min(), other.picture.max()) == (0, 255)  # over both
    assert loader.right(rows).tolist() == [True, False, True, False]
    assert loader.shown(never, rows, []) == []


@pytest.mark.parametrize(
    "batch",
    [
        (np.zeros((2, 7)), np.array([0, 1])),
        ({"x": np.zeros((2, 3, 4, 4)), "y": np.zeros((2, 3)), "labels": np.array([0, 1])},)[0],
        (np.full((2, 3, 4, 4), np.nan), np.array([0, 1])),
        (np.zeros((2, 3, 4, 4), bool)[:, :2], np.array([0, 1])),
    ],
    ids=["a vector", "two inputs", "no numbers", "two channels"],
)
def test_inputs_that_are_no_pictures_are_not_shown(batch: object) -> None:
    with pytest.raises(Unsupported, match="no picture"):
        Batches([batch], [batch]).shown(never, np.zeros((2, 3)), [0, 1])


def test_bytes_are_shown_as_they_are_and_other_ranges_are_stretched() -> None:
    dark = np.zeros((1, 4, 4, 1), np.uint8)
    dark[0, 0, 0, 0] = 16  # as the scans of digits: from 0 to 16
    assert displayed(dark).shape == (1, 4, 4)
    assert displayed(dark).max() == 255
    light = dark + np.uint8(90)
    assert displayed(light).tolist() == light[..., 0].tolist()
    assert displayed(np.ones((1, 4, 4, 3), np.float32)).max() == 0  # all the same
    assert displayed(np.zeros((0, 4, 4, 3))).shape == (0, 4, 4, 3)


def test_scenes_show_true_boxes_and_likely_ones(plain_items: None) -> None:  # noqa: F811
    traffic = Traffic(scenes.TRAFFIC, training=4, test=3)
    boxes = np.array([[[24, 48, 72, 96], [0, 0, 9, 9]]] * 2, np.float32)
    scores = np.array([[[0.1, 0.9, 0, 0], [0.4, 0.3, 0, 0]]] * 2, np.float32)
    shown = traffic.shown(lambda _: [boxes, scores], np.zeros((3, 1)), [0, 2])
    wanted = [item for item in scenes.traffic("test", 2) if item.label in scenes.VEHICLES]
    assert [box.label for box in shown[1].truth.boxes] == [scenes.NAMES[i.label] for i in wanted]
    (found,) = shown[1].answer.boxes  # the other one is not likely
    assert (found.left, found.top, found.right, found.bottom) == (0.25, 0.5, 0.75, 1.0)
    assert (found.label, found.score) == ("automobile", 0.9)
    assert np.array_equal(shown[1].picture, traffic.pictures("test", np.array([2]))[0])


def test_captions_show_where_each_word_was_looked_for(plain_items: None) -> None:  # noqa: F811
    task = Captions(scenes.PAIR, training=4, test=3)
    scores = np.zeros((1, 9, len(WORDS)))
    for step, word in enumerate(("a", "dog", "<end>")):
        scores[0, step, WORDS.index(word)] = 1
    attention = np.zeros((1, 9, 81))
    attention[0, 1, 5], attention[0, 1, 6] = 0.5, 0.25
    (shown,) = task.shown(lambda _: [scores, attention], np.zeros((3, 1)), [1])
    assert shown.truth.words == " ".join(w.text for w in scenes.caption(scenes.pair("test", 1)))
    assert shown.answer.words == "a dog"
    first, second = shown.answer.looks
    assert (first.word, set(first.weights), first.columns) == ("a", {0}, 9)  # looks nowhere
    assert (second.weights[5], second.weights[6], sum(second.weights)) == (255, 128, 383)
