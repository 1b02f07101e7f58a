"""A trial with two batch sizes: what it finds out about a side of an input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from open_sides import folding, node, running_sum, save, segmenter, steps_first

from perfsuite.workloads.onnx.trial import Outcome, followed, independent, tried

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def trial(path: Path, *shape: int, axis: int = 0, named: bool = False) -> Outcome:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return tried(path, {"x": x}, {"x": axis}, named=named)


def test_a_batch_is_answered_one_by_one(tmp_path: Path) -> None:
    found = trial(segmenter(tmp_path / "net.onnx"), 3, 3, 6, 8)
    assert found == Outcome("batch", "", (("batch", 2, 6, 8),))
    found = trial(steps_first(tmp_path / "steps.onnx"), 7, 3, 4, axis=1, named=True)
    assert found == Outcome("batch", "", (("batch", 4),))


@pytest.mark.parametrize("named", [True, False])
def test_a_batch_that_is_folded_inside_takes_one_alone(tmp_path: Path, named: bool) -> None:
    found = trial(folding(tmp_path / "net.onnx"), 3, 3, 2, 2, named=named)
    assert (found.kind, found.outputs) == ("one", ((1, 5),))
    assert "MatMul" in found.why


def test_steps_that_depend_on_each_other_are_no_samples(tmp_path: Path) -> None:
    path = running_sum(tmp_path / "net.onnx", ("?", 4))
    found = trial(path, 3, 4)
    assert found == Outcome("unclear", "its answer to one entry depends on those beside it")
    assert trial(path, 3, 4, named=True).kind == "batch", "its name says so"


def test_a_side_that_no_output_follows_is_not_known_to_count_samples(tmp_path: Path) -> None:
    path = steps_first(tmp_path / "net.onnx", ("?", 5, 4))
    found = trial(path, 3, 5, 4)
    assert found == Outcome("unclear", "no side of an output grows with it")
    told = trial(path, 3, 5, 4, named=True)
    assert told.kind == "one"
    assert "grows with it; if it takes more all the same, say so with `batch`" in told.why


def test_what_does_not_run_is_untried(tmp_path: Path) -> None:
    unknown = [node("Frobnicate", "x", "y", domain="com.example")]
    path = save(tmp_path / "net.onnx", unknown, {"x": ("N", 4)}, {"y": ("N", 4)})
    assert trial(path, 3, 4).kind == "untried"
    assert trial(segmenter(tmp_path / "other.onnx"), 3, 1, 8, 8).kind == "untried", "at no size"


def test_the_side_that_follows_by_hand() -> None:
    two = [np.zeros((2, 5)), np.zeros((7, 2, 1)), np.zeros((4, 3)), np.zeros(()), ["a"]]
    three = [np.zeros((3, 5)), np.zeros((7, 3, 1)), np.zeros((9, 3)), np.zeros(()), ["a"]]
    assert followed(two, three) == [0, 1, None, None, None]


@pytest.mark.parametrize(
    ("more", "alike"),
    [
        ([[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]], True),
        ([[1.08, 2.0], [9.0, 9.0], [3.0, 4.0]], True),  # as of few bits
        ([[1.3, 2.0], [9.0, 9.0], [3.0, 4.0]], False),
        ([[1.0, 2.0], [9.0, 9.0], [3.0, 4.5]], False),  # the last one differs
        ([[np.nan, 2.0], [9.0, 9.0], [3.0, np.inf]], True),
    ],
)
def test_the_first_and_the_last_must_be_alike(more: list[list[float]], alike: bool) -> None:
    two = [np.array([[1.0, 2.0], [3.0, 4.0]])]
    assert independent(two, [np.array(more)], [0]) is alike
    assert independent(two, [np.array(more)], [None])
    places = [np.array([1, 2]), np.array([3, 1, 9])]  # of maxima
    assert independent(places[:1], places[1:], [0])
