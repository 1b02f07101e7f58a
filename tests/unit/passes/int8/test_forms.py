"""Matrix products in the forms that engines have 8-bit kernels for, with the same answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.forms import in_known_forms
from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import Scheme, insert
from perfsuite.passes.int8.unchanged import difference

RNG = np.random.default_rng(0)
M = RNG.normal(size=(8, 16)).astype(np.float32)
B = RNG.normal(size=16).astype(np.float32)


def model(
    nodes: list[onnx.NodeProto], shape: list[int], outputs: str = "y", **constants: np.ndarray
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), outputs, **attributes)


def changed(given: onnx.ModelProto, shape: list[int]) -> list[str]:
    """Return the operators of the changed graph, which must answer as before."""
    made = in_known_forms(given)
    x = RNG.normal(size=shape).astype(np.float32)
    outputs = [one.name for one in given.graph.output]
    assert difference(given, made, [{"x": x}], outputs) == ""
    return [one.op_type for one in made.graph.node]


PAIR = [node("MatMul", "x m", "p"), node("Add", "p b", "y")]


def test_a_product_and_a_bias_become_a_gemm_where_there_are_two_axes() -> None:
    turned = [PAIR[0], node("Add", "b p", "y"), node("Relu", "y", "z")]
    assert changed(model(PAIR, [3, 8], m=M, b=B), [3, 8]) == ["Gemm"]
    assert changed(model(turned, [3, 8], "y z", m=M, b=B), [3, 8]) == ["Gemm", "Relu"]
    assert changed(model(PAIR, [3, 8], m=M, b=B[None]), [3, 8]) == ["Gemm"]


@pytest.mark.parametrize(
    "given",
    [
        model(PAIR, [3, 8], "p y", m=M, b=B),  # the product is asked for
        model([*PAIR, node("Relu", "p", "z")], [3, 8], "y z", m=M, b=B),
        model(PAIR, [3, 8], m=M, b=np.float32(2)),
        model(PAIR, [3, 8], m=M, b=np.ones((3, 16), np.float32)),
        model(PAIR, [3, 8], m=M, b=np.ones((1, 1, 16), np.float32)),
        model([node("MatMul", "x m", "p"), node("Mul", "p b", "y")], [3, 8], m=M, b=B),
    ],
)
def test_other_sums_stay(given: onnx.ModelProto) -> None:
    before = [one.op_type for one in given.graph.node]
    assert changed(given, [3, 8]) == before


def test_a_product_behind_a_reshape_to_computed_lengths_becomes_a_gemm() -> None:
    """As tf2onnx flattens; inferring shapes does not tell then how many axes there are."""
    lengths = [
        node("Shape", "x", "s"),
        helper.make_node("Cast", ["s"], ["i"], "i", to=TensorProto.INT32),
        helper.make_node("Cast", ["i"], ["l"], "l", to=TensorProto.INT64),
        node("Slice", "l from to from", "first"),
        node("Concat", "first rest", "both", axis=0),
        node("Reshape", "x both", "flat"),
        node("Identity", "flat", "same"),
    ]
    nodes = [*lengths, node("MatMul", "same m", "p"), PAIR[1]]
    ends = {"from": np.array([0]), "to": np.array([1])}
    given = model(nodes, [3, 2, 4], m=M, b=B, rest=np.array([8]), **ends)
    side = given.graph.input[0].type.tensor_type.shape.dim[0]
    side.dim_param = "batch"
    given.opset_import[0].version = 13
    assert changed(given, [3, 2, 4])[-1] == "Gemm"


def test_a_bias_of_more_axes_is_made_once_for_all_its_readers() -> None:
    nodes = [*PAIR, node("MatMul", "x m", "q"), node("Add", "q b", "z")]
    given = model(nodes, [1, 3, 8], "y z", m=M, b=B)
    assert changed(given, [1, 3, 8]) == ["MatMul", "Add"] * 2
    made = in_known_forms(given).graph
    assert {one.name: list(one.dims) for one in made.initializer} == {
        "m": [8, 16],
        "b_1": [1, 1, 16],
    }
    assert [one.input[1] for one in made.node] == ["m", "b_1"] * 2


def test_weights_with_leading_axes_of_one_become_a_matrix() -> None:
    given = model(PAIR[:1], [2, 3, 8], "p", m=M[None])
    assert changed(given, [2, 3, 8]) == ["MatMul"]
    assert list(in_known_forms(given).graph.initializer[0].dims) == [8, 16]
    # Where the weights have more axes than the input, so has the result.
    given = model(PAIR[:1], [3, 8], "p", m=M[None])
    assert changed(given, [3, 8]) == ["MatMul"]
    assert list(in_known_forms(given).graph.initializer[0].dims) == [1, 8, 16]


def test_factors_of_a_gemm_are_put_into_its_constants() -> None:
    for transposed in (0, 1):
        weights = M.T.copy() if transposed else M
        gemm = node("Gemm", "x m b", "y", alpha=0.5, beta=2.0, transB=transposed)
        given = model([gemm], [3, 8], m=weights, b=B)
        assert changed(given, [3, 8]) == ["Gemm"]
        assert place(in_known_forms(given).graph, sum_in_accumulator=True).weighted == ("y",)
    given = model([node("Gemm", "x m", "y", transA=1, alpha=3.0)], [8, 3], m=M)
    assert changed(given, [8, 3]) == ["Transpose", "Gemm"]
    assert place(in_known_forms(given).graph, sum_in_accumulator=True).weighted == ("y",)


def test_a_gemm_with_a_bias_that_is_computed_stays() -> None:
    nodes = [node("Relu", "x", "r"), node("Gemm", "x m r", "y", beta=0.5)]
    given = model(nodes, [8, 8], m=M[:, :8])
    assert changed(given, [8, 8]) == ["Relu", "Gemm"]
    assert in_known_forms(given).graph.node[1] == given.graph.node[1]


E = RNG.normal(size=(8, 2, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("equation", "swapped", "weights", "shape", "operators"),
    [
        ("bnc,ce->bne", False, M, [2, 5, 8], ["MatMul"]),
        ("bcn, ce -> bne", False, M, [2, 8, 5], ["Transpose", "MatMul"]),
        ("ec,bcn->ben", True, M.T.copy(), [2, 8, 5], ["Transpose", "MatMul", "Transpose"]),
        ("...c,ce->...e", False, M, [2, 3, 5, 8], ["MatMul"]),
        ("...c,ce", False, M, [2, 5, 8], ["MatMul"]),
        ("bc,eb", False, M, [16, 3], ["Transpose", "MatMul"]),
        ("bnc,chd->bhnd", False, E, [2, 5, 8], ["MatMul", "Reshape", "Transpose"]),
        ("bnhd,ehd->bne", False, E, [1, 5, 2, 3], ["Reshape", "MatMul"]),
        ("bnhd,ehd->ebn", False, E, [1, 5, 2, 3], ["Reshape", "MatMul", "Transpose"]),
    ],
)
def test_an_einsum_with_constant_weights_is_a_product(
    equation: str, swapped: bool, weights: np.ndarray, shape: list[int], operators: list[str]
) -> None:
    given = model(
        [node("Einsum", "m x" if swapped else "x m", "y", equation=equation)], shape, m=weights
    )
    assert changed(given, shape) == operators
    made = in_known_forms(given).graph
    assert len(place(made, sum_in_accumulator=True).weighted) == 1
    assert [one.name for one in made.node if one.op_type == "MatMul"] == ["y"]


@pytest.mark.parametrize(
    ("equation", "weights", "shape"),
    [
        ("bhc,hce->bhe", E, [4, 8, 2]),  # a product for each head
        ("bc,ce->bce", M, [3, 8]),  # nothing is summed over
        ("bc,ce->b", M, [3, 8]),  # all columns are
        ("bc,bc->c", M, [8, 16]),
        ("bb,bc->bc", M, [8, 8]),
    ],
)
def test_other_einsums_stay(equation: str, weights: np.ndarray, shape: list[int]) -> None:
    given = model([node("Einsum", "x m", "y", equation=equation)], shape, m=weights)
    assert changed(given, shape) == ["Einsum"]


def test_the_bias_of_an_einsum_keeps_its_product_from_being_fused() -> None:
    nodes = [node("Einsum", "x m", "p", equation="bnc,ce->bne"), node("Add", "p b", "y")]
    given = model(nodes, [2, 5, 8], m=M, b=B)
    assert changed(given, [2, 5, 8]) == ["MatMul", "Add"]
    sides = {one.name: list(one.dims) for one in in_known_forms(given).graph.initializer}
    assert [1, 1, 16] in sides.values()


def quantized(given: onnx.ModelProto, accumulator: bool) -> onnx.ModelProto:
    made = in_known_forms(given)
    placement = place(made.graph, sum_in_accumulator=accumulator)
    ranges = {t: (-4.0, 4.0) for group in placement.groups for t in group}
    insert(made.graph, placement, ranges, Scheme(False, 127, accumulator))
    return made


MLP = [*PAIR, node("Erf", "y", "e"), node("MatMul", "e n", "q"), node("Add", "q c", "z")]
CONSTANTS = {"m": M, "b": B, "n": M.T.copy(), "c": B[:8]}


@pytest.mark.parametrize("shape", [[1, 5, 8], [5, 8], [1, 2, 5, 8]])
def test_onnxruntime_runs_linear_layers_in_8_bits(shape: list[int], tmp_path: Path) -> None:
    made = quantized(model(MLP, shape, "z", **CONSTANTS), accumulator=False)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = Counter(one.op_type for one in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert found["MatMulIntegerToFloat"] + found["QGemm"] == 2
    assert (found["Gemm"], found["MatMul"], found["DequantizeLinear"]) == (0, 0, 0)


@pytest.mark.parametrize("shape", [[1, 5, 8], [5, 8], [1, 2, 5, 8]])
def test_openvino_runs_linear_layers_in_8_bits(shape: list[int]) -> None:
    made = quantized(model(MLP, shape, "z", **CONSTANTS), accumulator=True)
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(made.SerializeToString()), "CPU", settings)
    found: Counter[tuple[str, str]] = Counter()
    for one in compiled.get_runtime_model().get_ops():
        info = one.get_rt_info()
        found[info["layerType"].astype(str), info["runtimePrecision"].astype(str)] += 1
    layers = {
        kind: count for kind, count in found.items() if kind[0] in ("FullyConnected", "MatMul")
    }
    assert sum(layers.values()) == 2
    assert {precision for _, precision in layers} <= {"u8", "i8"}
