"""Whether a model takes several samples in one call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from batch_nets import SIDE, pictures, save_net

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs
from perfsuite.runner.build import batching

pytest.importorskip("onnxruntime")

SPEC = (
    InputSpec("x", "float32", ("batch", 3, SIDE, SIDE)),
    InputSpec("limit", "float32", (1,)),
    InputSpec("steps", "float32", (5, "batch")),
)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("open", ""),
        ("anchors", ""),
        ("summed", ""),
        ("rows", ""),
        ("reshaped", "two samples in one call fail: "),
        ("flattened", "of two samples in one call output 0 has the shape (1, 8), as if they were"),
        ("mixed", "of two samples in one call output 0 is another than that of each alone"),
    ],
)
def test_two_samples_are_tried(kind: str, why: str, tmp_path: Path) -> None:
    save_net(tmp_path / "net.onnx", kind)
    two: Inputs = {"x": pictures(2)}
    found = batching.why_one_at_a_time(tmp_path / "net.onnx", SPEC[:1], two)
    assert found.startswith(why) and bool(found) == bool(why)
    if kind == "reshaped":
        assert "Reshape" in found
        assert "\n" not in found


def test_a_graph_that_fails_on_one_sample_is_not_told_here(tmp_path: Path) -> None:
    save_net(tmp_path / "net.onnx", "open")
    two: Inputs = {"x": pictures(2)[:, :1]}
    assert batching.why_one_at_a_time(tmp_path / "net.onnx", SPEC[:1], two) == ""


def test_samples_are_chosen_of_the_inputs_that_count_them() -> None:
    limit = np.array([7.0], np.float32)
    steps = np.arange(15.0).reshape(5, 3)
    inputs: Inputs = {"limit": limit, "x": pictures(3), "steps": steps, "other": np.zeros(3)}
    assert batching.count_samples(inputs, SPEC) == 3
    assert batching.count_samples({"limit": limit}, SPEC) == 1
    found = batching.chosen(inputs, SPEC, [2])
    np.testing.assert_array_equal(found["x"], pictures(3)[2:])
    np.testing.assert_array_equal(found["steps"], steps[:, 2:])
    assert found["steps"].flags.c_contiguous
    assert found["limit"] is limit
    assert len(found["other"]) == 3


def test_batches_become_single_samples_one_by_one() -> None:
    asked: list[int] = []

    def batches() -> Iterator[Inputs]:
        for size in (2, 1):
            asked.append(size)
            yield {"x": pictures(size, seed=size)}

    found = batching.singles(batches(), SPEC)
    first = next(found)
    assert asked == [2]
    whole = [pictures(2, seed=2), pictures(1, seed=1)]
    np.testing.assert_array_equal(
        np.concatenate([first["x"], *(one["x"] for one in found)]), np.concatenate(whole)
    )


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([0.0, 1000.0], [0.9, 1000.0], True),
        ([0.0, 1000.0], [2.0, 1000.0], False),
        ([0.0] * 9 + [1.0], [0.0] * 8 + [1.0, 0.0], False),
        ([0.0] * 29 + [1.0], [0.0] * 28 + [1.0, 0.0], True),  # two have changed places
        ([np.nan, -np.inf], [np.nan, -np.inf], True),
        ([np.nan, 1.0], [0.0, 1.0], False),
        ([np.inf, 1.0], [-np.inf, 1.0], False),
        ([], [], True),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a", "c"], False),
    ],
)
def test_the_same_but_for_rounding(one: list[float], other: list[float], alike: bool) -> None:
    assert batching.same(np.array(one), np.array(other)) is alike
