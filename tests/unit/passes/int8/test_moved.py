"""OpenVINO is told to move integers where it would else lose the layers behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import Scheme, insert

RNG = np.random.default_rng(0)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), outputs, **attributes)


def rounded(
    nodes: list[onnx.NodeProto],
    shape: list[int],
    *,
    low: float = -1.0,
    outputs: str = "y",
    everywhere: bool = False,
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return a graph, and the same in 8 bits, in which all values lie between `low` and 4."""
    held = {
        "w": RNG.normal(size=(8, 8, 3, 3)).astype(np.float32) / 9,
        "v": RNG.normal(size=(8, 8, 3, 3)).astype(np.float32) / 9,
        "wide": RNG.normal(size=(8, 16, 3, 3)).astype(np.float32) / 12,
        "m": RNG.normal(size=(8, 8)).astype(np.float32) / 3,
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "less": np.array([0, 0, -1, 0, 0, 0, 1, 0]),
        "begin": np.array([0]), "end": np.array([2]),
        "rows": np.array([2]), "tokens": np.array([1]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    given = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = onnx.ModelProto()
    made.CopyFrom(given)
    scheme = Scheme(signed=False, weight_limit=63, sum_in_accumulator=not everywhere)
    placement = place(made.graph, sum_in_accumulator=not everywhere)
    ranges = {name: (low, 4.0) for group in placement.groups for name in group}
    placement = place(made.graph, sum_in_accumulator=not everywhere, ranges=ranges)
    insert(made.graph, placement, ranges, scheme)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(made, strict_mode=True))
    return given, made


def precisions(made: onnx.ModelProto) -> list[str]:
    """Return the precisions of the layers that OpenVINO runs."""
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(made.SerializeToString()), "CPU", settings)
    infos = [one.get_rt_info() for one in compiled.get_runtime_model().get_ordered_ops()]
    layers = ("Convolution", "FullyConnected", "MatMul")
    return [
        info["runtimePrecision"].astype(str)
        for info in infos
        if info["layerType"].astype(str) in layers
    ]


def cosine(given: onnx.ModelProto, made: onnx.ModelProto, shape: list[int]) -> float:
    core = openvino.Core()
    x = RNG.uniform(-1.0, 1.0, shape).astype(np.float32)
    a, b = (
        core.compile_model(
            core.read_model(one.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )({"x": x})[0].ravel()
        for one in (given, made)
    )
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


PICTURE, TOKENS = [1, 8, 8, 8], [1, 6, 8]
POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
CASES = {
    "zeros before a pooling": (
        PICTURE,
        [node("Pad", "c pads", "p"), node("MaxPool", "p", "q", **POOL), node("Conv", "q w", "y")],
    ),
    "zeros before two layers": (
        PICTURE,
        [node("Pad", "c pads", "p"), node("Conv", "p w", "a"), node("Conv", "p v", "b"),
         node("Mul", "a b", "y")],
    ),
    "a row less": (PICTURE, [node("Pad", "c less", "p"), node("Conv", "p w", "y")]),
    "mirrored": (PICTURE, [node("Pad", "c pads", "p", mode="reflect"), node("Conv", "p w", "y")]),
    "circular": (
        PICTURE,
        [node("Slice", "c begin end rows", "s"), node("Concat", "c s", "p", axis=2),
         node("Slice", "p begin end rows", "t"), node("Concat", "t p", "q", axis=-2),
         node("Conv", "q w", "y")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_convolution_behind_it_runs_in_8_bits(name: str) -> None:
    shape, nodes = CASES[name]
    given, made = rounded([node("Conv", "x w", "c"), *nodes], shape)
    found = precisions(made)
    assert found == ["u8"] * sum(one.op_type == "Conv" for one in given.graph.node)
    assert cosine(given, made, shape) > 0.99


def test_a_product_behind_joined_tokens_is_compiled_and_runs_in_8_bits() -> None:
    nodes = [
        node("MatMul", "x m", "c"),
        node("Slice", "c begin end tokens", "s"),
        node("Concat", "c s", "p", axis=1),
        node("MatMul", "p m", "y"),
    ]
    given, made = rounded(nodes, TOKENS)
    assert precisions(made) == ["u8", "u8"]
    assert cosine(given, made, TOKENS) > 0.99


def moved(made: onnx.ModelProto) -> list[str]:
    """Return the operators that move integers."""
    integers, found = set(), []
    for one in made.graph.node:
        moves = bool(integers.intersection(one.input)) and one.op_type != "DequantizeLinear"
        found += [one.op_type] * moves
        integers.update(one.output if moves or one.op_type == "QuantizeLinear" else ())
    return found


def test_what_stands_for_zero_is_put_around() -> None:
    _, made = rounded([node("Conv", "x w", "c"), *CASES["zeros before a pooling"][1]], PICTURE)
    (pad,) = [one for one in made.graph.node if one.op_type == "Pad"]
    (point,) = [one for one in made.graph.initializer if one.name == pad.input[2]]
    assert numpy_helper.to_array(point) == round(255 / 5)
    assert moved(made) == ["Pad"]  # what it gives to a pooling can be taken past that
    dead = {name for one in made.graph.node for name in one.output}
    assert dead == {"y"}.union(*(one.input for one in made.graph.node)) & dead


def test_all_before_a_lost_result_moves_integers_too() -> None:
    _, made = rounded([node("Conv", "x w", "c"), *CASES["circular"][1]], PICTURE)
    assert moved(made) == ["Slice", "Concat", "Slice", "Concat"]


@pytest.mark.parametrize("name", CASES)
def test_integers_of_which_zero_stands_for_zero_are_left_to_the_engine(name: str) -> None:
    _, made = rounded([node("Conv", "x w", "c"), *CASES[name][1]], PICTURE, low=0.0)
    assert moved(made) == []


def test_joined_channels_of_convolutions_are_left_to_the_engine() -> None:
    joined = [node("Concat", "c c", "p", axis=1), node("Conv", "p wide", "y")]
    assert moved(rounded([node("Conv", "x w", "c"), *joined], PICTURE)[1]) == []


def test_an_engine_that_rounds_all_values_finds_pairs_everywhere() -> None:
    nodes = [node("Conv", "x w", "c"), *CASES["circular"][1]]
    assert moved(rounded(nodes, PICTURE, everywhere=True)[1]) == []


def test_an_output_that_is_moved_keeps_its_name() -> None:
    nodes = [node("Conv", "x w", "c"), *CASES["a row less"][1]]
    given, made = rounded(nodes, PICTURE, outputs="p y")
    assert moved(made) == ["Pad"]
    assert [one.name for one in made.graph.output] == ["p", "y"]
    assert cosine(given, made, PICTURE) > 0.99
