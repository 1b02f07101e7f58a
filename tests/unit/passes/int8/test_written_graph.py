"""Whole quantized graphs, node by node: names are those by which kernels are traced back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import Scheme, insert


def node(operator: str, inputs: str, outputs: str, name: str = "", **more: int) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), name, **more)


def graph(nodes: list[onnx.NodeProto], outputs: str, **constants: np.ndarray) -> onnx.GraphProto:
    return helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )


def quantized(given: onnx.GraphProto, accumulator: bool = False) -> onnx.GraphProto:
    scheme = Scheme(signed=False, weight_limit=127, sum_in_accumulator=accumulator)
    placement = place(given, sum_in_accumulator=accumulator)
    insert(given, placement, {t: (0.0, 255.0) for g in placement.groups for t in g}, scheme)
    return given


def told(given: onnx.GraphProto) -> list[str]:
    """Return one line a node: outputs, operator and inputs, and its name in brackets."""
    return [
        f"{' '.join(one.output)} = {one.op_type} {' '.join(one.input)} [{one.name}]"
        for one in given.node
    ]


def constants(given: onnx.GraphProto) -> dict[str, object]:
    return {one.name: numpy_helper.to_array(one).tolist() for one in given.initializer}


def convolutions() -> onnx.GraphProto:
    """Two with a pooling between them; the second has no name, the first metadata."""
    weights = np.full((2, 2, 1, 1), 0.5, np.float32)
    nodes = [
        node("Conv", "x w1", "c", "a/Conv"),
        node("MaxPool", "c", "m", "a/MaxPool"),
        node("Conv", "m w2", "y"),
    ]
    nodes[0].metadata_props.add(key="module", value="a")
    return graph(nodes, "y", w1=weights, w2=-weights)


def test_where_every_value_is_rounded() -> None:
    found = quantized(convolutions())
    assert told(found) == [
        "a/QuantizeLinear_output_0 = QuantizeLinear x x_scale x_zero [a/QuantizeLinear]",
        "a/DequantizeLinear_output_0 = DequantizeLinear a/QuantizeLinear_output_0 x_scale x_zero "
        "[a/DequantizeLinear]",
        "a/DequantizeLinear_1_output_0 = DequantizeLinear w1_int8 w1_scale w1_zero "
        "[a/DequantizeLinear_1]",
        "c = Conv a/DequantizeLinear_output_0 a/DequantizeLinear_1_output_0 [a/Conv]",
        "a/QuantizeLinear_1_output_0 = QuantizeLinear c c_scale c_zero [a/QuantizeLinear_1]",
        "a/DequantizeLinear_2_output_0 = DequantizeLinear a/QuantizeLinear_1_output_0 c_scale "
        "c_zero [a/DequantizeLinear_2]",
        "m = MaxPool a/DequantizeLinear_2_output_0 [a/MaxPool]",
        "a/QuantizeLinear_2_output_0 = QuantizeLinear m c_scale c_zero [a/QuantizeLinear_2]",
        "a/DequantizeLinear_3_output_0 = DequantizeLinear a/QuantizeLinear_2_output_0 c_scale "
        "c_zero [a/DequantizeLinear_3]",
        "y_DequantizeLinear_output_0 = DequantizeLinear w2_int8 w2_scale w2_zero "
        "[y_DequantizeLinear]",
        "y_exact = Conv a/DequantizeLinear_3_output_0 y_DequantizeLinear_output_0 []",
        "y_QuantizeLinear_output_0 = QuantizeLinear y_exact y_scale y_zero [y_QuantizeLinear]",
        "y = DequantizeLinear y_QuantizeLinear_output_0 y_scale y_zero [y_DequantizeLinear_1]",
    ]
    own = [[one.value for one in each.metadata_props] for each in found.node]
    assert own == [["a"]] * 6 + [[]] * 7  # a pair belongs to the node that gives its value
    half = float(np.float32(0.5 / 127))
    whole = [[[[127]], [[127]]], [[[127]], [[127]]]]
    assert constants(found) == {
        **{f"{name}_scale": 1.0 for name in "xcy"},
        **{f"{name}_zero": 0 for name in "xcy"},
        "w1_int8": whole,
        "w2_int8": np.negative(whole).tolist(),
        **{f"{name}_scale": [half, half] for name in ("w1", "w2")},
        **{f"{name}_zero": [0, 0] for name in ("w1", "w2")},
    }


def test_where_the_engine_finds_what_carries_8_bit_values() -> None:
    assert told(quantized(convolutions(), accumulator=True))[4:] == [
        "a/QuantizeLinear_1_output_0 = QuantizeLinear c c_scale c_zero [a/QuantizeLinear_1]",
        "a/DequantizeLinear_2_output_0 = DequantizeLinear a/QuantizeLinear_1_output_0 c_scale "
        "c_zero [a/DequantizeLinear_2]",
        "m = MaxPool a/DequantizeLinear_2_output_0 [a/MaxPool]",
        "y_DequantizeLinear_output_0 = DequantizeLinear w2_int8 w2_scale w2_zero "
        "[y_DequantizeLinear]",
        "y = Conv m y_DequantizeLinear_output_0 []",
    ]


def products(*after: onnx.NodeProto, output: str, bias: str = "b") -> onnx.GraphProto:
    weights = np.array([[1.27, -0.635], [2.54, 0.0]], np.float32)
    nodes = [node("Gemm", f"x w {bias}", "g", "fc/Gemm"), *after]
    return graph(nodes, output, w=weights, b=np.array([3.0, 4.0], np.float32))


def gemm_of(given: onnx.GraphProto) -> tuple[list[str], list[str]]:
    (found,) = (one for one in given.node if one.op_type == "Gemm")
    return list(found.input)[2:], list(found.output)


def test_a_bias_is_added_behind_a_product_whose_result_stays_float() -> None:
    found = quantized(products(output="g"))
    assert told(found)[-2:] == [
        "g_without_bias = Gemm fc/DequantizeLinear_output_0 fc/DequantizeLinear_1_output_0 "
        "[fc/Gemm]",
        "g = Add g_without_bias b [fc/Add]",
    ]
    assert gemm_of(quantized(products(output="g"), accumulator=True)) == (["b"], ["g"])


def test_a_bias_stays_where_the_result_is_rounded_behind_it() -> None:
    """Through its activation, or through another product that reads it."""
    relu = node("Relu", "g", "r", "act/Relu")
    second = node("Gemm", "r w b", "h", "fc2/Gemm")
    both = quantized(products(relu, second, output="h"))
    first = next(one for one in both.node if one.name == "fc/Gemm")
    assert list(first.input)[2:] == ["b"]
    # Of a product whose activation stays float it is split off.
    assert gemm_of(quantized(products(relu, output="r"))) == ([], ["g_without_bias"])
    sigmoid = node("Sigmoid", "g", "s", "act/Sigmoid")
    assert gemm_of(quantized(products(sigmoid, output="s"))) == ([], ["g_without_bias"])


def test_a_product_without_a_bias_gets_zeros_where_its_result_stays_float() -> None:
    """The mean error is taken off there, and not off the product, which would run in float then."""
    found = quantized(products(output="g", bias=""))
    assert told(found)[-1] == "g = Add g_without_bias g_bias [fc/Add]"
    (bias,) = (one for one in found.initializer if one.name == "g_bias")
    assert numpy_helper.to_array(bias).tolist() == [0.0, 0.0]
    assert gemm_of(quantized(products(output="g", bias=""), accumulator=True)) == ([], ["g"])


def test_names_that_are_taken_get_a_number() -> None:
    given = convolutions()
    given.node[1].name = "a/QuantizeLinear"
    given.node[1].output[0] = "x_scale"
    given.node[2].input[0] = "x_scale"
    given.initializer.append(numpy_helper.from_array(np.float32(7), "c_zero"))
    given.node.append(node("Add", "y c_zero", "z"))
    given.output[0].name = "z"
    found = quantized(given, accumulator=True)
    assert told(found)[0] == (
        "a/QuantizeLinear_1_output_0 = QuantizeLinear x x_scale_1 x_zero [a/QuantizeLinear_1]"
    )
    assert {"x_scale_1", "c_zero", "c_zero_1"} <= constants(found).keys()


def test_what_nothing_reads_any_more_goes_and_what_a_branch_reads_stays() -> None:
    given = convolutions()
    branch = helper.make_graph(
        [node("Identity", "kept", "i")], "b", [], [onnx.ValueInfoProto(name="i")]
    )
    outer = helper.make_graph([], "o", [], [onnx.ValueInfoProto(name="given")])
    given.node.append(
        helper.make_node("If", ["flag"], ["z"], "if", then_branch=branch, else_branch=outer)
    )
    for name in ("kept", "given", "flag", "unread"):
        given.initializer.append(numpy_helper.from_array(np.float32(1), name))
    given.initializer.append(numpy_helper.from_array(np.float32(1), "answer"))
    given.output.append(onnx.ValueInfoProto(name="answer"))
    given.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))
    found = quantized(given)
    assert {"kept", "given", "flag", "answer"} <= constants(found).keys()
    assert not {"unread", "w1", "w2"} & constants(found).keys()
    assert len(found.value_info) == 0


def test_an_input_that_is_read_twice_is_rounded_once() -> None:
    weights = np.full((2, 2, 1, 1), 0.5, np.float32)
    nodes = [node("Conv", "x w", "a", "a/Conv"), node("Conv", "x w", "b", "b/Conv")]
    found = told(quantized(graph(nodes, "a b", w=weights), accumulator=True))
    assert sum("QuantizeLinear x " in one for one in found) == 1
    assert "a/QuantizeLinear]" in found[0]  # it belongs to the first that reads it
    assert found[-1].startswith("b = Conv a/DequantizeLinear_output_0 ")


@pytest.mark.parametrize(
    ("bias", "least"),
    [
        ([3.0, 4.0], [3.0, 4.0]),
        ([[3.0, 4.0], [5.0, -8.0]], [5.0, 8.0]),  # the largest of each column
        (6.0, [6.0, 6.0]),  # one for all
    ],
)
def test_a_bias_fits_into_half_of_int32(bias: object, least: list[float]) -> None:
    weights = np.full((2, 2), 1e-30, np.float32)
    given = graph(
        [node("Gemm", "x w b", "g", "fc/Gemm")], "g", w=weights, b=np.array(bias, np.float32)
    )
    found = constants(quantized(given, accumulator=True))
    assert found["w_scale"] == pytest.approx([one / 2**30 for one in least], rel=1e-6)


def test_a_product_that_stays_float_keeps_its_bias() -> None:
    given = products(output="g")
    given.node[0].attribute.append(helper.make_attribute("alpha", 0.5))
    assert told(quantized(given)) == ["g = Gemm x w b [fc/Gemm]"]


def test_the_range_of_a_group_is_that_of_all_its_tensors() -> None:
    weights = np.full((2, 2, 1, 1), 0.5, np.float32)
    nodes = [
        node("Conv", "x w", "a", "a/Conv"),
        node("Conv", "x w", "b", "b/Conv"),
        node("Concat", "a b", "c", "c/Concat", axis=1),
        node("Conv", "c w", "y", "d/Conv"),
    ]
    given = graph(nodes, "y", w=weights)
    scheme = Scheme(signed=False, weight_limit=127, sum_in_accumulator=True)
    placement = place(given, sum_in_accumulator=True)
    assert ("a", "b") in placement.groups
    insert(given, placement, {"x": (0.0, 255.0), "a": (-51.0, 1.0), "b": (5.0, 204.0)}, scheme)
    found = constants(given)
    assert (found["a_scale"], found["a_zero"]) == (1.0, 51)


def test_an_inputs_name_is_taken() -> None:
    given = convolutions()
    given.input.append(helper.make_tensor_value_info("x_scale", TensorProto.FLOAT, []))
    assert "x_scale_1" in constants(quantized(given))


def test_new_nodes_lie_in_the_innermost_scope() -> None:
    given = convolutions()
    given.node[0].name = "net/body/conv/Conv"
    found = told(quantized(given, accumulator=True))
    assert "[net/body/conv/QuantizeLinear]" in found[0]


def test_weights_that_layers_share_are_stored_once() -> None:
    weights = np.full((2, 2, 1, 1), 0.5, np.float32)
    tiny, large = np.zeros(2, np.float32), np.full(2, 2.0**40, np.float32)
    nodes = [
        node("Conv", "x w tiny", "a"),
        node("Conv", "a w large", "b"),
        node("Conv", "b v", "y"),
    ]
    given = graph(nodes, "y", w=weights, v=weights.copy(), tiny=tiny, large=large)
    found = constants(quantized(given, accumulator=True))
    assert [name for name in found if name.endswith("_int8")] == ["w_int8", "v_int8"]
    # The scale that the largest bias needs holds for both: 2^40 / (2^30 x 1).
    assert found["w_scale"] == [1024.0, 1024.0]
    assert found["v_scale"] == pytest.approx([0.5 / 127] * 2)
    readers = [one for one in given.node if "w_int8" in one.input]
    assert [list(one.input[1:]) for one in readers] == [["w_scale", "w_zero"]] * 2


def test_copies_of_weights_are_stored_once() -> None:
    weights = np.full((2, 2, 1, 1), 0.5, np.float32)
    given = graph([node("Conv", "x v", "a"), node("Conv", "a w", "y")], "y", v=weights, w=weights)
    found = constants(quantized(given))
    assert [name for name in found if name.endswith("_int8")] == ["v_int8"]
