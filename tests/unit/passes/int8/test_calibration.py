"""Ranges are exact, constant in memory, and never of values that are no numbers."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.passes.int8 import calibration
from perfsuite.passes.int8.calibration import ranges_of


def model(batch: str | int = "batch") -> onnx.ModelProto:
    """`d` is twice `x`, `y` is the square root of `d`."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["d"]), helper.make_node("Sqrt", ["d"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ignore(done: int) -> None:
    pass


def batches(*values: list[list[float]]) -> list[Inputs]:
    return [{"x": np.array(value, np.float32)} for value in values]


def test_ranges_span_all_batches() -> None:
    seen: list[int] = []
    given = batches([[8.0, 2.0], [4.5, 3.0]], [[0.5, 32.0]])
    ranges = ranges_of(model(), ["x", "d", "y"], given, seen.append)
    assert ranges == {"x": (0.5, 32.0), "d": (1.0, 64.0), "y": (1.0, 8.0)}
    assert seen == [2, 3]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_ranges_do_not_follow_from_the_order_of_batches(order: tuple[int, ...]) -> None:
    given = batches([[4.0, 1.0]], [[2.0, 9.0]], [[3.0, 3.0]])
    ranges = ranges_of(model(), ["x"], [given[index] for index in order], ignore)
    assert ranges == {"x": (1.0, 9.0)}


@pytest.mark.thousands
def test_batches_are_let_go_one_by_one() -> None:
    """Memory cannot grow with samples: when a batch is asked for, all but the last are gone."""
    given: list[weakref.ref[np.ndarray]] = []

    def generate() -> Iterator[Inputs]:
        for index in range(20):
            gc.collect()
            assert sum(ref() is not None for ref in given) <= 1
            array = np.full((64, 2), index + 1.0, np.float32)
            given.append(weakref.ref(array))
            yield {"x": array}
            del array

    assert ranges_of(model(), ["y"], generate(), ignore)["y"][1] == pytest.approx(40**0.5)
    assert len(given) == 20


def test_what_leaves_the_engine_is_three_numbers_a_tensor() -> None:
    reduced = calibration._reduced(model(), ["x", "d", "y"])
    onnx.checker.check_model(reduced, full_check=True)
    assert len(reduced.graph.output) == 9
    for output in reduced.graph.output:
        shape = output.type.tensor_type.shape
        assert output.type.tensor_type.HasField("shape")
        assert list(shape.dim) == []


def test_a_fixed_batch_is_filled_piece_by_piece() -> None:
    ranges = ranges_of(model(2), ["x"], batches([[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]]), ignore)
    assert ranges == {"x": (1.0, 8.0)}  # the fifth sample fills no batch of two


@pytest.mark.parametrize(
    ("value", "tensor"), [(float("nan"), "x"), (float("inf"), "x"), (-1.0, "y")]
)
def test_the_first_tensor_that_is_no_number_is_named(value: float, tensor: str) -> None:
    given = batches([[1.0, 1.0]], [[1.0, 4.0], [value, 1.0]])
    with pytest.raises(BuildError, match=rf"tensor '{tensor}'.*(NaN|infinity)"):
        ranges_of(model(), ["x", "d", "y"], given, ignore)


def test_no_samples_are_a_mistake_of_the_task() -> None:
    with pytest.raises(ConfigError, match="no calibration samples"):
        ranges_of(model(), ["x"], [], ignore)


def test_a_batch_that_does_not_fit_says_so() -> None:
    with pytest.raises(BuildError, match="calibration batch cannot be run"):
        ranges_of(model(), ["x"], [{"other": np.zeros((1, 2), np.float32)}], ignore)
