"""What a graph rounds by itself, of small graphs of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import odd_graphs as odd
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

from perfsuite.export.own_precision import OwnPrecisions, own_precisions

node = helper.make_node
SCALE = {"s": np.float32(0.1), "z": np.uint8(128)}


def small(nodes: Sequence[Any], kind: int = T.FLOAT, **more: Any) -> onnx.ModelProto:
    y = odd.value("y", None)
    x = odd.value("x", ["n", 4], kind)
    return odd.model(nodes, (y,), (x,), more, weights={}, opset=21, domains=("com.microsoft",))


def test_a_float_graph_has_none() -> None:
    assert own_precisions(odd.model(odd.body())) == OwnPrecisions((), ())
    assert OwnPrecisions().labels == ()


def test_rounded_values_are_int8_and_weights_alone_are_not() -> None:
    values = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        node("MatMul", ["d", "wd"], ["y"]),
    ]
    weight = np.ones((4, 2), np.uint8)
    found = own_precisions(small(values, w=weight, **SCALE))
    assert found == OwnPrecisions(("int8",), ("int8",))
    assert found.labels == ("int8 already",)
    alone = own_precisions(odd.int8_weights())
    assert (alone, alone.labels) == (OwnPrecisions((), ("int8",)), ("int8 weights already",))


def test_weights_that_are_rounded_in_the_graph_are_no_values() -> None:
    """As fake quantization is exported: the float weight goes through both operators."""
    nodes = [
        node(
            "Constant", [], ["w"], value=onnx.numpy_helper.from_array(np.ones((4, 2), np.float32))
        ),
        node("Transpose", ["w"], ["wt"], perm=[0, 1]),
        node("QuantizeLinear", ["wt", "s", "z"], ["wq"]),
        node("DequantizeLinear", ["wq", "s", "z"], ["wd"]),
        node("MatMul", ["x", "wd"], ["y"]),
    ]
    assert own_precisions(small(nodes, **SCALE)) == OwnPrecisions((), ("int8",))


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        ("QLinearConv", ""),
        ("QLinearMatMul", ""),
        ("ConvInteger", ""),
        ("MatMulInteger", ""),
        ("DynamicQuantizeLinear", ""),
        ("QLinearAdd", "com.microsoft"),
        ("DynamicQuantizeMatMul", "com.microsoft"),
        ("QGemm", "com.microsoft"),
    ],
)
def test_operators_on_integers(kind: str, domain: str) -> None:
    made = small([node(kind, ["x"], ["y"], domain=domain)])
    assert own_precisions(made).values == ("int8",)


@pytest.mark.parametrize(
    ("attributes", "more", "precision"),
    [
        ({}, {}, "int8"),  # uint8 is what ONNX takes without a zero point
        ({"output_dtype": T.INT16}, {}, "int16"),
        ({}, {"z": np.zeros((), np.int16)}, "int16"),
        ({"output_dtype": T.FLOAT8E4M3FN}, {}, "fp8"),
    ],
)
def test_to_what_values_are_rounded(
    attributes: dict[str, int], more: dict[str, Any], precision: str
) -> None:
    read = ["x", "s", *more]
    nodes = [node("QuantizeLinear", read, ["y"], **attributes)]
    assert own_precisions(small(nodes, s=np.float32(1), **more)).values == (precision,)


def test_packed_weights() -> None:
    def packed(**attributes: int) -> OwnPrecisions:
        made = [node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", **attributes)]
        return own_precisions(
            small(made, b=np.zeros((2, 1, 2), np.uint8), s=np.ones(2, np.float32))
        )

    assert packed(bits=4) == OwnPrecisions((), ("int4",))
    assert packed(bits=4, accuracy_level=4) == OwnPrecisions(("int8",), ("int4",))


def test_half_precision_of_values_and_of_weights_alone() -> None:
    assert own_precisions(odd.whole_fp16()) == OwnPrecisions(("fp16",), ())
    assert own_precisions(odd.fp16_weights()) == OwnPrecisions((), ("fp16",))
    mixed = [node("Cast", ["x"], ["h"], to=T.BFLOAT16), node("Relu", ["h"], ["y"])]
    assert own_precisions(small(mixed)).values == ("bf16",)
    there_and_back = [mixed[0], node("Cast", ["h"], ["y"], to=T.FLOAT)]
    assert own_precisions(small(there_and_back)).values == ("bf16",)
    taken = [node("Relu", ["x"], ["y"])]
    assert own_precisions(small(taken, T.FLOAT16)).values == ("fp16",)
    # Weights that are laid out anew before they are restored are weights still.
    turned = [
        node("Transpose", ["w"], ["wt"]),
        node("Cast", ["wt"], ["wf"], to=T.FLOAT),
        node("MatMul", ["x", "wf"], ["y"]),
    ]
    assert own_precisions(small(turned, w=np.ones((2, 4), np.float16))) == OwnPrecisions(
        (), ("fp16",)
    )


def test_an_answer_in_another_type_is_nothing_computed_in_it() -> None:
    cast = node("Cast", ["x"], ["h"], to=T.FLOAT16)
    turned = [cast, node("Flatten", ["h"], ["f"]), node("Transpose", ["f"], ["y"], perm=[1, 0])]
    assert own_precisions(small(turned)) == OwnPrecisions((), ())
    for inside in ([node("Relu", ["h"], ["o"])], [node("Identity", ["h"], ["o"])]):
        branch = helper.make_graph(inside, "b", [], [odd.value("o", None)])
        chosen = [cast, node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)]
        chosen.append(node("Relu", ["z"], ["y"]))
        assert own_precisions(small(chosen, c=np.array(True))).values == ("fp16",)


def test_random_numbers_are_no_constants() -> None:
    nodes = [
        node("RandomNormal", [], ["r"], shape=[4]),
        node("Add", ["x", "r"], ["a"]),
        node("QuantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    assert own_precisions(small(nodes, **SCALE)).values == ("int8",)


def test_bodies_of_control_flow_count() -> None:
    inside = helper.make_graph(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            node("DequantizeLinear", ["q", "s", "z"], ["o"]),
        ],
        "then", [], [odd.value("o", None)],
    )  # fmt: skip
    other = helper.make_graph([node("Relu", ["x"], ["p"])], "else", [], [odd.value("p", None)])
    chosen = [node("If", ["c"], ["y"], then_branch=inside, else_branch=other)]
    assert own_precisions(small(chosen, c=np.array(True), **SCALE)).values == ("int8",)
