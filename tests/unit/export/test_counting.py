"""What a graph runs is counted: behind unknown operators, in branches and loops, in fused ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.export.contrib_operators import is_free
from perfsuite.export.operators import CONTROL, MACS, NO_MACS, TOLD
from perfsuite.measure.macs import Macs, count_graph

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def op(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    domain = "com.microsoft" if kind.startswith("ms:") else ""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(
        kind.removeprefix("ms:"), names, outputs.split(), domain=domain, **attributes
    )


def value(name: str, kind: int = FLOAT, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(name: str, *shape: int, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.full(shape, 1, dtype), name)


def number(name: str, n: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(n), name)


def model(
    nodes: Any, inputs: Any, weights: Any, outputs: str = "y", opset: int = 20
) -> onnx.ModelProto:
    values = [one if not isinstance(one, str) else value(one) for one in inputs]
    results = [onnx.ValueInfoProto(name=name) for name in outputs.split()]
    graph = helper.make_graph(nodes, "toy", values, results, weights)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


def pictures(side: int = 16) -> dict[str, np.ndarray]:
    return {"x": np.ones((1, 3, side, side), np.float32)}


def two_convolutions(between: onnx.NodeProto, sides: Any = (16, 16)) -> onnx.ModelProto:
    nodes = [
        op("Conv", "x w1", "c", pads=[1] * 4),
        between,
        op("MaxPool", "r", "m", kernel_shape=[2, 2], strides=[2, 2]),
        op("Conv", "m w2", "d", pads=[1] * 4),
        op("GlobalAveragePool", "d", "p"),
        op("Flatten", "p", "f"),
        op("Gemm", "f w3", "y"),
    ]
    weights = [tensor("w1", 8, 3, 3, 3), tensor("w2", 16, 8, 3, 3), tensor("w3", 16, 10)]
    return model(nodes, [value("x", FLOAT, ["N", 3, *sides])], weights, opset=17)


WHOLE = 256 * 8 * 27 + 64 * 16 * 72 + 160
PARAMETERS = 8 * 27 + 16 * 72 + 160


@pytest.mark.parametrize("kind", ["Relu", "ms:Gelu"])
def test_what_follows_an_operator_that_onnx_does_not_know(kind: str) -> None:
    net = two_convolutions(op(kind, "c", "r"))
    assert count_graph(net, pictures()) == Macs(WHOLE, PARAMETERS, {})


def test_open_sides_have_the_sizes_that_are_given() -> None:
    net = two_convolutions(op("Relu", "c", "r"), ("height", "width"))
    assert count_graph(net, pictures()) == Macs(WHOLE, PARAMETERS, {})
    assert count_graph(net, pictures(32)).macs == 4 * (WHOLE - 160) + 160


def test_what_runs_nowhere_is_told() -> None:
    mystery = op("Mystery", "c", "r")
    mystery.domain = "com.example"
    net = two_convolutions(mystery)
    net.opset_import.append(helper.make_opsetid("com.example", 1))
    assert count_graph(net, pictures()) == Macs(
        256 * 8 * 27,
        PARAMETERS,
        {"com.example::Mystery": 1, "Conv of unknown size": 1, "Gemm of unknown size": 1},
    )


def test_a_graph_whose_rows_depend_on_values() -> None:
    nodes = [
        op("Greater", "x zero", "b"),
        op("NonZero", "b", "n"),
        op("Transpose", "n", "t"),
        op("Cast", "t", "f", to=FLOAT),
        op("MatMul", "f w", "y"),
    ]
    net = model(
        nodes, [value("x", FLOAT, ["batch", 9])], [number("zero", np.float32(0)), tensor("w", 2, 5)]
    )
    x = np.zeros((1, 9), np.float32)
    x[0, :4] = 1
    assert count_graph(net, {"x": x}) == Macs(4 * 2 * 5, 10, {})
    assert count_graph(net).uncounted == {"MatMul of unknown size": 1}


def test_what_no_output_follows_from_counts_nothing() -> None:
    graph = two_convolutions(op("Relu", "c", "r"))
    counted = count_graph(graph, pictures())
    graph.graph.initializer.append(tensor("wide", 64, 3, 3, 3))
    graph.graph.node.append(op("Conv", "x wide", "dead"))
    graph.graph.node.append(op("ms:Unheard", "dead", "deader"))
    again = count_graph(graph, pictures())
    assert (again.macs, again.uncounted) == (counted.macs, counted.uncounted)


def test_shapes_that_a_file_declares_wrong_are_not_believed() -> None:
    graph = two_convolutions(op("Relu", "c", "r"))
    counted = count_graph(graph, pictures())
    (output,) = graph.graph.output
    output.CopyFrom(value(output.name, shape=[1, 7]))
    assert count_graph(graph, pictures()) == counted


def branch(name: str, *nodes: onnx.NodeProto, weights: Any = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [value(nodes[-1].output[0])], list(weights))


@pytest.mark.parametrize("rows", [2, 7])
def test_the_branch_that_ran(rows: int) -> None:
    small = branch("small", op("MatMul", "x w", "s"))
    large = branch(
        "large", op("MatMul", "x v", "h"), op("MatMul", "h u", "l"), weights=[tensor("u", 6, 5)]
    )
    nodes = [
        op("Shape", "x", "sizes", start=0, end=1),
        op("Squeeze", "sizes", "n"),
        op("Greater", "n four", "many"),
        op("If", "many", "y", then_branch=large, else_branch=small),
    ]
    weights = [number("four", np.int64(4)), tensor("w", 3, 5), tensor("v", 3, 6)]
    net = model(nodes, [value("x", FLOAT, ["batch", 3])], weights)
    expected = {2: 2 * 15, 7: 7 * (18 + 30)}[rows]
    found = count_graph(net, {"x": np.ones((rows, 3), np.float32)})
    assert found == Macs(expected, 15 + 18 + 30, {})
    assert count_graph(net).uncounted == {"If of unknown branch": 1}


def loop(rows: str = "x") -> onnx.ModelProto:
    body = helper.make_graph(
        [
            op("MatMul", "state w", "h"),
            op("Relu", "h", "next"),
            op("Identity", "go", "go_on"),
            op("Identity", "next", "scanned"),
        ],
        "body",
        [value("step", INT, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("go_on", TensorProto.BOOL, []), value("next"), value("scanned")],
    )
    nodes = [op("Loop", f"times _ {rows}", "last y", body=body)]
    inputs = [value("x", FLOAT, ["batch", 4]), value("times", INT, [])]
    return model(nodes, inputs, [tensor("w", 4, 4)], outputs="last y")


def test_a_loop_counts_as_often_as_it_ran() -> None:
    x, times = np.ones((2, 4), np.float32), np.array(3)
    assert count_graph(loop(), {"x": x, "times": times}) == Macs(3 * 2 * 16, 16, {})
    assert count_graph(loop()) == Macs(0, 16, {"Loop of unknown length": 1})


def test_a_branch_in_a_loop_that_grows() -> None:
    grown = branch("grown", op("MatMul", "state w", "a"))
    same = branch("same", op("Identity", "state", "b"))
    body = helper.make_graph(
        [
            op("Greater", "step zero", "later"),
            op("If", "later", "h", then_branch=grown, else_branch=same),
            op("Concat", "h one", "next", axis=0),
            op("Less", "step two", "go_on"),
        ],
        "body",
        [value("step", INT, []), value("go", TensorProto.BOOL, []), value("state")],
        [value("go_on", TensorProto.BOOL, []), value("next")],
    )
    weights = [number("zero", np.int64(0)), number("two", np.int64(2)), number("yes", True)]
    net = model(
        [op("Loop", "_ yes x", "y", body=body)],
        [value("x", FLOAT, ["batch", 4])],
        [*weights, tensor("w", 4, 4), tensor("one", 1, 4)],
    )
    # Steps 0, 1 and 2 with 1, 2 and 3 rows; the first takes the other branch.
    assert count_graph(net, {"x": np.ones((1, 4), np.float32)}).macs == (2 + 3) * 16


def test_a_scan() -> None:
    body = helper.make_graph(
        [op("MatMul", "part w", "h"), op("Add", "sum h", "new"), op("Identity", "new", "out")],
        "body",
        [value("sum"), value("part")],
        [value("new"), value("out")],
    )
    node = op("Scan", "start x", "last y", body=body, num_scan_inputs=1, scan_input_axes=[1])
    inputs = [value("x", FLOAT, ["batch", 7, 4]), value("start", FLOAT, ["batch", 5])]
    net = model([node], inputs, [tensor("w", 4, 5)], outputs="last y")
    x, start = np.ones((2, 7, 4), np.float32), np.ones((2, 5), np.float32)
    assert count_graph(net, {"x": x, "start": start}) == Macs(7 * 2 * 20, 20, {})


def test_sequences_do_not_keep_a_graph_from_running() -> None:
    nodes = [
        op("ms:Gelu", "x", "g"),
        op("SplitToSequence", "g two", "s", axis=0),
        op("SequenceAt", "s zero", "p"),
        op("MatMul", "p w", "y"),
    ]
    weights = [number("two", np.int64(2)), number("zero", np.int64(0)), tensor("w", 4, 5)]
    net = model(nodes, [value("x", FLOAT, ["batch", 4])], weights)
    assert count_graph(net, {"x": np.ones((6, 4), np.float32)}).macs == 2 * 20


CASES: dict[str, tuple[onnx.NodeProto, list[Any], int]] = {}


def case(name: str, node: onnx.NodeProto, shapes: list[Any], macs: int) -> None:
    CASES[name] = (node, shapes, macs)


for equation, shapes, macs in (
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)], 120),
    ("ij,kj", [(3, 4), (5, 4)], 60),
    ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)], 120),
    ("i,j->ij", [(3,), (4,)], 0),
    ("ij,ij->ij", [(3, 4), (3, 4)], 0),
    ("ii->i", [(3, 3)], 0),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], 24 + 40),
):
    names = " ".join("abc"[: len(shapes)])
    case(equation, op("Einsum", names, "y", equation=equation), shapes, macs)
up = {"strides": [2, 2], "group": 2, "output_padding": [1, 1], "dilations": [2, 2]}
case("up", op("ConvTranspose", "a b", "y", **up), [(1, 4, 5, 5), (4, 3, 2, 2)], 4 * 25 * 3 * 4)
lstm = op("LSTM", "a b c", "_ y", hidden_size=6)
case("lstm", lstm, [(5, 2, 3), (1, 24, 3), (1, 24, 6)], 10 * 24 * 9)
sizes = [(1, 3, 6, 6), (5, 3, 3, 3)]
case("deform", op("DeformConv", "a b c", "y"), [*sizes, (1, 18, 4, 4)], 5 * 16 * 27)
case("conv", op("ms:FusedConv", "a b", "y", activation="Relu"), sizes, 5 * 16 * 27)
case("matmul", op("ms:FusedMatMul", "a b", "y", transA=1), [(2, 4, 3), (2, 4, 5)], 120)
gemm = op("ms:FusedGemm", "a b", "y", transA=1, activation="Relu")
case("gemm", gemm, [(4, 3), (4, 5)], 60)
dynamic = op("ms:DynamicQuantizeMatMul", "a b s", "y")
case("dynamic", dynamic, [(2, 3, 4), "int8 4 5", (1,)], 120)
case("gelu", op("ms:BiasGelu", "a b", "y"), [(2, 3), (3,)], 0)
attention = op("ms:Attention", "a b c", "y", num_heads=2)
products = 2 * 5 * 8 * 24 + 2 * 2 * 5 * 5 * 8
case("attention", attention, [(2, 5, 8), (8, 24), (24,)], products)
heads = op("ms:MultiHeadAttention", "a b c", "y", num_heads=2)
case("heads", heads, [(2, 5, 8), (2, 7, 8), (2, 7, 8)], 2 * 2 * 5 * 7 * 8)
bits = op("ms:MatMulNBits", "a b s", "y", K=32, N=6, bits=4, block_size=32)
case("bits", bits, [(3, 32), "uint8 6 1 16", (6,)], 3 * 32 * 6)


@pytest.mark.parametrize("name", CASES)
def test_formulas_by_hand(name: str) -> None:
    node, shapes, macs = CASES[name]
    inputs, weights, feeds = [], [], {}
    for name, shape in zip(filter(None, node.input), shapes, strict=True):
        if isinstance(shape, str):
            dtype, *sides = shape.split()
            weights.append(tensor(name, *map(int, sides), dtype=dtype))
        else:
            inputs.append(value(name, FLOAT, shape))
            feeds[name] = np.ones(shape, np.float32)
    found = count_graph(model([node], inputs, weights), feeds)
    assert (found.macs, found.uncounted) == (macs, {})


def test_constants_in_nodes_and_in_branches_are_parameters_once() -> None:
    floats = helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0, 3.0])
    single = helper.make_node("Constant", [], ["s"], value_float=2.0)
    inner = helper.make_node("Constant", [], ["k"], value=tensor("", 3))
    one = branch("one", inner, op("Add", "r k", "p"))
    other = branch("other", inner, op("Mul", "r w", "q"))
    nodes = [floats, single, op("Add", "x b", "t"), op("Mul", "t s", "u"), op("Mul", "u w", "r")]
    nodes.append(op("If", "which", "y", then_branch=one, else_branch=other))
    inputs = [value("x", FLOAT, ["batch", 3]), value("which", TensorProto.BOOL, [])]
    net = model(nodes, inputs, [tensor("w", 3)])
    assert count_graph(net) == Macs(0, 3 + 3 + 3, {})  # b, w once, k of the branch that reads it


def test_every_operator_of_onnx_is_in_one_table() -> None:
    names = {one.name for one in onnx.defs.get_all_schemas() if one.domain in ("", "ai.onnx")}
    tables = (set(MACS), NO_MACS, TOLD, CONTROL)
    assert names <= set().union(*tables)
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_what_engines_fuse_is_known() -> None:
    from onnxruntime.capi import _pybind_state

    known = {one.name for one in _pybind_state.get_all_operator_schema()}
    for name in ("QLinearAdd", "SkipLayerNormalization", "FastGelu", "NhwcMaxPool"):
        assert name in known
        assert is_free(op(f"ms:{name}", "a", "y"))


def test_a_graph_against_the_order_of_its_nodes_is_counted_whole() -> None:
    in_order = two_convolutions(op("Relu", "c", "r"))
    backwards = onnx.ModelProto.FromString(in_order.SerializeToString())
    nodes = [one.SerializeToString() for one in reversed(backwards.graph.node)]
    del backwards.graph.node[:]
    backwards.graph.node.extend(map(onnx.NodeProto.FromString, nodes))
    found = count_graph(backwards, pictures())
    assert found.macs > 0
    assert found == count_graph(in_order, pictures())
