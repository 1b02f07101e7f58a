"""Ranges are exact, constant in memory, and never of values that are no numbers."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.passes.int8 import calibration
from perfsuite.passes.int8.calibration import check_fits, ranges_of


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


def test_a_tensor_without_values_has_none_to_span() -> None:
    """Nothing may have been found in a sample, or never."""
    none = [{"x": np.zeros((0, 2), np.float32)}]
    full = batches([[8.0, 2.0]])
    assert ranges_of(model(), ["x"], [*none, *full, *none], ignore) == {"x": (2.0, 8.0)}
    looked = helper.make_graph(
        [
            helper.make_node("NonZero", ["x"], ["places"]),
            helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
            helper.make_node("GatherND", ["x", "rows"], ["found"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [None])],
    )
    graph = helper.make_model(looked, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    nothing = batches([[0.0, 0.0]])
    assert ranges_of(graph, ["found", "x"], nothing, ignore)["found"] == (-np.inf, np.inf)


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


def told(given: list[Inputs], asked: list[str], net: onnx.ModelProto | None = None) -> str:
    with pytest.raises((BuildError, ConfigError)) as caught:
        ranges_of(net or model(), asked, given, ignore)
    return str(caught.value)


def test_messages_name_the_tensor_and_what_to_look_at() -> None:
    after = "on the calibration samples; check the model's weights and the task's calibration()"
    nan, inf = batches([[float("nan"), 1.0]]), batches([[float("inf"), 1.0]])
    assert told(inf, ["x"]) == f"int8: tensor 'x' has the value NaN or infinity {after}"
    assert told(nan, ["x"]).startswith("int8: tensor 'x' has the value NaN")
    assert told(nan, ["x"]).endswith(after)
    assert told([], ["x"]) == (
        "int8: the task yields no calibration samples; let calibration(samples) yield some"
    )
    wrong: list[Inputs] = [{"x": np.zeros((1, 3), np.float32)}]
    assert told(wrong, ["x"]).startswith("int8: a calibration batch cannot be run: ")
    assert "Got: 3 Expected: 2" in told(wrong, ["x"])
    strange = model()
    strange.graph.node[0].op_type = "Mystery"
    text = told(batches([[1.0, 1.0]]), ["x"], strange)
    assert text.startswith("int8: ONNX Runtime cannot calibrate this graph: ")
    assert "Mystery" in text


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ((1.0, 2.0, float("nan")), "NaN"),
        ((float("inf"), 2.0, 3.0), "NaN or infinity"),
        ((1.0, float("inf"), 3.0), "NaN or infinity"),
        ((1.0, 2.0, float("inf")), "NaN or infinity"),
        ((float("nan"), 2.0, float("nan")), "NaN or infinity"),
        ((1.0, 2.0, 3.0), ""),
        ((float("-inf"), 2.0, float("-inf")), ""),
        ((float("-inf"), float("inf"), float("nan")), "NaN or infinity"),
    ],
)
def test_a_nan_that_only_the_sum_shows_is_one(
    numbers: tuple[float, float, float], kind: str
) -> None:
    if not kind:
        calibration._check_numbers("t", *numbers)
        return
    with pytest.raises(BuildError, match=f"^int8: tensor 't' has the value {kind} on the cal"):
        calibration._check_numbers("t", *numbers)


def test_the_statistics_are_those_of_all_of_a_tensor() -> None:
    reduced = calibration._reduced(model(), ["x", "y"])
    added = [(one.op_type, *one.input, *one.output) for one in reduced.graph.node[2:]]
    assert added == [
        (operator, name, f"statistic_{index}_{operator}")
        for index, name in enumerate("xy")
        for operator in ("ReduceMin", "ReduceMax", "ReduceSum")
    ]
    assert {one.attribute[0].name: one.attribute[0].i for one in reduced.graph.node[2:]} == {
        "keepdims": 0
    }
    assert [one.name for one in reduced.graph.output] == [names[-1] for names in added]
    assert [one.name for one in model().graph.output] == ["y"]  # the model given stays


def test_memory_of_one_batch_is_not_kept_beside_that_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[object, ...]] = []

    def session(data: bytes, options: ort.SessionOptions, providers: list[str]) -> str:
        onnx.load_from_string(data)
        made.append((options.enable_mem_pattern, options.log_severity_level, providers))
        return "session"

    monkeypatch.setattr(ort, "InferenceSession", session)
    assert calibration.open_graph(model()) == "session"
    assert made == [(False, 3, ["CPUExecutionProvider"])]


@pytest.mark.parametrize(("batch", "fixed"), [("batch", 0), (1, 1), (4, 4)])
def test_the_batch_of_a_model_is_that_of_its_first_true_input(batch: str | int, fixed: int) -> None:
    given = model(batch)
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, [7, 2])
    scalar = helper.make_tensor_value_info("s", TensorProto.FLOAT, [])
    inputs = [weight, scalar, *given.graph.input]
    del given.graph.input[:]
    given.graph.input.extend(inputs)
    given.graph.initializer.append(numpy_helper.from_array(np.zeros((7, 2), np.float32), "w"))
    assert calibration.first_sides(given) == {"x": fixed}
    given.graph.input[-1].type.tensor_type.shape.dim[0].dim_value = -1
    assert calibration.first_sides(given) == {"x": 0}
    assert calibration.first_sides(onnx.ModelProto()) == {}


@pytest.mark.parametrize(
    ("length", "fixed", "pieces"),
    [
        (5, 0, [[0, 1, 2, 3, 4]]),
        (5, 5, [[0, 1, 2, 3, 4]]),
        (5, 2, [[0, 1], [2, 3]]),
        (4, 2, [[0, 1], [2, 3]]),
        (1, 2, []),
        (3, 1, [[0], [1], [2]]),
    ],
)
def test_pieces_of_a_batch(length: int, fixed: int, pieces: list[list[int]]) -> None:
    batch = {"a": np.arange(length), "b": np.arange(length) * 10}
    found = list(calibration._pieces(batch, {"a": fixed, "b": fixed}))
    assert [one["a"].tolist() for one in found] == pieces
    assert [one["b"].tolist() for one in found] == [[10 * i for i in some] for some in pieces]


@pytest.mark.parametrize(("name", "shared"), [("threshold", 1), ("anchors", 4), ("scalar", 0)])
def test_what_all_samples_share_is_not_cut(name: str, shared: int) -> None:
    value = np.arange(shared) if shared else np.array(7.0)
    sides = {"a": 2, name: shared} if shared else {"a": 2}
    batch = {name: value, "a": np.arange(4)}  # the task may give them in another order
    found = list(calibration._pieces(batch, sides))
    assert [one["a"].tolist() for one in found] == [[0, 1], [2, 3]]
    assert all(np.array_equal(one[name], value) for one in found)
    assert calibration._samples(batch, sides) == 4


def test_a_threshold_beside_single_samples() -> None:
    batch = {"a": np.arange(3), "threshold": np.zeros(1)}
    found = list(calibration._pieces(batch, {"a": 1, "threshold": 1}))
    assert [(one["a"].tolist(), len(one["threshold"])) for one in found] == [
        ([0], 1),
        ([1], 1),
        ([2], 1),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": np.ones((3, 2), np.float32)}, "'y', and the model takes 'x'"),
        ({}, "nothing, and the model takes 'x'"),
        (
            {"x": np.ones((3, 5), np.float32)},
            r"'x' as float32 \(3, 5\), .* takes float32 \(any, 2\)",
        ),
        ({"x": np.ones(3, np.float32)}, r"'x' as float32 \(3,\), and the model takes"),
        ({"x": np.ones((3, 2))}, r"'x' as float64 \(3, 2\), and the model takes float32"),
    ],
)
def test_batches_that_the_model_does_not_take_are_the_task_s_fault(
    given: Inputs, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"the task's calibration\(\) gives {message}"):
        check_fits(model(), given)


def test_batches_of_any_length_fit_also_a_fixed_one() -> None:
    for batch in ("batch", 1):
        check_fits(model(batch), {"x": np.ones((7, 2), np.float32)})
    texts = model()
    texts.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    check_fits(texts, {"x": np.array([["a", "b"]])})
