"""Graphs in 16 bits: types, answers, and what stays in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.export.half_tensors import Half
from perfsuite.export.lowered import lowered

F, H, B, I64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT64
Value = tuple[str, int, Sequence[int | str]]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: dict[str, Any] | None = None,
    opset: int = 21,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options).run(None, inputs)


def types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the types of all values, after a check that each operator takes what it is given."""
    known = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    values = (*known.graph.input, *known.graph.value_info, *known.graph.output)
    return {one.name: one.type.tensor_type.elem_type for one in values}


def node_types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the type that each node gives, by its name."""
    found = types(model)
    return {node.name: found[node.output[0]] for node in model.graph.node}


def small_net() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    node = helper.make_node
    return model_of(
        [
            node("Conv", ["x", "w", "b"], ["c"], "conv"),
            node("Relu", ["c"], ["r"], "relu"),
            node("Flatten", ["r"], ["f"], "flatten"),
            node("Gemm", ["f", "v"], ["y"], "gemm"),
            node("Sigmoid", ["y"], ["z"], "sigmoid"),
        ],
        [("x", F, ["batch", 3, 4, 4])],
        [("z", F, ["batch", 5]), ("y", F, ["batch", 5])],
        {
            "w": rng.normal(size=(4, 3, 3, 3)).astype("f4"),
            "b": rng.normal(size=4).astype("f4"),
            "v": rng.normal(size=(16, 5)).astype("f4"),
        },
        opset=22,
    )


@pytest.mark.parametrize(("precision", "kind"), [("fp16", H), ("bf16", B)])
def test_everything_between_the_casts_at_both_ends_has_16_bits(precision: Half, kind: int) -> None:
    given = small_net()
    before = given.SerializeToString()
    made = lowered(given, precision)
    assert given.SerializeToString() == before
    found = node_types(made)
    assert {found[one.name] for one in given.graph.node} == {kind}
    casts = [node for node in made.graph.node if node.op_type == "Cast"]
    assert [node.input[0] for node in casts[:1]] == ["x"]
    assert [node.output[0] for node in casts[1:]] == ["z", "y"], "an output that is read, too"
    assert {tensor.data_type for tensor in made.graph.initializer} == {kind}
    assert [one.type.tensor_type.elem_type for one in made.graph.input] == [F]


def test_fp16_answers_alike() -> None:
    given = small_net()
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype("f4")
    for expected, answered in zip(run(given, x=x), run(lowered(given, "fp16"), x=x), strict=True):
        assert answered.dtype == np.float32
        assert 0 < np.abs(answered - expected).max() < 1e-2 * np.abs(expected).max()


def test_sizes_are_computed_in_float32() -> None:
    node = helper.make_node
    given = model_of(
        [
            node("Shape", ["x"], ["s"], "shape"),
            node("Cast", ["s"], ["sf"], "cast", to=F),
            node("Mul", ["sf", "half"], ["h"], "halve"),
            node("Floor", ["h"], ["fl"], "floor"),
            node("Cast", ["fl"], ["n"], "count", to=I64),
            node("Slice", ["x", "zero", "n"], ["part"], "slice"),
            node("Mul", ["part", "h"], ["y"], "scaled"),
        ],
        [("x", F, ["n"])],
        [("y", F, ["m"])],
        {"half": np.float32([0.5]), "zero": np.int64([0])},
    )
    made = lowered(given, "fp16")
    found = node_types(made)
    assert (found["cast"], found["halve"], found["floor"]) == (F, F, F)
    assert (found["slice"], found["scaled"]) == (H, H)
    x = np.ones(4099, np.float32)  # fp16 knows no 4099
    assert run(made, x=x)[0].shape == run(given, x=x)[0].shape == (2049,)


def test_what_is_defined_for_float32_alone_stays() -> None:
    node = helper.make_node
    given = model_of(
        [
            node("Resize", ["x", "", "scales"], ["big"], "resize", mode="nearest"),
            node("Mul", ["big", "scales"], ["y"], "mul"),
            node("Squeeze", ["x", "axes"], ["boxes"], "squeeze"),
            node("NonMaxSuppression", ["boxes", "scores"], ["kept"], "nms"),
        ],
        [("x", F, [1, 1, 4, 4]), ("scores", F, [1, 1, 4])],
        [("y", F, [1, 1, 8, 8]), ("kept", I64, [None, 3])],
        {"scales": np.float32([1, 1, 2, 2]).reshape(4), "axes": np.int64([1])},
    )
    given.graph.node[1].input[1] = "one"
    given.graph.initializer.append(numpy_helper.from_array(np.float32([2.0]), "one"))
    made = lowered(given, "fp16")
    found = types(made)
    nms = next(node for node in made.graph.node if node.op_type == "NonMaxSuppression")
    assert [found[name] for name in nms.input] == [F, F]
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert kinds["scales"] == F
    assert kinds["one_fp16"] == H
    assert "one" not in kinds
    x, scores = np.arange(16, dtype="f4").reshape(1, 1, 4, 4), np.ones((1, 1, 4), "f4")
    assert np.array_equal(run(made, x=x, scores=scores)[0], run(given, x=x, scores=scores)[0])


def test_bodies_of_control_flow_read_what_is_around_them() -> None:
    node = helper.make_node
    branches = [
        helper.make_graph(
            [node(kind, ["x", other], [f"{kind}_out"], kind)],
            kind,
            [],
            [helper.make_tensor_value_info(f"{kind}_out", F, ["n"])],
            [numpy_helper.from_array(np.float32([3.0]), other)],
        )
        for kind, other in (("Mul", "m"), ("Add", "a"))
    ]
    given = model_of(
        [
            node("Relu", ["x"], ["r"], "relu"),
            node("If", ["c"], ["i"], "if", then_branch=branches[0], else_branch=branches[1]),
            node("Sub", ["i", "r"], ["y"], "sub"),
        ],
        [("x", F, ["n"]), ("c", TensorProto.BOOL, [])],
        [("y", F, ["n"])],
    )
    made = lowered(given, "fp16")
    assert node_types(made)["sub"] == H
    for chosen in (True, False):
        x, c = np.float32([1, -2, 5]), np.array(chosen)
        assert np.array_equal(run(made, x=x, c=c)[0], run(given, x=x, c=c)[0])


def test_constants_of_nodes_become_halves_too() -> None:
    node = helper.make_node
    given = model_of(
        [
            node("Constant", [], ["two"], "two", value_float=2.0),
            node("Shape", ["x"], ["s"], "shape"),
            node("ConstantOfShape", ["s"], ["zeros"], "zeros"),
            node("EyeLike", ["x"], ["eye"], "eye", dtype=F),
            node("Sum", ["x", "two", "zeros", "eye"], ["y"], "sum"),
        ],
        [("x", F, ["n", "n"])],
        [("y", F, ["n", "n"])],
    )
    made = lowered(given, "fp16")
    assert node_types(made)["eye"] == node_types(made)["sum"] == H
    x = np.float32([[1, 2], [3, 4]])
    assert np.array_equal(run(made, x=x)[0], x + 2 + np.eye(2))


def quantized(scale: float) -> onnx.ModelProto:
    node = helper.make_node
    return model_of(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
            node("DequantizeLinear", ["q", "s", "z"], ["xr"], "dq"),
            node("DequantizeLinear", ["w", "ws", "wz"], ["wr"], "weights", axis=0),
            node("Conv", ["xr", "wr"], ["y"], "conv"),
        ],
        [("x", F, [1, 2, 3, 3])],
        [("y", F, [1, 2, 1, 1])],
        {
            "s": np.float32(0.25),
            "z": np.int8(0),
            "w": np.ones((2, 2, 3, 3), np.int8),
            "ws": np.float32([0.5, scale]),
            "wz": np.int8([0, 0]),
        },
    )


def test_pairs_have_scales_of_16_bits_and_restore_to_them() -> None:
    given = quantized(0.125)
    made = lowered(given, "fp16")
    found = node_types(made)
    assert found["q"] == TensorProto.INT8
    assert found["dq"] == found["weights"] == found["conv"] == H
    x = np.linspace(-1, 1, 18, dtype="f4").reshape(1, 2, 3, 3)
    assert np.allclose(run(made, x=x)[0], run(given, x=x)[0], rtol=1e-3)


def test_scales_stay_where_fp16_cannot_hold_one_and_pairs_still_give_it() -> None:
    made = lowered(quantized(1e-6), "fp16")
    weights = next(node for node in made.graph.node if node.name == "weights")
    assert weights.input[1] == "ws"
    assert {one.name: one.i for one in weights.attribute}["output_dtype"] == H
    assert next(t for t in made.graph.initializer if t.name == "ws").data_type == F
    for name in ("q", "dq"):  # engines want the scales of a layer to have one type
        assert next(node for node in made.graph.node if node.name == name).input[1] == "s"
    bf16 = lowered(quantized(1e-6), "bf16")
    assert next(n for n in bf16.graph.node if n.name == "weights").input[1] == "ws_bf16"


def test_an_operator_without_a_definition_keeps_its_types() -> None:
    node = helper.make_node
    given = model_of(
        [
            node("Relu", ["x"], ["r"], "relu"),
            node("Mine", ["r"], ["m"], "mine", domain="com.example"),
        ],
        [("x", F, ["n"])],
        [("m", F, ["n"])],
    )
    given.opset_import.append(helper.make_opsetid("com.example", 1))
    made = lowered(given, "fp16")
    mine = next(node for node in made.graph.node if node.name == "mine")
    cast = next(node for node in made.graph.node if node.output[0] == mine.input[0])
    assert (cast.op_type, cast.attribute[0].i) == ("Cast", F)
    assert mine.output[0] == "m"


def test_scales_of_an_older_resize_stay_though_they_stand_elsewhere() -> None:
    """In opset 10 the second input is what it multiplies sizes by, in later ones a region."""
    given = model_of(
        [helper.make_node("Resize", ["x", "scales"], ["y"], "resize")],
        [("x", F, [1, 1, 4, 4])],
        [("y", F, [1, 1, 8, 8])],
        {"scales": np.float32([1, 1, 2, 2])},
        opset=10,
    )
    made = lowered(given, "fp16")
    assert node_types(made)["resize"] == H
    assert next(node for node in made.graph.node if node.name == "resize").input[1] == "scales"
    bf16 = lowered(given, "bf16")
    assert next(n for n in bf16.graph.node if n.name == "resize").input[1] == "scales"


def test_operators_that_are_to_be_kept_compute_in_float32() -> None:
    made = lowered(small_net(), "bf16", keep=("Gemm",))
    found = node_types(made)
    assert (found["conv"], found["gemm"], found["sigmoid"]) == (B, F, B)
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert kinds == {"w_bf16": B, "b_bf16": B, "v": F}
